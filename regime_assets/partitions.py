"""The partitions of a universe: one a session of its exchange's calendar, and nothing on days without trading."""

from __future__ import annotations

from datetime import date, datetime, time

import dagster as dg

from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.universe import Universe


def session_partitions(universe: Universe, calendar: TradingCalendar) -> dg.DailyPartitionsDefinition:
    """Daily partitions in the exchange's time zone; a session's partition exists from the following midnight on."""
    last = universe.last_partition or calendar.all_sessions[-1]
    exclusions: list[str | datetime] = [
        datetime.combine(day, time()) for day in calendar.holidays(universe.first_partition, last)
    ]
    closed = sorted((day + 1) % 7 for day in calendar.closed_weekdays)  # cron counts from Sunday
    if closed:
        exclusions.insert(0, f"0 0 * * {','.join(map(str, closed))}")
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
