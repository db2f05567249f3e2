from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.artifact import parts_hash
from regime_assets.library.monitoring.calibration import (
    block_days,
    calibrate_thresholds,
    episodes_per_year,
    null_distances,
    rules_key,
)
from regime_assets.library.monitoring.drift import DriftError, DriftSettings, watched_features
from regime_assets_tests.library.monitoring.markets import clustered_returns

SETTINGS = DriftSettings(reference_sessions=120, windows=(5, 10), block_sessions=30, paths=60, path_sessions=252)


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return clustered_returns(2600, 5, seed=1)


def test_blocks_are_runs_of_consecutive_days():
    days = block_days(sessions=100, length=50, paths=20, block=20, seed=0)
    assert days.shape == (20, 50)
    steps = np.diff(days, axis=1) % 100
    inside = [step for step in range(49) if (step + 1) % 20]
    assert (steps[:, inside] == 1).all()


def test_same_seed_same_bits_and_another_seed_others(history: pd.DataFrame):
    first, again, other = (parts_hash(calibrate_thresholds(history, SETTINGS, seed).to_parts()) for seed in (1, 1, 2))
    assert first == again != other


def test_null_keeps_to_the_budget(history: pd.DataFrame):
    thresholds = calibrate_thresholds(history, SETTINGS, seed=1)
    assert 0.1 < thresholds.null_alarms_per_year <= 0.5
    fresh = null_distances(watched_features(history, thresholds.forecast), SETTINGS, seed=99)
    fresh = fresh.reshape(*fresh.shape[:2], -1)
    assert episodes_per_year(fresh, thresholds.bounds.reshape(1, -1), SETTINGS)[0] < 1.0


def test_larger_budget_lowers_the_bounds(history: pd.DataFrame):
    strict = calibrate_thresholds(history, SETTINGS, seed=1)
    lax = calibrate_thresholds(history, replace(SETTINGS, alarms_per_year=4.0), seed=1)
    assert (lax.bounds <= strict.bounds).all()
    assert (lax.bounds < strict.bounds).any()


def test_units_of_returns_do_not_matter(history: pd.DataFrame):
    plain = calibrate_thresholds(history, SETTINGS, seed=1)
    smaller = calibrate_thresholds(history / 4, SETTINGS, seed=1)
    np.testing.assert_allclose(plain.bounds, smaller.bounds, rtol=0.03)


def test_one_symbol_has_two_features(history: pd.DataFrame):
    thresholds = calibrate_thresholds(history[["S0"]], SETTINGS, seed=1)
    assert thresholds.features == ("return", "absolute_return")
    assert thresholds.bounds.shape == (2, 2)
    assert thresholds.forecast is None


def test_bounds_are_kept_under_the_rules_they_were_calibrated_for():
    assert rules_key(SETTINGS) == rules_key(replace(SETTINGS))
    assert rules_key(SETTINGS) != rules_key(replace(SETTINGS, alarms_per_year=1.0))


def test_short_history_says_so(history: pd.DataFrame):
    assert calibrate_thresholds(history, SETTINGS, seed=1).notice == ""
    assert "4.0 years" in calibrate_thresholds(history.iloc[-1008:], SETTINGS, seed=1).notice


def test_two_years_with_a_spell_that_most_paths_contain_have_bounds_within_the_budget():
    random = np.random.default_rng(0)
    volatility = np.where(np.arange(504) // 125 % 2, 0.02, 0.007)[:, None]
    returns = volatility * 0.7 * (random.standard_normal((504, 1)) + random.standard_normal((504, 3)))
    two_years = pd.DataFrame(returns, index=pd.bdate_range("2016-01-01", periods=504), columns=["A", "B", "C"])
    thresholds = calibrate_thresholds(two_years, SETTINGS, seed=1)
    assert 0 < thresholds.null_alarms_per_year <= 0.125, "a quarter of the budget of .5"
    assert np.isfinite(thresholds.bounds).all()


def test_less_than_a_year_is_refused(history: pd.DataFrame):
    with pytest.raises(DriftError, match="251 sessions"):
        calibrate_thresholds(history.iloc[:251], SETTINGS, seed=1)


def test_market_that_never_varies_is_refused(history: pd.DataFrame):
    with pytest.raises(DriftError, match="never vary"):
        calibrate_thresholds(history * 0, SETTINGS, seed=1)
