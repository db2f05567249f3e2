"""Intervals cover the truth as often as they say, a pair is sharper than two levels, a seed fixes the bits."""

from __future__ import annotations

import numpy as np
import pytest

from regime_assets.library.evaluation.bootstrap import (
    mean_block_length,
    resampled_ratios,
    sharpe_difference,
    sharpe_interval,
)
from regime_assets.library.evaluation.track_record import MetricError, sharpe


def correlated_pair(seed: int, sessions: int, correlation: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    shared, own = generator.normal(size=sessions), generator.normal(size=sessions)
    other = correlation * shared + np.sqrt(1 - correlation**2) * own
    return 0.01 * shared + 0.0003, 0.01 * other + 0.0003


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    first, second = correlated_pair(0, 300)
    once = sharpe_difference(first, second, seed=7, replications=100)
    assert once == sharpe_difference(first, second, seed=7, replications=100)
    assert once != sharpe_difference(first, second, seed=8, replications=100)


def test_the_estimate_is_the_difference_of_the_sharpe_ratios() -> None:
    first, second = correlated_pair(1, 300)
    interval = sharpe_difference(first, second, seed=0, replications=50)
    ours, theirs = sharpe(first), sharpe(second)
    assert interval is not None
    assert ours is not None
    assert theirs is not None
    assert interval.estimate == ours - theirs
    assert interval.low < interval.estimate < interval.high


def test_intervals_of_a_difference_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(150):
        interval = sharpe_difference(*correlated_pair(seed, 504), seed=seed, level=0.9, replications=150)
        assert interval is not None
        covered += interval.low <= 0.0 <= interval.high
    assert covered / 150 == pytest.approx(0.9, abs=0.08)


def test_the_standard_error_agrees_with_theory_for_independent_returns() -> None:
    """Jobson and Korkie with Memmel's correction (2003), for two equal ratios: √(2(1 − ρ)/T) a session."""
    interval = sharpe_difference(*correlated_pair(2, 2520), seed=0, replications=600)
    assert interval is not None
    assert interval.standard_error == pytest.approx(np.sqrt(2 * 0.1 / 10), rel=0.15)


def test_a_pair_is_sharper_than_its_levels() -> None:
    first, second = correlated_pair(3, 504)
    difference = sharpe_difference(first, second, seed=0, replications=200)
    level = sharpe_interval(first, seed=0, replications=200)
    assert difference is not None
    assert level is not None
    assert difference.standard_error < 0.6 * level.standard_error


def test_clustered_returns_are_drawn_in_longer_stretches() -> None:
    generator = np.random.default_rng(4)
    size = np.repeat(np.exp(generator.normal(0, 1, 50)), 40)
    clustered = (size * generator.normal(size=2000))[:, None]
    assert mean_block_length(clustered) > 2 * mean_block_length(generator.permutation(clustered))


def test_equal_series_differ_by_exactly_nothing() -> None:
    returns, _ = correlated_pair(5, 300)
    interval = sharpe_difference(returns, returns.copy(), seed=0)
    assert interval is not None
    assert (interval.low, interval.estimate, interval.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("flat", [0.0, 0.001])
def test_a_series_without_variance_has_no_interval(flat: float) -> None:
    returns, _ = correlated_pair(6, 300)
    assert sharpe_interval(np.full(300, flat), seed=0) is None
    assert sharpe_difference(returns, np.full(300, flat), seed=0) is None


def test_a_series_that_moved_once_has_no_interval() -> None:
    """Many resampled histories miss the one session that moved: what is left would be no fair sample."""
    once = np.zeros(300)
    once[100] = 0.01
    assert sharpe_interval(once, seed=0, replications=100) is None


def test_series_of_unequal_length_are_no_pairs() -> None:
    with pytest.raises(MetricError, match="no pairs"):
        sharpe_difference(np.zeros(30), np.zeros(31), seed=0)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("block", [1, 7])
def test_the_draws_are_those_of_arch_to_the_bit(columns: int, block: int) -> None:
    from arch.bootstrap import StationaryBootstrap

    series = np.random.default_rng(3).normal(0.0003, 0.01, (317, columns))

    def one(sample: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(sample.T)
        ratios = rows.mean(axis=1) / rows.std(axis=1, ddof=1)
        return ratios[:1] - ratios[1:] if columns == 2 else ratios

    theirs = StationaryBootstrap(block, series, seed=np.random.default_rng(11)).apply(one, 50).ravel()
    np.testing.assert_array_equal(resampled_ratios(series, block, 50, np.random.default_rng(11)), theirs)
