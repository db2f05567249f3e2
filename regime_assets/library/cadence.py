"""When models are refitted, and when from scratch: decided from the exchange's sessions alone.

So a session that is materialized again decides the same, and a holiday moves a refit to the session before it.
"""

from __future__ import annotations

from datetime import date

from regime_assets.library.market.calendar import TradingCalendar

CADENCES = ("daily", "weekly", "monthly")
PERIODS = ("weekly", "monthly", "quarterly", "never")


def refit_due(every: str, session: date, calendar: TradingCalendar) -> bool:
    """Whether `session` is the last session of its day, week or month.

    Raises:
        ValueError: `every` is none of `CADENCES`.
    """
    if every not in CADENCES:
        raise ValueError(f"{every!r} is none of {', '.join(CADENCES)}")
    if every == "daily":
        return True
    return _period_of(every, session, calendar) != _period_of(every, calendar.next(session), calendar)


def full_retrain_due(period: str, session: date, calendar: TradingCalendar, every: str = "daily") -> bool:
    """Whether a refit on `session` is the first one of its week, month or quarter.

    Args:
        period: how often a full retrain is wanted.
        session: a session on which models are refitted, due or asked for.
        calendar: the sessions.
        every: the cadence of the refits.

    Raises:
        ValueError: `period` is none of `PERIODS`, or `every` none of `CADENCES`.
    """
    if period not in PERIODS:
        raise ValueError(f"{period!r} is none of {', '.join(PERIODS)}")
    if period == "never":
        return False
    before = session
    while before != calendar.all_sessions[0]:
        before = calendar.previous(before)
        if refit_due(every, before, calendar):
            return _period_of(period, session, calendar) != _period_of(period, before, calendar)
    return False


def begins_period(period: str, session: date, before: date, calendar: TradingCalendar) -> bool:
    """Whether a refit on `session` is the first of its week, month or quarter after one on `before`.

    Raises:
        ValueError: `period` is none of `PERIODS`.
    """
    if period not in PERIODS:
        raise ValueError(f"{period!r} is none of {', '.join(PERIODS)}")
    return period != "never" and _period_of(period, session, calendar) != _period_of(period, before, calendar)


def _period_of(period: str, day: date, calendar: TradingCalendar) -> tuple[int, int]:
    if period == "weekly":
        return (day.toordinal() - 1 - _first_weekday(calendar)) // 7, 0
    if period == "monthly":
        return day.year, day.month
    return day.year, (day.month - 1) // 3


def _first_weekday(calendar: TradingCalendar) -> int:
    """The weekday after the exchange's weekend; Monday where it has none."""
    closed = calendar.closed_weekdays
    return next((day for day in range(7) if day not in closed and (day - 1) % 7 in closed), 0)
