"""When a full retrain is due: on the first session of each period."""

from __future__ import annotations

from datetime import date

from regime_assets.library.market.calendar import TradingCalendar

PERIODS = ("weekly", "monthly", "quarterly", "never")


def full_retrain_due(period: str, session: date, calendar: TradingCalendar) -> bool:
    """Whether `session` is the first session of its week, month or quarter.

    Decided from the calendar alone, so that re-materializing a session decides the same.

    Raises:
        ValueError: `period` is none of `PERIODS`.
    """
    if period not in PERIODS:
        raise ValueError(f"{period!r} is none of {', '.join(PERIODS)}")
    if period == "never" or session == calendar.all_sessions[0]:
        return False
    return _period_of(period, session) != _period_of(period, calendar.previous(session))


def _period_of(period: str, day: date) -> tuple[int, int]:
    if period == "weekly":
        return day.isocalendar()[:2]
    if period == "monthly":
        return day.year, day.month
    return day.year, (day.month - 1) // 3
