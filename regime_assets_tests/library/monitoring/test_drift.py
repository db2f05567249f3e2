from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.monitoring.drift import (
    DriftError,
    DriftSettings,
    DriftThresholds,
    day_level_features,
    measure_drift,
    split_reference,
)
from regime_assets.library.monitoring.surprise import VolatilityForecast
from regime_assets_tests.library.monitoring.markets import clustered_returns

SETTINGS = DriftSettings(reference_sessions=200, windows=(5, 10))


def thresholds(features: tuple[str, ...], bound: float = 1.0) -> DriftThresholds:
    return DriftThresholds(
        features=features,
        windows=(5, 10),
        bounds=np.full((len(features), 2), bound),
        forecast=VolatilityForecast(np.arange(7.0)),
        alarms_per_year=0.5,
        null_alarms_per_year=0.4,
        history_sessions=3000,
        first_session=date(1995, 1, 4),
        last_session=date(2006, 12, 29),
        notice="",
    )


def test_features_of_a_day_do_not_depend_on_other_days():
    returns = clustered_returns(50, 6, seed=0)
    changed = returns.copy()
    changed.iloc[20] = 0.05
    before, after = day_level_features(returns), day_level_features(changed)
    pd.testing.assert_frame_equal(before.drop(returns.index[20]), after.drop(returns.index[20]))
    assert not np.allclose(before.iloc[20], after.iloc[20])


def test_features_of_a_day_on_which_all_symbols_move_alike():
    returns = pd.DataFrame(0.02, index=pd.bdate_range("2020-01-01", periods=2), columns=list("abc"))
    row = day_level_features(returns).iloc[0]
    expected = [0.02, np.log(1.02), 0, 1, 1, 0.02]
    np.testing.assert_allclose(row.to_numpy(), expected, atol=1e-12)


def test_market_that_does_not_trade_has_finite_features():
    returns = pd.DataFrame(0.0, index=pd.bdate_range("2020-01-01", periods=2), columns=list("abc"))
    assert np.isfinite(day_level_features(returns).to_numpy()).all()


@pytest.mark.parametrize(("symbols", "columns"), [(1, 2), (2, 2), (3, 6)])
def test_cross_section_needs_three_symbols(symbols: int, columns: int):
    assert day_level_features(clustered_returns(5, symbols, seed=0)).shape[1] == columns


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_impossible_return_is_named(value: float):
    returns = clustered_returns(10, 3, seed=0)
    returns.iloc[4, 1] = value
    with pytest.raises(DriftError, match=r"S1 .*2001-01-08"):
        day_level_features(returns)


def test_split_takes_the_longest_window_and_the_reference_before_it():
    features = day_level_features(clustered_returns(300, 3, seed=0))
    reference, current = split_reference(features, SETTINGS)
    assert (len(reference), len(current)) == (200, 10)
    assert current.index[-1] == features.index[-1]
    assert features.index.get_loc(current.index[0]) == features.index.get_loc(reference.index[-1]) + 1


def test_history_that_is_too_short_is_refused():
    features = day_level_features(clustered_returns(209, 3, seed=0))
    with pytest.raises(DriftError, match=r"209 sessions .* need 210"):
        split_reference(features, SETTINGS)


def test_larger_moves_are_led_by_a_magnitude():
    returns = clustered_returns(300, 6, seed=3)
    returns.iloc[-10:] *= 6
    reference, current = split_reference(day_level_features(returns), SETTINGS)
    measured = measure_drift(reference, current, thresholds(tuple(reference.columns)))
    assert measured.drifted
    assert measured.leading.split(",")[0] in ("rms", "dispersion", "absolute_return")
    assert measured.session == returns.index[-1].date()
    assert measured.largest == measured.figures()["largest"] == measured.scores["ratio"].max()


def test_ratio_of_one_is_drift():
    features = day_level_features(clustered_returns(300, 1, seed=0))
    reference, current = split_reference(features, SETTINGS)
    largest = measure_drift(reference, current, thresholds(("return",))).largest
    exactly = measure_drift(reference, current, thresholds(("return",), bound=largest))
    above = measure_drift(reference, current, thresholds(("return",), bound=np.nextafter(largest, 9)))
    assert exactly.drifted
    assert not above.drifted


def test_windows_see_the_most_recent_days_only():
    features = day_level_features(clustered_returns(300, 3, seed=0))
    reference, current = split_reference(features, SETTINGS)
    older = current.copy()
    older.iloc[:5] *= 10
    before = measure_drift(reference, current, thresholds(("rms",))).scores
    after = measure_drift(reference, older, thresholds(("rms",))).scores
    assert before["distance"][0] == after["distance"][0]
    assert before["distance"][1] != after["distance"][1]


def test_one_wild_day_in_the_reference_hides_no_later_change():
    returns = clustered_returns(300, 6, seed=3)
    returns.iloc[-10:] *= 4
    wild = returns.copy()
    wild.iloc[150, 0] = 36.0
    names = ("dispersion", "rms", "absolute_return", "return")
    calm, blind = (
        measure_drift(*split_reference(day_level_features(frame), SETTINGS), thresholds(names)).largest
        for frame in (returns, wild)
    )
    assert blind > 0.5 * calm > 0.5


def test_constant_reference_is_refused_by_name():
    features = day_level_features(clustered_returns(300, 3, seed=0))
    reference, current = split_reference(features.assign(breadth=0.5), SETTINGS)
    with pytest.raises(DriftError, match="breadth is constant"):
        measure_drift(reference, current, thresholds(("rms", "breadth")))


def test_overlap_of_reference_and_window_is_refused():
    features = day_level_features(clustered_returns(300, 3, seed=0))
    with pytest.raises(DriftError, match="inside the reference"):
        measure_drift(features.iloc[:250], features.iloc[240:], thresholds(("rms",)))


def test_thresholds_survive_being_taken_apart():
    original = thresholds(("return", "rms"))
    copy = DriftThresholds.from_parts(original.to_parts())
    np.testing.assert_array_equal(copy.bounds, original.bounds)
    assert copy.forecast is not None
    np.testing.assert_array_equal(copy.forecast.coefficients, np.arange(7.0))
    assert DriftThresholds.from_parts(replace(original, forecast=None).to_parts()).forecast is None
    assert copy.to_parts().document == original.to_parts().document
    assert copy.first_session == date(1995, 1, 4)
