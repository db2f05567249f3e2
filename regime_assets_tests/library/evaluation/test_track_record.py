"""The worth of a Sharpe ratio agrees with the published figures and with what simulation shows."""

from __future__ import annotations

import numpy as np
import pytest

from regime_assets.library.evaluation.track_record import (
    SharpeMoments,
    deflated_sharpe,
    expected_maximum_sharpe,
    minimum_track_record,
    minimum_track_record_of,
    probabilistic_sharpe,
    probabilistic_sharpe_of,
    probability_of_overfitting,
    sample_moments,
)


def test_probabilistic_sharpe_of_the_published_hedge_fund_record() -> None:
    """Bailey, López de Prado 2012, example of 24 months: .982 if normal, .913 with its skewness and kurtosis."""
    normal = SharpeMoments(sharpe=0.458, skewness=0.0, kurtosis=3.0, sessions=24)
    actual = SharpeMoments(sharpe=0.458, skewness=-2.448, kurtosis=10.164, sessions=24)
    assert probabilistic_sharpe_of(normal, 0.0) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe_of(actual, 0.0) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(("per_year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_minimum_track_record_of_the_published_example(per_year: int, years: float) -> None:
    """Bailey, López de Prado 2012: a Sharpe ratio of 2 told from 1 at 95 %, daily, weekly and monthly."""
    moments = SharpeMoments(2 / np.sqrt(per_year), 0.0, 3.0, per_year)
    needed = minimum_track_record_of(moments, 1 / np.sqrt(per_year), 0.95)
    assert needed is not None
    assert needed / per_year == pytest.approx(years, abs=0.005)


def test_deflated_sharpe_of_the_published_example() -> None:
    """Bailey, López de Prado 2014: 2.5 a year over 1,250 days, best of 100 trials, is worth .9004."""
    threshold = expected_maximum_sharpe(100, 0.5 / 250)
    assert threshold == pytest.approx(0.1132, abs=5e-5)
    moments = SharpeMoments(2.5 / np.sqrt(250), skewness=-3.0, kurtosis=10.0, sessions=1250)
    assert probabilistic_sharpe_of(moments, threshold) == pytest.approx(0.9004, abs=5e-4)


def test_the_best_of_lucky_trials_shows_about_the_expected_maximum() -> None:
    best = np.random.default_rng(0).normal(0, 0.7, (4000, 50)).max(axis=1)
    assert expected_maximum_sharpe(50, 0.49) == pytest.approx(best.mean(), rel=0.02)


def test_one_trial_deflates_nothing_and_more_trials_deflate_more() -> None:
    returns = 0.0008 + 0.01 * np.random.default_rng(1).normal(size=750)
    plain = probabilistic_sharpe(returns)
    values = [deflated_sharpe(returns, trials, 0.2) for trials in (1, 10, 100)]
    assert values[0] == plain
    assert values[0] > values[1] > values[2]


def test_probabilistic_sharpe_is_uniform_when_there_is_no_skill() -> None:
    draws = np.random.default_rng(2).normal(0, 0.01, (800, 252))
    probabilities = np.array([probabilistic_sharpe(draw) for draw in draws], dtype=float)
    assert np.mean(probabilities > 0.95) == pytest.approx(0.05, abs=0.025)


def test_moments_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    returns = np.random.default_rng(3).standard_t(5, 400)
    moments = sample_moments(returns)
    assert moments is not None
    assert moments.skewness == pytest.approx(stats.skew(returns), abs=1e-12)
    assert moments.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False), abs=1e-12)


def test_no_record_is_long_enough_for_a_ratio_below_its_benchmark() -> None:
    returns = -0.001 + 0.01 * np.random.default_rng(4).normal(size=500)
    assert minimum_track_record(returns) is None


def test_a_record_is_longer_than_its_own_minimum_exactly_when_it_is_significant() -> None:
    for seed in range(20):
        returns = 0.0006 + 0.01 * np.random.default_rng(seed).normal(size=500)
        needed, probability = minimum_track_record(returns), probabilistic_sharpe(returns)
        assert probability is not None
        assert (needed is not None and needed < 500) == (probability > 0.95)


def test_strategies_without_skill_are_overfitted_about_half_the_time() -> None:
    shares = [
        probability_of_overfitting(np.random.default_rng(seed).normal(0, 0.01, (640, 20)), 8) for seed in range(30)
    ]
    assert np.mean(np.array(shares, dtype=float)) == pytest.approx(0.5, abs=0.12)


def test_a_strategy_that_is_truly_better_is_not_overfitted() -> None:
    returns = np.random.default_rng(5).normal(0, 0.01, (640, 20))
    returns[:, 7] += 0.003
    assert probability_of_overfitting(returns, 8) == 0.0


def test_overfitting_is_counted_as_the_definition_says() -> None:
    returns = np.random.default_rng(6).normal(0, 0.01, (40, 5))
    halves = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    blocks = returns.reshape(4, 10, 5)
    below = 0
    for half in halves:
        inside = np.concatenate([blocks[i] for i in half])
        outside = np.concatenate([blocks[i] for i in range(4) if i not in half])
        best = (inside.mean(0) / inside.std(0)).argmax()
        ratios = outside.mean(0) / outside.std(0)
        below += ((ratios < ratios[best]).sum() + 1) / 6 <= 0.5
    assert probability_of_overfitting(returns, 4) == below / 6


def test_overfitting_needs_two_strategies() -> None:
    assert probability_of_overfitting(np.zeros((100, 1)), 4) is None
