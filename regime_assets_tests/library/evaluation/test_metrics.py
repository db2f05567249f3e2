"""Figures agree with the field's libraries and definitions, and are None where they do not exist."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.evaluation import metrics
from regime_assets.library.trading.scoring import score

SEEDS = [0, 1, 2]


def daily_returns(seed: int, sessions: int = 750) -> np.ndarray:
    return 0.0003 + 0.01 * np.random.default_rng(seed).standard_t(4, sessions)


@pytest.mark.parametrize("seed", SEEDS)
def test_figures_agree_with_empyrical(seed: int) -> None:
    empyrical = pytest.importorskip("empyrical")
    returns = daily_returns(seed)
    fall = metrics.max_drawdown(returns)
    assert fall is not None
    ours = [
        metrics.sharpe(returns),
        metrics.sortino(returns),
        metrics.calmar(returns),
        metrics.cagr(returns),
        metrics.volatility(returns),
        fall.depth,
    ]
    theirs = [
        empyrical.sharpe_ratio(returns),
        empyrical.sortino_ratio(returns),
        empyrical.calmar_ratio(returns),
        empyrical.cagr(returns),
        empyrical.annual_volatility(returns),
        empyrical.max_drawdown(returns),
    ]
    np.testing.assert_allclose(np.array(ours, dtype=float), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_figures_agree_with_quantstats(seed: int) -> None:
    stats = pytest.importorskip("quantstats").stats
    pandas = pytest.importorskip("pandas")
    returns = daily_returns(seed)
    series = pandas.Series(returns, index=pandas.bdate_range("2000-01-03", periods=len(returns)))
    fall = metrics.max_drawdown(returns)
    assert fall is not None
    ours = [metrics.sharpe(returns), metrics.sortino(returns), metrics.volatility(returns), fall.depth]
    theirs = [stats.sharpe(series), stats.sortino(series), stats.volatility(series), stats.max_drawdown(series)]
    np.testing.assert_allclose(np.array(ours, dtype=float), theirs, rtol=0, atol=1e-12)


def test_a_drawdown_lasts_from_its_peak_to_its_recovery() -> None:
    wealth = np.array([1.0, 1.2, 0.9, 1.0, 1.2, 1.3, 1.25])
    fall = metrics.max_drawdown(np.diff(wealth) / wealth[:-1])
    assert fall == metrics.Drawdown(depth=pytest.approx(-0.25), sessions=3, recovered=True, trough=2)


def test_a_drawdown_that_never_recovers_lasts_to_the_end() -> None:
    fall = metrics.max_drawdown([-0.1, 0.05, -0.2, 0.01])
    assert fall is not None
    assert (fall.sessions, fall.recovered) == (4, False)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 3.0))
def test_leverage_moves_volatility_and_leaves_the_ratios_alone(seed: int, scale: float) -> None:
    returns = daily_returns(seed, 60)
    assert metrics.sharpe(scale * returns) == pytest.approx(metrics.sharpe(returns))
    assert metrics.sortino(scale * returns) == pytest.approx(metrics.sortino(returns))
    volatility = metrics.volatility(returns)
    assert volatility is not None
    assert metrics.volatility(scale * returns) == pytest.approx(scale * volatility)


@pytest.mark.parametrize("constant", [0.0, 0.001, -0.001])
def test_a_series_without_variance_has_no_ratio(constant: float) -> None:
    returns = np.full(300, constant)
    assert metrics.sharpe(returns) is None
    assert metrics.sortino(returns) is None
    assert metrics.probabilistic_sharpe(returns) is None
    assert metrics.deflated_sharpe(returns, 10, 0.1) is None


def test_a_short_series_has_no_ratio() -> None:
    returns = daily_returns(0, metrics.MINIMUM_SESSIONS - 1)
    for figure in (metrics.sharpe, metrics.sortino, metrics.calmar, metrics.cagr, metrics.volatility):
        assert figure(returns) is None


def test_an_empty_series_has_no_figure_at_all() -> None:
    assert metrics.max_drawdown([]) is None
    summary = metrics.summarise(score(np.ones(0), np.ones(0), 0.001)).as_dict()
    assert summary.pop("sessions") == 0
    assert set(summary.values()) == {None}


def test_lost_wealth_has_no_growth_rate() -> None:
    assert metrics.cagr(np.concatenate([np.full(30, 0.01), [-1.0]])) is None


def test_a_missing_return_is_refused_with_its_position() -> None:
    with pytest.raises(metrics.MetricError, match="element 2 is nan"):
        metrics.sharpe([0.1, 0.2, np.nan])


def test_the_summary_counts_turnover_exposure_and_switches() -> None:
    exposure = np.tile(np.repeat([1.0, 0.0], 63), 4)
    summary = metrics.summarise(score(exposure, daily_returns(1, len(exposure)), 0.001))
    assert summary.sessions == 504
    assert summary.exposure == pytest.approx(252 / 504)
    assert summary.turnover == pytest.approx(8 / 2)
    assert summary.switches_per_year == pytest.approx(7 * 252 / 502)
    assert summary.gross_sharpe is not None
    assert summary.sharpe is not None
    assert summary.gross_sharpe > summary.sharpe


def test_entering_from_cash_once_is_no_switch() -> None:
    assert metrics.summarise(score(np.ones(100), daily_returns(1, 100), 0.0)).switches_per_year == 0.0
