"""A challenger is held against decisions that the champion's line took on sessions which it had not seen."""

from __future__ import annotations

from datetime import date

import pandas as pd

from regime_assets.library.steps.champion_line import champion_weights

SESSIONS = pd.DatetimeIndex(pd.bdate_range("2020-01-01", periods=8, name="session"))
SYMBOLS = ("A", "B")


def decided(sessions: pd.DatetimeIndex, exposure: float) -> pd.DataFrame:
    return pd.DataFrame({"rule_exposure": exposure}, index=sessions)


def unasked() -> pd.DataFrame:
    raise AssertionError("the frozen bundle is not asked while the track is whole")


def exposures(track: pd.DataFrame, since: date, frozen: float | None = None) -> dict[date, float]:
    answer = unasked if frozen is None else lambda: decided(SESSIONS, frozen)
    weights = champion_weights(track, answer, "rule", SYMBOLS, SESSIONS, since)
    return {day.date(): float(row) for day, row in weights.sum(axis=1).items()}


def test_a_line_that_is_refitted_is_its_own_track() -> None:
    found = exposures(decided(SESSIONS, 0.4), since=SESSIONS[-1].date())
    assert list(found) == [day.date() for day in SESSIONS]
    assert set(found.values()) == {0.4}


def test_after_its_last_refit_the_bundle_that_serves_decides_on() -> None:
    found = exposures(decided(SESSIONS[:5], 0.4), since=SESSIONS[4].date(), frozen=0.9)
    assert list(found.values()) == [0.4] * 5 + [0.9] * 3


def test_what_the_bundle_had_seen_is_no_record_of_it() -> None:
    found = exposures(decided(SESSIONS[:0], 0.4), since=SESSIONS[5].date(), frozen=0.9)
    assert list(found) == [day.date() for day in SESSIONS[5:]]


def test_a_gap_ends_the_record_before_it() -> None:
    found = exposures(decided(SESSIONS[[0, 1, 4, 5, 6, 7]], 0.4), since=SESSIONS[7].date())
    assert list(found) == [day.date() for day in SESSIONS[4:]]
