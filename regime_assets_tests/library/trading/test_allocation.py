"""Allocation: weights add up to 1 within their bounds, and each rule does what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from regime_assets.library.trading.allocation import AllocationError, Rule, allocate, minimum_variance, risk_parity

RULES: tuple[Rule, ...] = ("equal_parts", "inverse_volatility", "minimum_variance", "risk_parity")


def made_up(seed: int, count: int, sessions: int = 300) -> np.ndarray:
    generator = np.random.default_rng(seed)
    market = generator.normal(0, 0.01, (sessions, 1))
    own = generator.normal(0, 1, (sessions, count)) * generator.uniform(0.002, 0.02, count)
    return market * generator.uniform(-0.5, 1.5, count) + own


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 6), rule=st.sampled_from(RULES))
def test_weights_add_up_to_one_within_their_bounds(seed: int, count: int, rule: Rule) -> None:
    least, most = np.full(count, 0.5 / count), np.full(count, min(1.0, 1.5 / count))
    weights = allocate(rule, made_up(seed, count), least, most)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= least - 1e-9).all()
    assert (weights <= most + 1e-9).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_minimum_variance_is_what_a_general_solver_finds(seed: int) -> None:
    covariance, bounds = np.cov(made_up(seed, 4), rowvar=False) * 1e4, (np.zeros(4), np.full(4, 0.6))
    ours = minimum_variance(covariance, *bounds)
    theirs = minimize(
        lambda w: w @ covariance @ w, np.full(4, 0.25), jac=lambda w: 2 * covariance @ w, bounds=[(0, 0.6)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: w * 0 + 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    assert ours @ covariance @ ours <= theirs.fun + 1e-9


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_in_risk_parity_every_instrument_contributes_alike(seed: int) -> None:
    covariance = np.cov(made_up(seed, 5), rowvar=False)
    weights = risk_parity(covariance)
    contribution = weights * (covariance @ weights)
    np.testing.assert_allclose(contribution / contribution.sum(), 0.2, atol=1e-6)


def test_inverse_volatility_holds_twice_as_much_of_what_moves_half_as_much() -> None:
    generator = np.random.default_rng(0)
    returns = generator.normal(0, 1, (5000, 2)) * [0.01, 0.02]
    weights = allocate("inverse_volatility", returns, np.zeros(2), np.ones(2))
    assert weights[0] / weights[1] == pytest.approx(2.0, rel=0.05)


def test_bounds_that_no_weights_meet_are_refused() -> None:
    with pytest.raises(AllocationError, match="add up to 1"):
        allocate("equal_parts", made_up(0, 2), np.zeros(2), np.full(2, 0.4))
