"""Trading calendars as plain dates: an exchange's sessions and the moment when each one's decision is taken.

The sessions come from exchange_calendars and are cached as JSON, so that a code location which needs nothing
but partition keys imports neither pandas nor exchange_calendars.
"""

from __future__ import annotations

import bisect
import difflib
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.clock import clock

DECISION_TIME = time(6, 0)
"""Exchange-local time, on the calendar day after a session, at which that session's decision is taken."""

DAYS_AHEAD = 365
"""Calendar days beyond today that a calendar covers when it is made."""

REFRESH_DAYS = 30
"""A cached calendar that ends within this many calendar days from today is made anew."""


class CalendarError(Exception):
    """An unknown calendar, or a question about days that the calendar does not cover."""


@dataclass(frozen=True)
class TradingCalendar:
    """The sessions of one exchange.

    Attributes:
        name: the exchange's name in exchange_calendars ("XNYS", "24/7").
        timezone: IANA name of the exchange's time zone.
        all_sessions: every session covered, ascending, at least one.
    """

    name: str
    timezone: str
    all_sessions: tuple[date, ...]

    def sessions(self, first: date, last: date) -> tuple[date, ...]:
        """The covered sessions of [first, last]."""
        start = bisect.bisect_left(self.all_sessions, first)
        return self.all_sessions[start : bisect.bisect_right(self.all_sessions, last)]

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on `day`."""
        position = bisect.bisect_left(self.all_sessions, day)
        return position < len(self.all_sessions) and self.all_sessions[position] == day

    def previous(self, session: date, n: int = 1) -> date:
        """The session `n` before `session`.

        Raises:
            CalendarError: `session` is none, or the calendar starts later than the answer.
        """
        return self._shifted(session, -n)

    def next(self, session: date, n: int = 1) -> date:
        """The session `n` after `session`.

        Raises:
            CalendarError: `session` is none, or the calendar ends before the answer.
        """
        return self._shifted(session, n)

    @cached_property
    def closed_weekdays(self) -> tuple[int, ...]:
        """The days of the week (0 is Monday) on which the exchange never traded."""
        traded = {day.weekday() for day in self.all_sessions}
        return tuple(day for day in range(7) if day not in traded)

    def holidays(self, first: date, last: date) -> tuple[date, ...]:
        """The days of [first, last] that are no sessions though their weekday sometimes is, as far as it reaches."""
        until = min(last, self.all_sessions[-1])
        days = (first + timedelta(days=n) for n in range((until - first).days + 1))
        traded, closed = set(self.sessions(first, until)), self.closed_weekdays
        return tuple(day for day in days if day.weekday() not in closed and day not in traded)

    def decision_time(self, session: date) -> datetime:
        """The moment, in UTC, up to which a fact counts as known as of `session`."""
        local = datetime.combine(session + timedelta(days=1), DECISION_TIME, ZoneInfo(self.timezone))
        return local.astimezone(UTC)

    def _shifted(self, session: date, n: int) -> date:
        position = bisect.bisect_left(self.all_sessions, session)
        if position == len(self.all_sessions) or self.all_sessions[position] != session:
            raise CalendarError(f"{session} is no session of {self.name}, {self._covered()}")
        if not 0 <= position + n < len(self.all_sessions):
            raise CalendarError(f"no session {n:+d} from {session} in {self.name}, {self._covered()}")
        return self.all_sessions[position + n]

    def _covered(self) -> str:
        return f"which is covered from {self.all_sessions[0]} to {self.all_sessions[-1]}"


def load_calendar(name: str, start: date, cache_folder: Path, today: date | None = None) -> TradingCalendar:
    """The calendar `name` from `start` to a year after `today`, from the cache if that is still good.

    Args:
        name: a name that exchange_calendars knows ("XNYS", "XLON", "24/7").
        start: the first day covered.
        cache_folder: where the JSON files lie; created when missing.
        today: the current day; taken from the clock when not given.

    Raises:
        CalendarError: the name is unknown, or the exchange's calendar does not reach back to `start`.
    """
    today = today or clock.now().date()
    release = version("exchange_calendars")
    cached = cache_folder / f"{quote(name, safe='')}-{start.isoformat()}-{release}.json"
    calendar = _read_cached(cached)
    if calendar is None or (calendar.all_sessions[-1] - today).days < REFRESH_DAYS:
        calendar = _make(name, start, today + timedelta(days=DAYS_AHEAD))
        _write_cached(cached, calendar)
    return calendar


def _make(name: str, start: date, end: date) -> TradingCalendar:
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        made = exchange_calendars.get_calendar(name, start=start.isoformat(), end=end.isoformat())
    except InvalidCalendarName as error:
        known = exchange_calendars.get_calendar_names()
        close = difflib.get_close_matches(name.upper(), known, n=5, cutoff=0.5)
        hint = f"; did you mean {', '.join(close)}?" if close else f"; known are {', '.join(known)}"
        raise CalendarError(f"there is no calendar {name!r}{hint}") from error
    except ValueError as error:  # beyond the days for which the exchange's rules are known
        raise CalendarError(f"{name} from {start} to {end}: {error}") from error
    return TradingCalendar(name, str(made.tz), tuple(session.date() for session in made.sessions))


def _read_cached(path: Path) -> TradingCalendar | None:
    """The cached calendar; None when there is none, or when it is damaged or edited: it can always be made anew."""
    try:
        document = json.loads(path.read_text())
        if document.pop("sha256") != _hash(document):
            return None
        sessions = tuple(date.fromisoformat(day) for day in document["sessions"])
        return TradingCalendar(document["name"], document["timezone"], sessions) if sessions else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_cached(path: Path, calendar: TradingCalendar) -> None:
    document = {
        "name": calendar.name,
        "timezone": calendar.timezone,
        "sessions": [day.isoformat() for day in calendar.all_sessions],
    }
    write_file_atomically(path, json.dumps(document | {"sha256": _hash(document)}).encode())


def _hash(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
