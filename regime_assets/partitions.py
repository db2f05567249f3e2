"""The partitions of a universe: one a session of its exchange's calendar, and nothing on days without trading."""

from __future__ import annotations

from datetime import date, datetime, time

import dagster as dg

from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.universe import Universe

WEEKENDS = "0 0 * * 0,6"


def session_partitions(universe: Universe, calendar: TradingCalendar) -> dg.DailyPartitionsDefinition:
    """Daily partitions in the exchange's time zone; a session's partition exists from the following midnight on."""
    last = universe.last_partition or calendar.all_sessions[-1]
    holidays = calendar.weekday_holidays(universe.first_partition, last)
    exclusions: list[str | datetime] = [datetime.combine(day, time()) for day in holidays]
    if not calendar.trades_weekends:
        exclusions.insert(0, WEEKENDS)
    end = None if universe.last_partition is None else calendar_day_after(universe.last_partition)
    return dg.DailyPartitionsDefinition(
        start_date=universe.first_partition.isoformat(),
        end_date=end,
        timezone=calendar.timezone,
        exclusions=exclusions or None,
    )


def calendar_day_after(day: date) -> str:
    """The ISO date after `day`: Dagster's `end_date` is exclusive."""
    return date.fromordinal(day.toordinal() + 1).isoformat()
