"""The partitions of a universe: one a session of its exchange's calendar, and nothing on days without trading."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import dagster as dg

from regime_assets.library.clock import clock
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.universe import Universe


def session_partitions(
    universe: Universe, calendar: TradingCalendar, now: datetime | None = None
) -> dg.DailyPartitionsDefinition:
    """Daily partitions in the exchange's time zone; a session's partition exists from the following midnight on."""
    last = universe.last_partition or calendar.all_sessions[-1]
    exclusions: list[str | datetime] = [
        datetime.combine(day, time()) for day in calendar.holidays(universe.first_partition, last)
    ]
    closed = sorted((day + 1) % 7 for day in calendar.closed_weekdays)  # cron counts from Sunday
    if closed:
        exclusions.insert(0, f"0 0 * * {','.join(map(str, closed))}")
    day_after_last = None if universe.last_partition is None else universe.last_partition + timedelta(days=1)
    minute = (now or clock.system_now()).astimezone(ZoneInfo(calendar.timezone)).replace(second=0, microsecond=0)
    past_the_end = (
        0 if day_after_last is None else _count_since(day_after_last, minute, tuple(exclusions), calendar.timezone)
    )
    return dg.DailyPartitionsDefinition(
        start_date=universe.first_partition.isoformat(),
        end_date=None if day_after_last is None else day_after_last.isoformat(),
        timezone=calendar.timezone,
        exclusions=exclusions or None,
        end_offset=-past_the_end,
    )


@lru_cache(maxsize=32)  # universes of one exchange whose data end on one day
def _count_since(first: date, now: datetime, exclusions: tuple[str | datetime, ...], timezone: str) -> int:
    """How many partitions lie between the end of a finished set and now.

    Dagster 1.13 lists the newest partitions, which the UI plots, from today backwards without looking at `end_date`
    (`TimeWindowPartitionsDefinition.get_paginated_partition_keys`). A negative `end_offset` of this many takes the
    list back to where the data end, and changes nothing else: the last partition is the earlier of the two ends.
    """
    since = dg.DailyPartitionsDefinition(first.isoformat(), timezone=timezone, exclusions=list(exclusions) or None)
    return len(since.get_partition_keys(current_time=now))
