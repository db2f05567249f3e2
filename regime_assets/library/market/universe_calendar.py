"""The sessions of a universe: those of its exchange's calendar, but for the exceptions that its file accepts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.library.market.calendar import CalendarError, TradingCalendar, load_calendar

if TYPE_CHECKING:
    from regime_assets.library.universe import Universe


def universe_calendar(universe: Universe, cache_folder: Path) -> TradingCalendar:
    """The calendar of a universe from its history's start on; read from the cache it costs some milliseconds.

    Raises:
        CalendarError: the calendar is unknown, or does not reach back to the history's start.
    """
    try:
        calendar = load_calendar(universe.calendar, universe.history_start, cache_folder)
    except CalendarError as error:
        raise CalendarError(f"{universe.located('calendar')}: {error}") from error
    return calendar.with_exceptions(universe.opened, universe.closed)
