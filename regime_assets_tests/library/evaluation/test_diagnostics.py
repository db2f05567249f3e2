"""An oracle is graded perfect, a blind signal at the base rate, and lead time has the right sign."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.evaluation.diagnostics import (
    DiagnosticSettings,
    describe_signal,
    regime_occupancy,
    signal_quality,
    worst_forward_loss,
)

SETTINGS = DiagnosticSettings(drawdown=0.05, horizon=20)


def returns_of(seed: int, sessions: int = 800) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.012, sessions)


def literal_forward_loss(returns: np.ndarray, t: int, horizon: int) -> float:
    """Buy at the close of t + 1, hold `horizon` sessions, remember the lowest level."""
    level, lowest = 1.0, 1.0
    for later in returns[t + 2 : t + 2 + horizon]:
        level *= 1.0 + later
        lowest = min(lowest, level)
    return lowest - 1.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), horizon=st.integers(1, 30))
def test_the_forward_loss_starts_at_the_fill(seed: int, horizon: int) -> None:
    returns = returns_of(seed, 60)
    losses = worst_forward_loss(returns, horizon)
    assert len(losses) == 60 - horizon - 1
    for t in (0, len(losses) // 2, len(losses) - 1):
        assert losses[t] == pytest.approx(literal_forward_loss(returns, t, horizon), abs=1e-12)


def test_an_oracle_has_perfect_precision_and_recall() -> None:
    returns = returns_of(1)
    fell = worst_forward_loss(returns, 20) <= -0.05
    oracle = np.concatenate([fell, np.zeros(800 - len(fell), bool)])
    quality = signal_quality(oracle, returns, SETTINGS)
    assert (quality.precision, quality.recall) == (1.0, 1.0)


def test_a_signal_that_is_always_on_has_the_base_rate_as_its_precision() -> None:
    quality = signal_quality(np.ones(800, bool), returns_of(2), SETTINGS)
    assert quality.precision == quality.base_rate
    assert quality.recall == 1.0


def test_a_signal_that_never_comes_has_no_precision_and_no_lead() -> None:
    quality = signal_quality(np.zeros(800, bool), returns_of(2), SETTINGS)
    assert (quality.precision, quality.recall, quality.lead_sessions, quality.warned) == (None, 0.0, None, 0)


@pytest.mark.parametrize(("first", "lead"), [(102, 3.0), (105, 0.0), (108, -3.0)])
def test_the_lead_is_counted_to_the_crossing_of_the_bound(first: int, lead: float) -> None:
    """The market peaks at session 99 and loses 1 % a session: 5 % are crossed at session 105 (six losses)."""
    returns = np.concatenate([np.full(100, 0.001), np.full(10, -0.01), np.full(200, 0.002)])
    returns[105] = -0.012
    crossing = int(np.flatnonzero(np.cumprod(1 + returns[100:]) <= 0.95)[0]) + 100
    signal = np.zeros(310, bool)
    signal[crossing - 105 + first :] = True
    quality = signal_quality(signal, returns, SETTINGS)
    assert (quality.drawdowns, quality.warned, quality.lead_sessions) == (1, 1, lead)


def test_a_market_that_only_rises_has_nothing_to_warn_of() -> None:
    quality = signal_quality(np.zeros(300, bool), np.full(300, 0.001), SETTINGS)
    assert (quality.base_rate, quality.recall, quality.drawdowns) == (0.0, None, 0)


def test_a_history_shorter_than_the_horizon_grades_nothing() -> None:
    quality = signal_quality(np.ones(10, bool), np.full(10, -0.01), SETTINGS)
    assert (quality.sessions, quality.precision) == (0, None)


def test_the_description_says_what_could_not_be_measured() -> None:
    words = describe_signal(np.zeros(300, bool), np.full(300, 0.001), SETTINGS)
    assert "not measurable" in words.values()
    assert "0 of 0" in words.values()


def test_occupancy_counts_the_path() -> None:
    states = np.array([0, 0, 1, 1, 1, 0, 2, 2])
    assert regime_occupancy(states, 4).tolist() == [3 / 8, 3 / 8, 2 / 8, 0.0]


def test_a_signal_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="not of the same sessions"):
        signal_quality(np.ones(5, bool), np.zeros(6))
