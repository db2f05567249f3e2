"""Names that become file names, URLs and registry keys."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class NameRefusedError(ValueError):
    """A name could leave its folder or does not fit a registry."""


def checked_name(name: str, what: str = "name") -> str:
    """`name` itself when it is 1 to 64 letters, digits, dots, underscores and dashes, led by a letter or digit.

    Raises:
        NameRefusedError: it is anything else, "../x" for instance.
    """
    if _NAME.fullmatch(name) is None:
        raise NameRefusedError(f"{what} {name!r} does not match {_NAME.pattern}")
    return name


def model_name(universe: str, horizon: str) -> str:
    """The registered model of a universe and a horizon: "{universe}.{horizon}"."""
    return checked_name(f"{checked_name(universe, 'universe')}.{checked_name(horizon, 'horizon')}", "model name")
