"""What a universe leaves out means the same in every version of the package: no default of a component ever changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from regime_assets.library.components import BUILT_IN, settings_class

PINNED = Path(__file__).parent / "defaults_of_edition_1.json"
WRITE = "python -m regime_assets_tests.library.universe.test_defaults"


def defaults() -> dict[str, dict[str, Any]]:
    """Every setting of every built-in component at its default, by `slot/name`."""
    found = {
        f"{slot}/{use}": asdict(settings_class(slot, use)())
        for slot, components in BUILT_IN.items()
        for use in components
    }
    return json.loads(json.dumps(found))


def differing(pinned: Any, now: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(pinned, dict) and isinstance(now, dict):
        for key in sorted({*pinned, *now}):
            yield from differing(pinned.get(key, "not pinned"), now.get(key, "gone"), f"{name}.{key}")
    elif pinned != now:
        yield name, pinned, now


def test_no_default_changes() -> None:
    for found, before, now in differing(json.loads(PINNED.read_text()), defaults(), ""):
        name = found.removeprefix(".")
        if before == "not pinned":
            raise AssertionError(f"{name} is new: pin its default {now!r} with `{WRITE}`")
        raise AssertionError(
            f"the default of {name} was {before!r} and is {now!r}. Universes that leave it out mean {before!r}, and "
            "their champions were fitted with it: put it back, and write the better one into EDITIONS of "
            "library/universe/design_section.py as another edition, which a universe asks for by `defaults: 2`"
        )


if __name__ == "__main__":
    PINNED.write_text(json.dumps(defaults(), indent=1, sort_keys=True) + "\n")
