"""Drift as episodes: confirmed before it opens, latched until the model was refitted and the market came back.

One episode asks for one refresh. Without the latch one crisis fires 10 to 37 escalations a year, whatever the
thresholds; without the doubling cool-down a market that stays disturbed asks again as soon as it may. A new
champion does not end an episode: only a refit and a return below the recovery level, together, do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.monitoring.drift import DriftMeasurement, DriftSettings

Status = Literal["calm", "suspected", "drifting"]


class EpisodeError(Exception):
    """The sessions do not follow each other."""


@dataclass(frozen=True)
class DriftState:
    """Where the monitor stands after one session.

    Attributes:
        session: the session.
        status: 'drifting' while an episode is open, 'suspected' when a bound is exceeded and not confirmed.
        episode_id: the open episode, named after its first session; None when none is open.
        opened: the newest episode's first session, also after it ended; None before the first.
        sessions_since: sessions since then; None before the first.
        refresh_requested: whether this session asks for a refresh: true on an episode's first session only.
        refitted: whether the model was refitted from scratch since `opened`.
        exceeded: sessions in a row with a bound exceeded.
        recovered: sessions in a row below the recovery level.
        cool_down: sessions left in which no episode opens.
        back_off: the cool-down that follows the newest episode.
    """

    session: date
    status: Status
    episode_id: str | None
    opened: date | None
    sessions_since: int | None
    refresh_requested: bool
    refitted: bool
    exceeded: int
    recovered: int
    cool_down: int
    back_off: int

    def to_dict(self) -> dict[str, Any]:
        """A flat dict of strings, numbers and None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The state that `to_dict` flattened."""
        known = {field.name: values[field.name] for field in fields(cls)}
        for name in ("session", "opened"):
            if known[name] is not None:
                known[name] = date.fromisoformat(str(known[name]))
        return cls(**known)


def advance(
    previous: DriftState | None,
    measurement: DriftMeasurement,
    session: date,
    settings: DriftSettings,
    last_full_retrain: date | None = None,
) -> DriftState:
    """The state after `session`.

    Args:
        previous: the state after the session before; None at the start.
        measurement: this session's drift.
        session: the session, later than the previous one.
        settings: what confirms, ends and delays an episode.
        last_full_retrain: the training cutoff of the newest accepted full retrain that exists as of `session`.

    Raises:
        EpisodeError: `session` is not later than `previous.session`.
    """
    if previous is not None and session <= previous.session:
        raise EpisodeError(f"the session {session} is not later than the state's, {previous.session}")
    before = previous or _initial(session, settings)
    exceeded = before.exceeded + 1 if measurement.largest >= 1 else 0
    recovered = before.recovered + 1 if measurement.largest < settings.recovery_level else 0
    since = None if before.sessions_since is None else before.sessions_since + 1
    is_open, cool_down, back_off = before.episode_id is not None, before.cool_down, before.back_off
    opened, refitted = before.opened, before.refitted
    opens = False
    if is_open:
        refitted = refitted or (opened is not None and last_full_retrain is not None and last_full_retrain >= opened)
        if refitted and recovered >= settings.confirm_sessions:
            is_open, cool_down = False, back_off
    elif cool_down > 0:
        cool_down -= 1
    elif exceeded >= settings.confirm_sessions:
        is_open = opens = True
        soon = since is not None and since <= settings.back_off_sessions
        doubled = min(2 * back_off, settings.longest_cool_down_sessions)
        back_off = doubled if soon else settings.cool_down_sessions
        opened, since, refitted = session, 0, False
    suspected = exceeded > 0 and cool_down == 0
    return DriftState(
        session=session,
        status="drifting" if is_open else "suspected" if suspected else "calm",
        episode_id=f"drift-{opened}" if is_open else None,
        opened=opened,
        sessions_since=since,
        refresh_requested=opens,
        refitted=refitted,
        exceeded=exceeded,
        recovered=recovered,
        cool_down=cool_down,
        back_off=back_off,
    )


class EpisodeCounter:
    """`advance` for many paths at once, every refresh taken to succeed by the next session; for the calibration."""

    def __init__(self, shape: tuple[int, ...], settings: DriftSettings) -> None:
        self._settings = settings
        self._open = np.zeros(shape, bool)
        self._exceeded = np.zeros(shape, np.int16)
        self._recovered = np.zeros(shape, np.int16)
        self._cool_down = np.zeros(shape, np.int16)
        self._back_off = np.full(shape, settings.cool_down_sessions, np.int16)
        self._since = np.full(shape, np.iinfo(np.int16).max // 2, np.int16)

    @property
    def busy(self) -> NDArray[np.bool_]:
        """Where no episode can open now: one is open, or its cool-down lasts."""
        return self._open | (self._cool_down > 0)

    def step(self, largest: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Take one session's largest ratios; return where an episode opened."""
        settings = self._settings
        self._exceeded = (self._exceeded + 1) * (largest >= 1)
        self._recovered = (self._recovered + 1) * (largest < settings.recovery_level)
        self._since = np.minimum(self._since + 1, np.iinfo(np.int16).max // 2)
        cooling = self._cool_down > 0
        opens = ~self._open & ~cooling & (self._exceeded >= settings.confirm_sessions)
        closes = self._open & (self._recovered >= settings.confirm_sessions)
        soon = opens & (self._since <= settings.back_off_sessions)
        self._back_off[opens & ~soon] = settings.cool_down_sessions
        self._back_off[soon] = np.minimum(2 * self._back_off[soon], settings.longest_cool_down_sessions)
        self._cool_down[cooling] -= 1
        self._cool_down[closes] = self._back_off[closes]
        self._since[opens] = 0
        self._open = (self._open | opens) & ~closes
        return opens


def _initial(session: date, settings: DriftSettings) -> DriftState:
    return DriftState(session, "calm", None, None, None, False, False, 0, 0, 0, settings.cool_down_sessions)
