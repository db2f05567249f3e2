"""Whether prices and a calendar belong together, and which calendar would: a wrong one is the first mistake made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from regime_assets.library.market.calendar import CalendarError, load_calendar

MOST_EXCEPTIONS = 10
"""Days on which data and their calendar may differ; more of them are another calendar."""

LIKELY_CALENDARS = ("XNYS", "XLON", "XETR", "XTKS", "XHKG", "XSES", "XTSE", "24/7")
"""Calendars that are tried when the named one does not fit."""


def differing_days(name: str, days: Iterable[date], cache: Path) -> list[date]:
    """The days of the data's span that only the calendar or only the data know, ascending.

    Args:
        name: of the calendar.
        days: on which there are prices.
        cache: the folder of the calendars' cache.

    Raises:
        CalendarError: an unknown calendar.
    """
    there = set(days)
    first, last = min(there), max(there)
    return sorted(there ^ set(load_calendar(name, first, cache).sessions(first, last)))


def better_calendar(name: str, days: Iterable[date], cache: Path) -> str | None:
    """A likely calendar that differs from the data on few days; None when none of them does."""
    there = tuple(days)
    found: dict[str, int] = {}
    for other in LIKELY_CALENDARS:
        if other != name:
            try:
                found[other] = len(differing_days(other, there, cache))
            except CalendarError:
                continue  # it does not reach back that far
    best = min(found, key=lambda other: found[other], default=None)
    return best if best is not None and found[best] <= MOST_EXCEPTIONS else None
