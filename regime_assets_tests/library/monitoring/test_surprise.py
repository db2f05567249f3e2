from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.monitoring.surprise import WARM_UP, VolatilityForecast, fit_forecast, volatility_surprise
from regime_assets_tests.library.monitoring.markets import clustered_returns


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return clustered_returns(2000, 12, seed=4)


@pytest.fixture(scope="module")
def forecast(history: pd.DataFrame) -> VolatilityForecast:
    return fit_forecast(history)


def autocorrelation(series: pd.Series, lag: int) -> float:
    return float(np.corrcoef(series.iloc[lag:], series.iloc[:-lag])[0, 1])


def test_surprises_of_a_market_whose_volatility_clusters_do_not_cluster(history: pd.DataFrame):
    fresh = clustered_returns(2000, 12, seed=5)
    surprises = volatility_surprise(fresh, fit_forecast(history))
    level = np.log(fresh.sub(fresh.mean(axis=1), axis=0).abs().mean(axis=1))
    assert autocorrelation(level, 1) > 0.5
    assert abs(autocorrelation(surprises, 1)) < 0.1
    assert surprises.std() < 0.8 * level.std()


def test_forecast_uses_no_session_from_the_day_on(history: pd.DataFrame, forecast: VolatilityForecast):
    changed = history.copy()
    changed.iloc[1500:] *= 3
    before, after = volatility_surprise(history, forecast), volatility_surprise(changed, forecast)
    pd.testing.assert_series_equal(before.iloc[: 1500 - WARM_UP], after.iloc[: 1500 - WARM_UP])
    assert (after - before).iloc[1500 - WARM_UP] == pytest.approx(np.log(3))


def test_lasting_change_soon_surprises_little(history: pd.DataFrame, forecast: VolatilityForecast):
    changed = history.copy()
    changed.iloc[1500:] *= 2
    excess = (volatility_surprise(changed, forecast) - volatility_surprise(history, forecast)).iloc[1500 - WARM_UP :]
    assert excess.iloc[0] == pytest.approx(np.log(2))
    assert excess.iloc[10:30].mean() < 0.5 * excess.iloc[:5].mean()
    assert excess.iloc[-50:].mean() < 0.25 * np.log(2)


def test_units_of_returns_do_not_matter(history: pd.DataFrame, forecast: VolatilityForecast):
    larger = volatility_surprise(history * 3, fit_forecast(history * 3))
    np.testing.assert_allclose(larger, volatility_surprise(history, forecast), atol=1e-6)


def test_session_on_which_nothing_traded_has_a_finite_surprise(history: pd.DataFrame, forecast: VolatilityForecast):
    halted = history.copy()
    halted.iloc[700:703] = 0.0
    assert np.isfinite(volatility_surprise(halted, forecast)).all()
    assert np.isfinite(fit_forecast(halted).coefficients).all()


def test_one_wild_day_does_not_raise_the_forecast_for_years(history: pd.DataFrame, forecast: VolatilityForecast):
    wild = history.copy()
    wild.iloc[1000, 0] = 36.0
    before, after = volatility_surprise(history, forecast), volatility_surprise(wild, forecast)
    later = slice(1100 - WARM_UP, None)
    assert (after - before).iloc[later].abs().max() < 0.2
