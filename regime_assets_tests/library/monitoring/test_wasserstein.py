from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from regime_assets.library.monitoring.wasserstein import clipped, normed_wasserstein, rolling_wasserstein


@given(st.integers(2, 40), st.integers(1, 25), st.integers(0, 1000))
def test_distance_equals_scipys_over_the_references_deviation(n: int, m: int, seed: int):
    generator = np.random.default_rng(seed)
    reference, current = generator.normal(size=n), generator.standard_t(3, size=m)
    expected = wasserstein_distance(reference, current) / np.std(reference)
    assert normed_wasserstein(reference, current) == pytest.approx(expected, rel=1e-9)


def test_shift_of_the_whole_sample_is_the_distance():
    values = np.random.default_rng(0).normal(size=60)
    assert normed_wasserstein(values, values + 3 * values.std()) == pytest.approx(3.0)


def test_rolling_compares_each_window_with_the_reference_before_the_longest_one():
    series = np.random.default_rng(1).normal(size=(3, 90))
    distances = rolling_wasserstein(series, 50, (5, 12))
    assert distances.shape == (3, 90 - 62 + 1, 2)
    for end in (62, 75, 90):
        reference = series[2, end - 62 : end - 12]
        for column, window in enumerate((5, 12)):
            expected = normed_wasserstein(reference, series[2, end - window : end])
            assert distances[2, end - 62, column] == pytest.approx(expected)


def test_reference_that_moves_weekly_changes_the_distance_little():
    series = np.random.default_rng(2).normal(size=(4, 700))
    exact = rolling_wasserstein(series, 504, (10, 20))
    weekly = rolling_wasserstein(series, 504, (10, 20), reference_step=5)
    np.testing.assert_allclose(weekly[:, ::5], exact[:, ::5])
    assert np.abs(weekly - exact).max() < 0.03


def test_series_shorter_than_reference_and_window_is_refused():
    with pytest.raises(ValueError, match="need 62"):
        rolling_wasserstein(np.zeros((1, 61)), 50, (12,))


def test_a_value_far_outside_counts_as_far_outside_and_no_more():
    series = np.random.default_rng(3).normal(size=(1, 70))
    series[0, 10] = 1e6
    distance = rolling_wasserstein(series, 50, (20,))[0, 0, 0]
    reference, recent = clipped(series[0, :50], series[0, 50:])
    assert distance == pytest.approx(normed_wasserstein(reference, recent))
    assert reference.max() < 100
    assert np.array_equal(recent, series[0, 50:])


def test_a_reference_that_is_mostly_one_value_is_not_clipped():
    reference = np.array([0.0] * 9 + [1.0])
    assert np.array_equal(clipped(reference, np.array([5.0]))[1], [5.0])
