"""Trading calendars as plain dates: an exchange's sessions and the moment when each one's decision is taken.

The sessions come from exchange_calendars and are cached as JSON, so that a code location which needs nothing
but partition keys imports neither pandas nor exchange_calendars. Some exchanges publish their holidays a year at a
time; behind the last day that exchange_calendars knows of them, every usual weekday is taken for a session and said to
be assumed, and a closing that the data shows is an exception that the universe's file accepts.
"""

from __future__ import annotations

import bisect
import difflib
import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
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

WARN_DAYS = 90
"""Calendar days before a calendar's known sessions end from which on that is warned of."""


class CalendarError(Exception):
    """An unknown calendar, or a question about days that the calendar does not cover."""


@dataclass(frozen=True)
class TradingCalendar:
    """The sessions of one exchange.

    Attributes:
        name: the exchange's name in exchange_calendars ("XNYS", "24/7").
        timezone: IANA name of the exchange's time zone.
        all_sessions: every session covered, ascending, at least one.
        known_until: the last day whose sessions are known; later ones are assumed. None when all are known.
    """

    name: str
    timezone: str
    all_sessions: tuple[date, ...]
    known_until: date | None = None

    def sessions(self, first: date, last: date) -> tuple[date, ...]:
        """The covered sessions of [first, last]."""
        start = bisect.bisect_left(self.all_sessions, first)
        return self.all_sessions[start : bisect.bisect_right(self.all_sessions, last)]

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on `day`."""
        position = bisect.bisect_left(self.all_sessions, day)
        return position < len(self.all_sessions) and self.all_sessions[position] == day

    def with_exceptions(self, opened: Iterable[date], closed: Iterable[date]) -> TradingCalendar:
        """The calendar with days on which trading took place, or did not, whatever the exchange had announced."""
        covered = {day for day in opened if self.all_sessions[0] <= day <= self.all_sessions[-1]}
        without = set(closed)
        if not covered and not without:
            return self
        sessions = sorted((set(self.all_sessions) | covered) - without)
        return replace(self, all_sessions=tuple(sessions))

    def warning(self, today: date) -> str | None:
        """What there is to say when the known sessions end soon, or have ended."""
        if self.known_until is None or (self.known_until - today).days > WARN_DAYS:
            return None
        return (
            f"the sessions of {self.name} are known up to {self.known_until} only; later weekdays count as sessions "
            "until a newer release of exchange_calendars is installed (pip install --upgrade exchange_calendars)"
        )

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

    Sessions behind the last day that exchange_calendars knows are assumed, see `TradingCalendar.known_until`.

    Args:
        name: a name that exchange_calendars knows ("XNYS", "XLON", "24/7").
        start: the first day covered.
        cache_folder: where the JSON files lie; created when missing.
        today: the current day; taken from the clock when not given.

    Raises:
        CalendarError: the name is unknown, or the exchange's calendar does not reach back to `start`.

    Examples:
        >>> calendar = load_calendar("XNYS", date(2024, 1, 2), Path("data/calendars"), today=date(2024, 12, 31))
        >>> [day.isoformat() for day in calendar.sessions(date(2024, 7, 3), date(2024, 7, 8))]
        ['2024-07-03', '2024-07-05', '2024-07-08']
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

    def made(last: date) -> TradingCalendar:
        calendar = exchange_calendars.get_calendar(name, start=start.isoformat(), end=last.isoformat())
        return TradingCalendar(name, str(calendar.tz), tuple(session.date() for session in calendar.sessions))

    try:
        return made(end)
    except InvalidCalendarName as error:
        known = exchange_calendars.get_calendar_names()
        close = difflib.get_close_matches(name.upper(), known, n=5, cutoff=0.5)
        hint = f"; did you mean {', '.join(close)}?" if close else f"; known are {', '.join(known)}"
        raise CalendarError(f"there is no calendar {name!r}{hint}") from error
    except ValueError as error:  # beyond the days for which the exchange's rules are known
        whole = exchange_calendars.get_calendar(name)
        first, last = whole.bound_min(), whole.bound_max()
        if last is None or last.date() >= end or (first is not None and start < first.date()):
            raise CalendarError(f"{name} from {start} to {end}: {error}") from error
        return _with_assumed_sessions(replace(made(last.date()), known_until=last.date()), last.date(), end)


def _with_assumed_sessions(known: TradingCalendar, known_until: date, end: date) -> TradingCalendar:
    ahead = (known_until + timedelta(days=n + 1) for n in range((end - known_until).days))
    assumed = tuple(day for day in ahead if day.weekday() not in known.closed_weekdays)
    return replace(known, all_sessions=(*known.all_sessions, *assumed))


def _read_cached(path: Path) -> TradingCalendar | None:
    """The cached calendar; None when there is none, or when it is damaged or edited: it can always be made anew."""
    try:
        return _parsed(path.name, path.read_text())
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=32)
def _parsed(name: str, text: str) -> TradingCalendar | None:
    """The calendar that a file of that name holds; universes of one exchange have one object."""
    try:
        document = json.loads(text)
        if document.pop("sha256") != _hash(name, document):
            return None
        sessions = tuple(date.fromisoformat(day) for day in document["sessions"])
        until = document["known_until"]
        known_until = None if until is None else date.fromisoformat(until)
        return TradingCalendar(document["name"], document["timezone"], sessions, known_until) if sessions else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_cached(path: Path, calendar: TradingCalendar) -> None:
    document = {
        "name": calendar.name,
        "timezone": calendar.timezone,
        "known_until": None if calendar.known_until is None else calendar.known_until.isoformat(),
        "sessions": [day.isoformat() for day in calendar.all_sessions],
    }
    with suppress(OSError):  # made anew each time then; who has to write there says that it cannot be
        write_file_atomically(path, json.dumps(document | {"sha256": _hash(path.name, document)}).encode())


def _hash(name: str, document: dict[str, Any]) -> str:
    """Of the file's name too: one of another exchange, start or release is not taken for this one."""
    return hashlib.sha256(json.dumps([name, document], sort_keys=True).encode()).hexdigest()
