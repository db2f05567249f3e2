"""A portfolio's terms: what is held drifts, cash earns, borrowing and shorting cost, and ratios are over cash."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.trading.scoring import realised_returns, returns_over_cash, score
from regime_assets.library.trading.terms import Terms, on, without_costs


def terms(sessions: int, costs: list[float], **changed: object) -> Terms:
    values: dict[str, object] = {
        "cost": np.array(costs),
        "borrowing": 0.0,
        "shorting": 0.0,
        "sessions": pd.bdate_range("2020-01-01", periods=sessions),
        "cash": np.zeros(sessions),
        "no_trade_band": 0.0,
        "risk": np.ones(len(costs), dtype=bool),
    }
    return Terms(**(values | changed))  # type: ignore[arg-type]


def by_hand(weights: np.ndarray, returns: np.ndarray, on: Terms) -> np.ndarray:
    """An account of one unit of money, its holdings in money, session by session."""
    holdings, cash, wealth = np.zeros(returns.shape[1]), 1.0, [1.0]
    owed = 0.0
    for t, earned in enumerate(returns):
        before = wealth[-1]
        carry = before * float(on.carry(holdings / before))
        cash = cash + (before - holdings.sum()) * on.cash[t] - carry - owed
        holdings, owed = holdings * (1.0 + earned), 0.0
        wealth.append(holdings.sum() + cash)
        worth = holdings.sum() + cash + 0.0
        if 0 < t < len(returns) - 1:
            drifted = holdings / worth
            target = weights[t - 1]
            if np.abs(target - drifted).max() > on.no_trade_band:
                owed = float(np.abs(target - drifted) @ on.cost) * worth
                cash += (holdings - target * worth).sum()
                holdings = target * worth
    return np.array(wealth[1:]) / np.array(wealth[:-1]) - 1.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), rate=st.floats(0, 0.001), band=st.sampled_from([0.0, 0.05]))
def test_net_returns_are_those_of_an_account_kept_by_hand(seed: int, rate: float, band: float) -> None:
    generator = np.random.default_rng(seed)
    returns = generator.normal(0, 0.02, (30, 2))
    weights = generator.uniform(-0.2, 0.8, (30, 2))
    free = terms(30, [0.0, 0.0], cash=np.full(30, rate), borrowing=1e-4, shorting=2e-4, no_trade_band=band)
    np.testing.assert_allclose(realised_returns(weights, returns, free), by_hand(weights, returns, free), atol=1e-12)


def test_a_weight_of_the_whole_capital_does_not_drift_and_scores_as_under_one_cost() -> None:
    generator = np.random.default_rng(1)
    returns, exposure = generator.normal(0, 0.01, (60, 1)), generator.integers(0, 2, (60, 1)).astype(float)
    one_cost, portfolio = score(exposure, returns, 0.001), score(exposure, returns, terms(60, [0.001]))
    np.testing.assert_allclose(portfolio.net, one_cost.net, atol=1e-15)
    np.testing.assert_allclose(portfolio.turnover, one_cost.turnover, atol=1e-15)


def test_half_in_a_market_that_doubles_is_two_thirds_until_it_is_brought_back() -> None:
    returns = np.array([[0.0], [0.0], [1.0], [0.0], [0.0]])
    held = score(np.full((5, 1), 0.5), returns, terms(5, [0.0]))
    np.testing.assert_allclose(held.turnover, [0, 0, 0.5, 2 / 3 - 0.5, 0])


def test_a_band_leaves_drift_alone_and_saves_turnover() -> None:
    generator = np.random.default_rng(2)
    returns, weights = generator.normal(0, 0.01, (500, 2)), np.full((500, 2), 0.5)
    daily, banded = (score(weights, returns, terms(500, [0.001] * 2, no_trade_band=band)) for band in (0.0, 0.05))
    assert banded.turnover.sum() < 0.5 * daily.turnover.sum()


def test_each_instrument_costs_its_own() -> None:
    weights, returns = np.array([[0.5, 0.5]] * 4), np.zeros((4, 2))
    assert score(weights, returns, terms(4, [0.001, 0.003])).net.tolist() == pytest.approx([0, 0, -0.002, 0])


def test_cash_earns_before_the_first_fill_and_a_ratio_is_over_it() -> None:
    sessions = 260
    known = terms(sessions, [0.0], cash=np.full(sessions, 0.0001))
    idle = score(np.zeros((sessions, 1)), np.zeros((sessions, 1)), known)
    np.testing.assert_allclose(idle.net, 0.0001)
    np.testing.assert_allclose(idle.over_cash.net, 0.0)
    figures = summarise(idle)
    assert figures.sharpe is None
    assert figures.cagr == pytest.approx(1.0001**252 - 1)


def test_what_is_borrowed_costs_cash_and_the_spread() -> None:
    known = terms(5, [0.0], cash=np.full(5, 0.0001), borrowing=0.0002)
    net = realised_returns(np.full((5, 1), 1.5), np.zeros((5, 1)), known)
    assert net[-1] == pytest.approx(-0.5 * (0.0001 + 0.0002), abs=1e-6)


def test_a_refuge_is_no_exposure() -> None:
    known = terms(5, [0.0, 0.0], risk=np.array([True, False]))
    assert score(np.array([[0.3, 0.7]] * 5), np.zeros((5, 2)), known).exposure[-1] == pytest.approx(0.3)


def test_a_batch_is_its_strategies_one_by_one() -> None:
    generator = np.random.default_rng(3)
    returns, batch = generator.normal(0, 0.01, (40, 3)), generator.uniform(0, 0.5, (4, 40, 3))
    known = terms(40, [0.001] * 3, cash=np.full(40, 1e-4), no_trade_band=0.02)
    alone = np.stack([returns_over_cash(weights, returns, known) for weights in batch])
    np.testing.assert_array_equal(returns_over_cash(batch, returns, known), alone)


def test_terms_are_cut_to_the_sessions_that_are_scored_and_refuse_unknown_ones() -> None:
    known = terms(5, [0.001], cash=np.arange(5) / 1e4)
    part = on(known, known.sessions[2:4])
    assert isinstance(part, Terms)
    assert part.cash.tolist() == [2e-4, 3e-4]
    with pytest.raises(KeyError, match="2019-01-01"):
        known.on(pd.DatetimeIndex(["2019-01-01"]))
    free = without_costs(known)
    assert isinstance(free, Terms)
    assert free.cost.tolist() == [0.0]
