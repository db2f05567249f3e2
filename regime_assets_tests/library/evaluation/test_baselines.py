"""No baseline sees a later return, each does what its name says, and the plain models find planted regimes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.evaluation import baseline_models
from regime_assets.library.evaluation.baseline_models import (
    HiddenMarkovSettings,
    JumpSettings,
    RefitSettings,
    exponential_mean,
    hidden_markov_exposure,
    jump_exposure,
    jump_features,
)
from regime_assets.library.evaluation.baselines import (
    BUY_AND_HOLD,
    EQUAL_WEIGHT,
    BaselineSettings,
    baselines,
    moving_average_exposure,
    volatility_target_exposure,
)

REFITS = RefitSettings(first=100, every=50, window=400)


def planted_regimes(seed: int = 0, sessions: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Returns (T,) and states (T,): stretches of 250 sessions, three times as volatile and falling in state 1."""
    states = (np.arange(sessions) // 250) % 2
    noise = np.random.default_rng(seed).normal(size=sessions)
    return np.where(states, -0.002 + 0.025 * noise, 0.0008 + 0.007 * noise), states


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 899))
def test_no_decision_depends_on_a_later_return(seed: int, cut: int) -> None:
    generator = np.random.default_rng(seed)
    returns = generator.normal(0, 0.01, (900, 2))
    changed = returns.copy()
    changed[cut:] = generator.normal(0, 0.05, (900 - cut, 2))
    base = np.array([0.5, 0.5])
    before, after = baselines(returns, base), baselines(changed, base)
    for name, weights in before.items():
        assert np.array_equal(weights[:cut], after[name][:cut]), name


@pytest.mark.parametrize("model", [hidden_markov_exposure, jump_exposure])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(100, 299))
def test_no_refit_sees_a_later_return(model: Any, seed: int, cut: int) -> None:
    generator = np.random.default_rng(seed)
    returns = generator.normal(0, 0.01, 300)
    changed = np.concatenate([returns[:cut], generator.normal(0, 0.05, 300 - cut)])
    assert np.array_equal(model(returns, refits=REFITS)[:cut], model(changed, refits=REFITS)[:cut])


@pytest.mark.parametrize(("model", "least"), [(hidden_markov_exposure, 0.9), (jump_exposure, 0.75)])
def test_plain_models_find_planted_regimes(model: Any, least: float) -> None:
    returns, states = planted_regimes()
    exposure = model(returns, refits=RefitSettings(least=600, first=600, every=100, window=1500))
    assert np.all(exposure[:599] == 0.0)
    assert np.mean(exposure[600:] == 1 - states[600:]) > least


@pytest.mark.parametrize("model", [hidden_markov_exposure, jump_exposure])
def test_prices_that_never_move_break_no_model(model: Any) -> None:
    exposure = model(np.zeros(300), refits=REFITS)
    assert set(np.unique(exposure)) <= {0.0, 1.0}


def test_a_higher_penalty_means_fewer_jumps() -> None:
    returns, _ = planted_regimes(1)
    jumps = [
        np.abs(np.diff(jump_exposure(returns, refits=REFITS, settings=JumpSettings(penalty=penalty))[400:])).sum()
        for penalty in (0.5, 200.0)
    ]
    assert jumps[1] < jumps[0]


def test_the_hidden_markov_filter_agrees_with_hmmlearn() -> None:
    hmm = pytest.importorskip("hmmlearn.hmm")
    returns, _ = planted_regimes(2, 600)
    ours = baseline_models._fit_markov(returns.tobytes(), None, HiddenMarkovSettings(cold_iterations=100))
    theirs = hmm.GaussianHMM(2, "diag", init_params="", params="")
    theirs.startprob_ = np.array([0.5, 0.5])
    theirs.transmat_ = np.array([[ours.stay[0], 1 - ours.stay[0]], [1 - ours.stay[1], ours.stay[1]]])
    theirs.means_, theirs.covars_ = np.array(ours.means)[:, None], np.array(ours.variances)[:, None]
    filtered, _ = baseline_models._forward(returns, ours)
    np.testing.assert_allclose(filtered[-1], theirs.predict_proba(returns[:, None])[-1], atol=1e-9)
    step = baseline_models._markov_step(returns, ours)
    assert theirs.score(returns[:, None]) == pytest.approx(log_likelihood(hmm, returns, step), abs=1e-3)


def log_likelihood(hmm: Any, returns: np.ndarray, model: Any) -> float:
    theirs = hmm.GaussianHMM(2, "diag")
    theirs.startprob_ = np.array([0.5, 0.5])
    theirs.transmat_ = np.array([[model.stay[0], 1 - model.stay[0]], [1 - model.stay[1], model.stay[1]]])
    theirs.means_, theirs.covars_ = np.array(model.means)[:, None], np.array(model.variances)[:, None]
    return theirs.score(returns[:, None])


def test_sessions_before_those_compared_cost_no_fit_and_stay_in_cash() -> None:
    returns, _ = planted_regimes(6, 600)
    whole, tail = (jump_exposure(returns, since, REFITS) for since in (0, 500))
    assert not tail[:500].any()
    assert np.mean(whole[500:] == tail[500:]) > 0.9


@pytest.mark.parametrize("model", [hidden_markov_exposure, jump_exposure])
def test_a_comparison_that_begins_early_has_a_model_on_its_first_session(model: Any) -> None:
    returns, _ = planted_regimes(4, 500)
    exposure = model(returns, 252, RefitSettings(least=200, first=504, every=126))
    assert exposure[252:503].any()
    assert not model(returns, 150, RefitSettings(least=200, first=504, every=126))[150:199].any(), "too little history"


def test_downside_features_agree_with_the_exponential_means_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    returns, _ = planted_regimes(3, 200)
    expected = pandas.Series(returns).ewm(halflife=20).mean().to_numpy()
    np.testing.assert_allclose(exponential_mean(returns, 20.0), expected, atol=1e-12)
    assert jump_features(returns, JumpSettings()).shape == (200, 3)


def test_the_volatility_target_halves_the_exposure_where_volatility_is_twice_the_target() -> None:
    daily = 0.20 / np.sqrt(252)
    returns = daily * np.where(np.arange(300) % 2, 1.0, -1.0)
    exposure = volatility_target_exposure(returns, BaselineSettings(target_volatility=0.10))
    assert exposure[-1] == pytest.approx(0.5)
    assert volatility_target_exposure(0.1 * returns, BaselineSettings())[-1] == 1.0
    never_closed = volatility_target_exposure(returns, BaselineSettings(sessions_per_year=365))
    assert never_closed[-1] == pytest.approx(0.5 * np.sqrt(252 / 365)), "365 such sessions are a wilder year"


def test_the_moving_average_is_in_when_rising_and_out_when_falling() -> None:
    returns = np.concatenate([np.full(300, 0.001), np.full(300, -0.002)])
    exposure = moving_average_exposure(returns, BaselineSettings())
    assert np.all(exposure[:199] == 0.0)
    assert np.all(exposure[199:300] == 1.0)
    assert exposure[-1] == 0.0


def test_the_moving_average_is_in_cash_when_history_is_short() -> None:
    assert not moving_average_exposure(np.full(50, 0.01), BaselineSettings()).any()


def test_every_baseline_stays_between_cash_and_the_base_portfolio() -> None:
    returns = np.random.default_rng(4).normal(0, 0.02, (700, 3))
    base = np.array([0.5, 0.3, 0.2])
    weights = baselines(returns, base)
    for name, decided in weights.items():
        assert decided.shape == returns.shape
        assert decided.min() >= 0.0
        if name != EQUAL_WEIGHT:
            assert np.all(decided <= base + 1e-12), name
    assert np.all(weights[BUY_AND_HOLD] == base)
    np.testing.assert_allclose(weights[EQUAL_WEIGHT], 1 / 3)


def test_a_session_more_makes_no_fit_anew_and_gives_the_bits_of_the_full_computation() -> None:
    returns = np.random.default_rng(8).normal(0.0003, 0.01, 760)
    exposures = (baseline_models.hidden_markov_exposure, baseline_models.jump_exposure)
    fits = (baseline_models._fit_markov, baseline_models._fit_jump)
    for fit in fits:
        fit.cache_clear()
    full = [exposure(returns, 300) for exposure in exposures]
    for fit in fits:
        fit.cache_clear()
    for exposure in exposures:
        exposure(returns[:-1], 300)
    made = [fit.cache_info().misses for fit in fits]
    for expected, exposure in zip(full, exposures, strict=True):
        np.testing.assert_array_equal(exposure(returns, 300), expected)
    assert [fit.cache_info().misses for fit in fits] == made
