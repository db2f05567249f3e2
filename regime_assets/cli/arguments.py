"""What commands take: sessions, counts, reasons; and a parser whose help says what each is."""

from __future__ import annotations

import argparse
from datetime import date
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser that keeps the line breaks of its texts."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **arguments)


def session(text: str) -> date:
    """A session's date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date: write YYYY-MM-DD, for example 2022-12-28") from None


def at_least_one(text: str) -> int:
    """A count."""
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: write 1 or more")
    return count


def stated_reason(reason: str) -> str:
    """A reason that is not blank."""
    if not reason.strip():
        raise argparse.ArgumentTypeError("say it in words: it is kept and shown with what was done")
    return reason.strip()


def add_json(command: argparse.ArgumentParser) -> None:
    """Let a command print what a script reads."""
    command.add_argument("--json", action="store_true", help="print JSON for a script")
