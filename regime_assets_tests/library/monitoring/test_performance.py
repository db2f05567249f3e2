from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.monitoring.performance import (
    PerformanceError,
    PerformanceSettings,
    live_performance,
    paired_performance,
)

SETTINGS = PerformanceSettings(paths=200)
INDEX = pd.bdate_range("2012-01-02", periods=1000, name="session")
RECORD, LIVE = slice(0, 750), slice(750, 1000)


def returns(mean: float, seed: int = 0) -> pd.Series:
    return pd.Series(np.random.default_rng(seed).normal(mean, 0.01, len(INDEX)), INDEX)


def pair(gap: float, correlation: float = 0.95) -> pd.DataFrame:
    common, own = returns(0.0005), returns(0, seed=1)
    other = correlation * common + (1 - correlation**2) ** 0.5 * own
    return pd.DataFrame({"champion": common - gap, "predecessor": other})


def test_few_champions_that_live_up_to_their_record_breach_in_a_year():
    breached = 0
    for seed in range(40):
        series = returns(0.0005, seed)
        breached += live_performance(series[LIVE], series[RECORD], SETTINGS, seed).breached
    assert breached <= 13  # 8 expected at a budget of .2; 14 or more have a probability of .02


def test_path_shows_the_compounded_return_inside_its_band():
    series = returns(0.0005)
    path = live_performance(series[LIVE], series[RECORD], SETTINGS, seed=1).path
    assert list(path.columns) == ["return", "cumulative", "low", "high", "cusum"]
    assert (path["low"] < path["high"]).all()
    np.testing.assert_allclose(path["cumulative"].iloc[-1], (1 + series[LIVE]).prod() - 1)


def test_champion_that_loses_steadily_breaches_and_leaves_its_band():
    series = returns(0.0005)
    live = live_performance(series[LIVE] - 0.004, series[RECORD], SETTINGS, seed=1)
    assert live.breached
    assert live.below_band
    assert live.first_breach is not None
    assert INDEX[760].date() < live.first_breach < INDEX[850].date()


def test_breach_does_not_depend_on_the_future():
    series = returns(0.0005)
    falling = series[LIVE] - 0.004
    whole = live_performance(falling, series[RECORD], SETTINGS, seed=1)
    assert whole.first_breach is not None
    part = live_performance(falling.loc[: pd.Timestamp(whole.first_breach)], series[RECORD], SETTINGS, seed=1)
    assert part.first_breach == whole.first_breach
    assert part.bound == whole.bound


def test_turbulence_alone_is_no_breach():
    series = returns(0.0005, seed=5)
    wilder = live_performance(series[LIVE] * 4, series[RECORD], SETTINGS, seed=1)
    assert not wilder.breached
    unscaled = (4 * (series[RECORD].mean() - series[LIVE]) / series[RECORD].std()).cumsum()
    assert wilder.path["cusum"].max() < (unscaled - unscaled.cummin()).max()


def test_months_in_cash_do_not_blow_up_the_scale():
    series = returns(0.0005)
    series.iloc[700:800] = 0.0
    live = live_performance(series[LIVE], series[RECORD], SETTINGS, seed=1)
    assert np.isfinite(live.path["cusum"]).all()


def test_same_seed_same_bound():
    series = returns(0.0005)
    first, again = (live_performance(series[LIVE], series[RECORD], SETTINGS, seed=7) for _ in range(2))
    assert first.bound == again.bound
    pd.testing.assert_frame_equal(first.path, again.path)


def test_smaller_budget_asks_for_a_higher_bound():
    series = returns(0.0005)
    strict = replace(SETTINGS, false_alarms_per_year=0.05)
    usual = live_performance(series[LIVE], series[RECORD], SETTINGS, seed=1).bound
    assert live_performance(series[LIVE], series[RECORD], strict, seed=1).bound > usual


def test_equal_predecessor_is_no_breach_and_a_better_one_is():
    record = pair(0.0)[RECORD]
    assert not paired_performance(pair(0.0)[LIVE], record, SETTINGS, seed=1).breached
    behind = paired_performance(pair(0.0015)[LIVE], record, SETTINGS, seed=1)
    assert behind.breached
    assert behind.correlation == pytest.approx(0.95, abs=0.02)


def test_one_bad_session_is_no_breach_of_the_pair():
    record, live = pair(0.0)[RECORD], pair(0.0)[LIVE]
    live.iloc[5, 0] -= 0.2
    assert not paired_performance(live, record, SETTINGS, seed=1).breached


def test_live_market_calmer_than_the_record_makes_no_breach():
    record, live = pair(0.0)[RECORD], pair(0.0)[LIVE]
    usual, calmer = (paired_performance(frame, record, SETTINGS, seed=1) for frame in (live, live / 4))
    late = slice(100, None)  # the volatility known before a session has followed by then
    np.testing.assert_allclose(np.diff(usual.path["cusum"])[late], np.diff(calmer.path["cusum"])[late], atol=0.3)
    assert not calmer.breached


def test_pair_finds_a_gap_sooner_than_the_record_alone():
    record, live = pair(0.0)[RECORD], pair(0.0015)[LIVE]
    paired = paired_performance(live, record, SETTINGS, seed=1)
    alone = live_performance(live["champion"], record["champion"], SETTINGS, seed=1)
    assert paired.first_breach is not None
    assert alone.first_breach is None or paired.first_breach < alone.first_breach


@pytest.mark.parametrize(
    ("record", "live", "message"),
    [
        (slice(0, 200), LIVE, "200 sessions of record"),
        (RECORD, slice(750, 750), "no live sessions"),
        (RECORD, slice(740, 1000), "inside the record"),
    ],
)
def test_series_that_cannot_be_judged_are_refused(record: slice, live: slice, message: str):
    series = returns(0.0005)
    with pytest.raises(PerformanceError, match=message):
        live_performance(series[live], series[record], SETTINGS, seed=1)


def test_value_that_is_not_finite_is_refused_with_its_session():
    series = returns(0.0005)
    broken = series[LIVE].copy()
    broken.iloc[3] = np.nan
    with pytest.raises(PerformanceError, match=str(broken.index[3].date())):
        live_performance(broken, series[RECORD], SETTINGS, seed=1)


def test_record_that_never_varies_has_no_scale():
    series = returns(0.0005)
    with pytest.raises(PerformanceError, match="never varies"):
        live_performance(series[LIVE], series[RECORD] * 0, SETTINGS, seed=1)
