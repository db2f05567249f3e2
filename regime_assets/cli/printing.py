"""How commands print: tables that fit the terminal, JSON for scripts, lines that appear at once."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from datetime import date, datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

PIPE_COLUMNS = 80  # where no terminal says how wide it is


def columns() -> int:
    """The width that may be printed to."""
    return shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns


def say(line: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def say_wrapped(text: str, indent: int = 0) -> None:
    """Print a paragraph, broken between words."""
    margin = " " * indent
    for line in _lines(text, columns(), margin):
        say(line)


def say_json(value: Any) -> None:
    """Print a value as JSON: dates as ISO text, what is not a finite number as null."""
    say(json.dumps(_plain(value), indent=2, allow_nan=False))


def say_table(rows: DataFrame, title: str) -> None:
    """Print rows under their columns' names; where they are too wide, one below the other with a name on each line.

    A table that breaks words in the middle can be read by nobody.
    """
    say(title)
    names = [str(name) for name in rows.columns]
    cells = [[str(value) for value in row] for row in rows.itertuples(index=False)]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= columns():
        for line in (names, *cells):
            say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        return
    margin = max(map(len, names)) + 2
    for row in cells:
        say()
        for name, cell in zip(names, row, strict=True):
            if cell:
                first, *others = _lines(cell, max(20, columns() - margin)) or [""]
                say(f"{name:<{margin}}{first}")
                for other in others:
                    say(f"{'':<{margin}}{other}")


def _lines(text: str, width: int, margin: str = "") -> list[str]:
    """Broken between words only: a date or a path that is cut at its hyphen cannot be copied."""
    return wrap(
        text,
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
