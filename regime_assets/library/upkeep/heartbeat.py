"""A dead man's switch: whether a universe's newest signal is as new as its calendar asks, whoever is dead.

It reads the published signal and the calendar, nothing of Dagster: a scheduler that died says nothing, and this asks
from outside, from cron for instance. Holidays are no silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from regime_assets.library.home import Home
from regime_assets.library.market.universe_calendar import universe_calendar
from regime_assets.library.serving.published_signal import PublishedSignalError, read_published_signal
from regime_assets.library.universe import Universe


@dataclass(frozen=True)
class Heartbeat:
    """How far a universe's signal is behind.

    Attributes:
        universe: its name.
        newest: the session of the published signal; None when there is none.
        due: the newest session whose signal should be there; None before the first.
        missed: sessions up to `due` that came after `newest`.
        trouble: why the published signal cannot be read; empty when it can.
    """

    universe: str
    newest: date | None
    due: date | None
    missed: int
    trouble: str = ""

    @property
    def beats(self) -> bool:
        """Whether the signal is as new as it should be."""
        return self.missed == 0 and not self.trouble

    def __str__(self) -> str:
        if self.trouble:
            return f"{self.universe}: {self.trouble}"
        newest = "no signal" if self.newest is None else f"signal of {self.newest}"
        if self.beats:
            return f"{self.universe}: {newest}, as new as it should be"
        return f"{self.universe}: {newest}, {self.missed} sessions behind {self.due}"


def heartbeat(home: Home, universe: Universe, now: datetime, patience: timedelta) -> Heartbeat:
    """Compare the published signal with the calendar.

    Args:
        home: the data folder.
        universe: whose signal.
        now: the moment, aware.
        patience: how long after `schedule.at` a session's signal may come.
    """
    due = _due(home, universe, now - patience)
    try:
        published = read_published_signal(home.mlflow_artifacts, universe.name)
    except PublishedSignalError as error:
        return Heartbeat(universe.name, None, due[-1] if due else None, len(due), str(error))
    newest = None if published is None else published.signal.session
    missed = [session for session in due if newest is None or session > newest]
    return Heartbeat(universe.name, newest, due[-1] if due else None, len(missed))


def _due(home: Home, universe: Universe, now: datetime) -> tuple[date, ...]:
    """The sessions whose turn has come: a session's is at `schedule.at` on the day after it, exchange time."""
    calendar = universe_calendar(universe, home.calendars)
    local = now.astimezone(ZoneInfo(calendar.timezone))
    hour, minute = map(int, universe.schedule.at.split(":"))
    turn = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    newest = local.date() - timedelta(days=1 if local >= turn else 2)
    last = min(newest, universe.last_partition) if universe.last_partition else newest
    return calendar.sessions(universe.first_partition, last)
