from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.monitoring.cusum import calibrate_bound, cusum


def test_sum_forgives_the_allowance_and_never_goes_below_zero():
    sums = cusum(np.array([1.0, -5.0, 0.5, 0.5]), allowance=0.25, start=2.0)
    np.testing.assert_allclose(sums, [2.75, 0, 0.25, 0.5])


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=50))
def test_more_shortfall_never_lowers_the_sum(shortfalls: list[float]):
    values = np.array(shortfalls)
    assert (cusum(values + 0.1, 0.1, 0) >= cusum(values, 0.1, 0)).all()


def test_bound_keeps_fresh_paths_to_the_budget():
    generator = np.random.default_rng(0)
    bound = calibrate_bound(generator.normal(size=(600, 252)), 0.1, 0.0, alarms_per_year=0.2)
    fresh = generator.normal(size=(600, 252))
    alarmed = np.mean([(cusum(path, 0.1, 0.0) >= bound).any() for path in fresh])
    assert 0.1 < alarmed < 0.25


def test_smaller_budget_and_head_start_ask_for_a_higher_bound():
    null = np.random.default_rng(0).normal(size=(400, 252))
    plain = calibrate_bound(null, 0.1, 0.0, alarms_per_year=0.2)
    assert calibrate_bound(null, 0.1, 0.0, alarms_per_year=0.05) > plain
    assert calibrate_bound(null, 0.1, 0.6, alarms_per_year=0.2) > plain
