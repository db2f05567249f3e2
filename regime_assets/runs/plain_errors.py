"""Errors as a person reads them: what went wrong, without the names of modules and classes of this package."""

from __future__ import annotations

import re

import dagster as dg

OWN_NAME = re.compile(r"^(?:regime_assets|dagster)[\w.]*\.\w+: ")
FOREIGN_NAME = re.compile(r"^(?:\w+\.)+(?=\w+: )")


def plain_message(error: BaseException) -> str:
    """The sentence of an error: our own as it is, a foreign one after the name of its kind."""
    if isinstance(error, dg.Failure):
        return str(error.description)
    said = str(error).strip()
    is_own = type(error).__module__.startswith("regime_assets.")
    return said if is_own else f"{type(error).__name__}: {said}"


def plain_text(message: str) -> str:
    """The same of a message that an event log kept, which begins with the error's full name."""
    return FOREIGN_NAME.sub("", OWN_NAME.sub("", message.strip()))
