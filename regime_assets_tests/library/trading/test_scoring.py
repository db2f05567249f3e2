"""The scorer's laws: the fill is a session late, costs only cost, a batch is its strategies one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.trading.scoring import FILL_DELAY, ScoringError, realised_returns, score


def random_case(seed: int, sessions: int = 40, instruments: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.uniform(-1, 1, (sessions, instruments)), generator.normal(0, 0.01, (sessions, instruments))


def literal_net(weights: np.ndarray, returns: np.ndarray, cost: float) -> np.ndarray:
    """The definition, session by session."""
    net = np.zeros(len(returns))
    position = np.zeros(returns.shape[1])
    for t in range(FILL_DELAY, len(returns)):
        target = weights[t - FILL_DELAY]
        net[t] = target @ returns[t] - cost * np.abs(target - position).sum()
        position = target
    return net


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), sessions=st.integers(1, 30), cost=st.floats(0, 0.01))
def test_net_returns_follow_the_definition(seed: int, sessions: int, cost: float) -> None:
    weights, returns = random_case(seed, sessions)
    np.testing.assert_allclose(
        realised_returns(weights, returns, cost), literal_net(weights, returns, cost), atol=1e-15
    )


def test_a_decision_earns_the_return_two_sessions_later_and_no_other() -> None:
    exposure, returns = np.zeros(6), np.full(6, 0.01)
    exposure[1] = 1.0
    np.testing.assert_allclose(realised_returns(exposure, returns, 0.0), [0, 0, 0, 0.01, 0, 0])


def test_entering_and_leaving_each_pay_once_with_the_first_return() -> None:
    exposure = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    net = realised_returns(exposure, np.zeros(6), 0.001)
    np.testing.assert_allclose(net, [0, 0, 0, -0.001, 0, -0.001])


def test_the_first_position_is_bought_from_cash() -> None:
    assert realised_returns(np.ones(4), np.zeros(4), 0.001).tolist() == [0, 0, -0.001, 0]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), low=st.floats(0, 0.01), more=st.floats(0, 0.01))
def test_a_higher_fee_never_raises_a_return(seed: int, low: float, more: float) -> None:
    weights, returns = random_case(seed)
    assert np.all(realised_returns(weights, returns, low + more) <= realised_returns(weights, returns, low))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 37))
def test_later_decisions_leave_earlier_returns_alone(seed: int, cut: int) -> None:
    weights, returns = random_case(seed)
    changed = weights.copy()
    changed[cut:] = 0.3
    before = slice(None, cut + FILL_DELAY)
    assert np.array_equal(
        realised_returns(weights, returns, 0.001)[before], realised_returns(changed, returns, 0.001)[before]
    )


def test_a_batch_scores_each_strategy_as_if_alone() -> None:
    generator = np.random.default_rng(3)
    exposures, returns = generator.uniform(0, 1, (300, 700)), generator.normal(0, 0.01, 700)
    batch = realised_returns(exposures, returns, 0.001)
    alone = np.stack([realised_returns(exposure, returns, 0.001) for exposure in exposures])
    assert np.array_equal(batch, alone)


def test_a_batch_of_portfolios_scores_each_portfolio_as_if_alone() -> None:
    generator = np.random.default_rng(4)
    weights, returns = generator.uniform(0, 1, (5, 50, 3)), generator.normal(0, 0.01, (50, 3))
    batch = score(weights, returns, 0.001)
    for row, portfolio in enumerate(weights):
        alone = score(portfolio, returns, 0.001)
        for name in ("net", "gross", "turnover", "exposure"):
            np.testing.assert_allclose(getattr(batch, name)[row], getattr(alone, name), atol=1e-15)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_one_instrument_as_a_column_equals_one_instrument_as_a_vector(seed: int) -> None:
    weights, returns = random_case(seed, instruments=1)
    np.testing.assert_allclose(
        realised_returns(weights, returns, 0.001),
        realised_returns(weights[:, 0], returns[:, 0], 0.001),
        atol=1e-16,
    )


def test_the_score_is_consistent_with_itself_and_with_the_net_returns() -> None:
    weights, returns = random_case(5)
    scored = score(weights, returns, 0.002)
    np.testing.assert_allclose(scored.net, scored.gross - 0.002 * scored.turnover, atol=1e-16)
    np.testing.assert_allclose(scored.net, realised_returns(weights, returns, 0.002), atol=1e-16)
    np.testing.assert_allclose(scored.exposure[FILL_DELAY:], weights[:-FILL_DELAY].sum(axis=1))


@pytest.mark.parametrize("sessions", [0, 1, 2])
def test_too_few_sessions_to_fill_anything_earn_nothing(sessions: int) -> None:
    assert realised_returns(np.ones(sessions), np.ones(sessions), 0.001).tolist() == [0.0] * sessions


def test_shapes_that_disagree_are_refused_by_name() -> None:
    with pytest.raises(ScoringError, match=r"weights \(4, 2\) do not fit returns \(5, 2\)"):
        realised_returns(np.ones((4, 2)), np.ones((5, 2)), 0.0)


def test_a_missing_return_is_refused_with_its_position() -> None:
    returns = np.ones((5, 2))
    returns[3, 1] = np.nan
    with pytest.raises(ScoringError, match=r"returns\[3, 1\] is nan"):
        realised_returns(np.ones((5, 2)), returns, 0.0)


def test_a_negative_cost_is_refused() -> None:
    with pytest.raises(ScoringError, match="cost"):
        realised_returns(np.ones(5), np.ones(5), -0.001)
