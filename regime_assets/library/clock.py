"""The one clock: everything that asks what time it is asks here, so that any evening can be run again.

Set it and the whole system lives at that moment and goes on from there: a test, a replay or a demo "as of that evening"
needs no patching. `REGIME_ASSETS_NOW` sets it for a process and for all that it starts.

Stopwatches (`time.monotonic`, `time.perf_counter`) are not clocks and stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

NOW_VARIABLE = "REGIME_ASSETS_NOW"
"""An ISO moment with its offset; with ` since <moment>` behind it, the real moment at which the clock was set to it."""

_SINCE = " since "


class ClockError(Exception):
    """A moment that the clock cannot be set to."""


class Clock:
    """The time that this process lives in: the system's, or shifted by a fixed distance."""

    def __init__(self) -> None:
        self._shift: timedelta | None = None

    def now(self) -> datetime:
        """The current moment, in UTC.

        Raises:
            ClockError: `REGIME_ASSETS_NOW` holds no moment.
        """
        return self.shown_at(self.system_now())

    def today(self, timezone: str = "UTC") -> date:
        """The current day in a time zone."""
        return self.now().astimezone(ZoneInfo(timezone)).date()

    def shown_at(self, moment: datetime) -> datetime:
        """What this clock shows at a real moment, such as one that Dagster's daemon states."""
        return moment + self._shifted()

    def system_now(self) -> datetime:
        """The machine's own time in UTC, for moments that another program stamped: Dagster's events, MLflow's runs."""
        return datetime.now(UTC)

    @property
    def is_set(self) -> bool:
        """Whether this clock shows another time than the machine's."""
        return self._shifted() != timedelta(0)

    def set_to(self, moment: datetime) -> None:
        """Show `moment` now and go on from there, in this process and those that it starts.

        Raises:
            ClockError: `moment` has no time zone.
        """
        if moment.tzinfo is None:
            raise ClockError(f"{moment} has no time zone: write it with one, as in 2024-06-28T18:30-04:00")
        since = self.system_now()
        self._shift = moment.astimezone(UTC) - since
        os.environ[NOW_VARIABLE] = f"{moment.isoformat()}{_SINCE}{since.isoformat()}"

    @contextmanager
    def at(self, moment: datetime) -> Generator[None]:
        """Show `moment` within the block, for tests and replays."""
        shift, variable = self._shift, os.environ.get(NOW_VARIABLE)
        self.set_to(moment)
        try:
            yield
        finally:
            self._shift = shift
            if variable is None:
                os.environ.pop(NOW_VARIABLE, None)
            else:
                os.environ[NOW_VARIABLE] = variable

    def _shifted(self) -> timedelta:
        if self._shift is None:
            self._shift = self._from_environment()
        return self._shift

    def _from_environment(self) -> timedelta:
        text = os.environ.get(NOW_VARIABLE, "").strip()
        if not text:
            return timedelta(0)
        moment, _, since = text.partition(_SINCE)
        return parsed(moment) - (parsed(since) if since else self.system_now())


def parsed(text: str) -> datetime:
    """A moment from text.

    Raises:
        ClockError: it is no ISO moment with an offset.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ClockError(f"{text!r} is no moment: write one as in 2024-06-28T18:30-04:00") from error
    if moment.tzinfo is None:
        raise ClockError(f"{text!r} has no time zone: write it with one, as in 2024-06-28T18:30-04:00")
    return moment.astimezone(UTC)


clock = Clock()
"""The clock of this process."""
