"""Lines written into a universe's file by a program: the rest of it, comments included, stays as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from regime_assets.library.universe.file import UniverseError, load_universe


class Edit(NamedTuple):
    """One line to write.

    Attributes:
        section: `symbols`, a list of exceptions, or the name of a setting.
        line: the entry or the value.
        symbol: the bare entry of `symbols` whose place it takes.
    """

    section: str
    line: str
    symbol: str


def apply_edits(path: Path, edits: Sequence[Edit]) -> list[Edit]:
    """Write what can be written in place; what cannot is returned.

    Raises:
        UniverseError: the file would not be valid afterwards; it is as it was.
    """
    before = path.read_text()
    text, left = before, list[Edit]()
    for edit in edits:
        changed = _changed(text, edit)
        if changed is None:
            left.append(edit)
        else:
            text = changed
    path.write_text(text)
    try:
        load_universe(path)
    except UniverseError:
        path.write_text(before)
        raise
    return left


def line_of(path: Path, setting: str) -> int:
    """The line of a setting at the top level of a file; 1 when it is not there."""
    lines = path.read_text().splitlines()
    return next((number for number, line in enumerate(lines, start=1) if line.startswith(f"{setting}:")), 1)


def _changed(text: str, edit: Edit) -> str | None:
    if edit.section == "symbols":
        symbol = re.escape(edit.symbol)
        bare = re.compile(rf"(?m)(^\s*- |[\[,]\s*)(['\"]?){symbol}\2(?=\s*(?:[,\]#]|$))")
        section = re.search(r"(?ms)^symbols:.*?(?=^\S|\Z)", text)
        found = bare.search(text, section.start(), section.end()) if section else None
        return None if found is None else text[: found.start()] + found.group(1) + edit.line + text[found.end() :]
    if edit.section in ("accept", "suspended"):
        if not re.search(rf"(?m)^{edit.section}:", text):
            return f"{text.rstrip()}\n{edit.section}:\n  - {edit.line}\n"
        block = re.search(rf"(?m)^{edit.section}:[ \t]*(#.*)?\n(?=\s*-)", text)
        return None if block is None else f"{text[: block.end()]}  - {edit.line}\n{text[block.end() :]}"
    setting = re.search(rf"(?m)^{edit.section}:[ \t]*[^\s#]+", text)
    return None if setting is None else f"{text[: setting.start()]}{edit.section}: {edit.line}{text[setting.end() :]}"
