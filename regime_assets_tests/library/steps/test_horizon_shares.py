"""A horizon counts as much as it is probable that it is the better one, or what the file says."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.steps.horizon_shares import evidence_shares, stored_shares

SESSIONS = pd.bdate_range("2015-01-01", periods=1500)


def records(gain: float, seed: int = 0, sessions: int = 1500) -> tuple[pd.Series, pd.Series]:
    """Two correlated records; the first earns `gain` a session less."""
    generator = np.random.default_rng(seed)
    market = generator.normal(0.0004, 0.01, sessions)
    short, long = (market + generator.normal(0, 0.004, sessions) for _ in range(2))
    return pd.Series(short - gain, SESSIONS[:sessions]), pd.Series(long, SESSIONS[:sessions])


def test_the_worse_horizon_loses_its_share_with_the_evidence_and_never_goes_below_zero() -> None:
    shares = [evidence_shares(*records(gain), 252) for gain in (0.0, 0.0003, 0.002)]
    short = [share["short"] for share in shares if share is not None]
    assert len(short) == 3
    assert short[0] > short[1] > short[2] >= 0.0
    assert all(share is not None and sum(share.values()) == pytest.approx(1.0) for share in shares)


def test_a_short_record_says_less_than_a_long_one() -> None:
    long_one, short_one = (evidence_shares(*records(0.0004, sessions=sessions), 252) for sessions in (1500, 300))
    assert long_one is not None
    assert short_one is not None
    assert abs(short_one["short"] - 0.5) < abs(long_one["short"] - 0.5)


def test_a_year_without_a_common_record_says_nothing() -> None:
    short, long = records(0.002, sessions=200)
    assert evidence_shares(short, long, 252) is None
    assert evidence_shares(short.iloc[:0], long, 252) is None


def test_equal_records_say_nothing() -> None:
    short, _ = records(0.0)
    assert evidence_shares(short, short, 252) is None


def test_the_shares_of_a_stored_signal_are_read_back_and_older_signals_have_none() -> None:
    rows = pd.DataFrame({"symbol": ["A"], "weight": [1.0], "shares": [json.dumps({"short": 0.1, "long": 0.9})]})
    assert stored_shares(rows) == {"short": 0.1, "long": 0.9}
    assert stored_shares(rows.drop(columns="shares")) is None
    assert stored_shares(rows.assign(shares=None)) is None
