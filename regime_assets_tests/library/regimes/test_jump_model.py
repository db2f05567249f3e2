"""The jump model finds the least loss, agrees with the package of the field, and never looks ahead."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.regimes.jump_model import best_states, fit_jump_model, online_states, spread_starts

CENTRES = np.array([[0.0, 0.0], [1.0, 0.5]])
FOUR_CENTRES = np.array([[0.0, 0.0], [1.0, 0.5], [2.0, -1.0], [-0.5, 1.5]])


def rows(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 1.0, (count, 2))


def planted(seed: int = 0, sessions: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Three features of stretches of 150 sessions, two of them shifted in the second state, and the states."""
    states = (np.arange(sessions) // 150) % 2
    noise = np.random.default_rng(seed).normal(size=(sessions, 3))
    return noise + states[:, None] * np.array([1.5, -1.0, 0.0]), states


def loss(features: np.ndarray, path: np.ndarray, penalty: float, centres: np.ndarray) -> float:
    return 0.5 * np.square(features - centres[path]).sum() + penalty * np.count_nonzero(np.diff(path))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), penalty=st.floats(0.0, 3.0), n_states=st.integers(2, 4), data=st.data())
def test_no_path_has_a_smaller_loss(seed: int, penalty: float, n_states: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 9 if n_states == 2 else 5))
    features, centres = rows(seed, count), FOUR_CENTRES[:n_states]
    least = min(loss(features, np.array(path), penalty, centres) for path in product(range(n_states), repeat=count))
    assert loss(features, best_states(features, centres, penalty), penalty, centres) == pytest.approx(least)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), stop=st.integers(1, 60), penalty=st.floats(0.0, 5.0), n_states=st.integers(2, 4))
def test_an_online_state_ends_the_best_path_of_the_sessions_so_far(
    seed: int, stop: int, penalty: float, n_states: int
) -> None:
    features, centres = rows(seed, 60), FOUR_CENTRES[:n_states]
    assert online_states(features, centres, penalty)[stop - 1] == best_states(features[:stop], centres, penalty)[-1]


def test_three_planted_states_are_found_and_agree_with_jumpmodels() -> None:
    jump = pytest.importorskip("jumpmodels.jump")
    states = (np.arange(900) // 100) % 3
    features = np.random.default_rng(1).normal(size=(900, 3)) + states[:, None] * np.array([2.0, -1.5, 0.5])
    ours = fit_jump_model(features, 10.0, spread_starts(features, risk=features[:, 0], n_states=3))
    theirs = jump.JumpModel(n_components=3, jump_penalty=10.0, cont=False, n_init=10).fit(features)
    assert np.mean(ours.states == states) > 0.98
    assert ours.loss <= theirs.val_ + 1e-6


@pytest.mark.parametrize("penalty", [5.0, 50.0])
def test_fit_and_online_states_agree_with_jumpmodels(penalty: float) -> None:
    jump = pytest.importorskip("jumpmodels.jump")
    features, states = planted()
    returns = np.where(states, -0.01, 0.01)
    theirs = jump.JumpModel(n_components=2, jump_penalty=penalty, cont=False).fit(features, returns, sort_by="cumret")
    ours = fit_jump_model(features, penalty, spread_starts(features, risk=features[:, 0]))
    assert ours.loss == pytest.approx(theirs.val_)
    np.testing.assert_allclose(ours.centres, theirs.centers_, atol=1e-9)
    assert np.array_equal(ours.states, theirs.labels_)
    assert np.array_equal(online_states(features, ours.centres, penalty), theirs.predict_online(features))


def test_planted_states_are_found() -> None:
    features, states = planted(3)
    fit = fit_jump_model(features, 10.0, spread_starts(features, risk=features[:, 0]))
    assert np.mean(fit.states == states) > 0.98


def test_a_penalty_above_every_gain_leaves_one_state() -> None:
    features, _ = planted(4)
    fit = fit_jump_model(features, 1e9, spread_starts(features, risk=features[:, 0]))
    assert len(np.unique(fit.states)) == 1


def test_a_gap_in_the_features_is_named() -> None:
    features, _ = planted(5)
    features[17, 1] = np.nan
    with pytest.raises(ValueError, match="feature row 17"):
        fit_jump_model(features, 1.0, [CENTRES])
