"""Two centres and a penalty, fitted together: the jump model's states, the predecessor's names, the wanted switches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regime_assets.library.regimes.jump_model import online_states
from regime_assets.library.regimes.jump_regimes import fit_jump_regimes
from regime_assets.library.regimes.mixture import Mixture, MixtureError
from regime_assets.library.regimes.mixture_fitting import MixtureFit
from regime_assets.library.regimes.persistence import Persistence, PersistenceFit
from regime_assets.library.regimes.settings import JumpSettings, PersistenceSettings
from regime_assets_tests.library.regimes.regime_windows import regime_window

WINDOW = regime_window(1000, run=170)
ROWS = WINDOW.features.to_numpy()
SETTINGS = JumpSettings()
TARGET = SETTINGS.persistence


def fitted(
    rows: np.ndarray = ROWS, previous: tuple[Mixture, Persistence] | None = None, target: PersistenceSettings = TARGET
) -> tuple[MixtureFit, PersistenceFit]:
    count = len(rows)
    return fit_jump_regimes(
        rows,
        WINDOW.market_returns[:count],
        WINDOW.sample_weight[:count],
        replace(SETTINGS, persistence=target),
        previous=previous,
    )


MIXTURE, PERSISTENCE = fitted()


def test_the_regimes_that_made_the_market_are_found_and_ordered() -> None:
    states = PERSISTENCE.model.filter(MIXTURE.model.log_likelihoods(ROWS)).states
    assert (states == WINDOW.truth).mean() > 0.97
    assert MIXTURE.figures["downside_0"] < MIXTURE.figures["downside_1"]
    assert PERSISTENCE.figures["switches_per_year"] == pytest.approx(1.3, abs=0.6)


def test_mixture_and_filter_say_what_the_jump_model_says() -> None:
    mixture, persistence = MIXTURE.model, PERSISTENCE.model
    scale = np.sqrt(np.diagonal(mixture.covariances[0]))
    expected = online_states(ROWS / scale, mixture.means / scale, persistence.penalty)
    np.testing.assert_array_equal(persistence.filter(mixture.log_likelihoods(ROWS)).states, expected)


def test_a_refit_keeps_penalty_and_names_while_switches_are_near_the_target() -> None:
    before = MIXTURE.model, replace(PERSISTENCE.model, penalty=PERSISTENCE.model.penalty * 1.1)
    mixture, persistence = fitted(ROWS[:950], before)
    assert persistence.figures["kept"] == 1.0
    assert persistence.model.penalty == before[1].penalty
    np.testing.assert_allclose(mixture.model.means, before[0].means, rtol=0.1)


def test_a_penalty_that_switches_far_too_often_is_chosen_anew() -> None:
    nervous = replace(PERSISTENCE.model, penalty=1e-6)
    _, persistence = fitted(previous=(MIXTURE.model, nervous), target=replace(TARGET, target_switches_per_year=0.5))
    assert persistence.figures["kept"] == 0.0
    assert persistence.model.penalty > 1.0


def test_regimes_keep_the_names_of_their_predecessors_whatever_the_order_of_the_start() -> None:
    exchanged = MIXTURE.model.reordered(np.array([1, 0]))
    mild = replace(SETTINGS, relabel_ratio=1e9)
    again, _ = fit_jump_regimes(
        ROWS,
        WINDOW.market_returns,
        WINDOW.sample_weight,
        mild,
        previous=(exchanged, PERSISTENCE.model),
    )
    np.testing.assert_allclose(again.model.means, exchanged.means, rtol=1e-6)


def test_where_every_penalty_starves_a_regime_the_figure_says_so() -> None:
    states = (np.arange(1000) >= 970).astype(float)
    rows = np.random.default_rng(0).normal(size=(1000, 3)) + 8.0 * states[:, None]
    mixture, _ = fitted(rows)
    assert mixture.figures["smallest_weight"] == pytest.approx(0.03, abs=0.01)


@pytest.mark.parametrize("n_regimes", [3, 5])
def test_more_regimes_than_two_are_named_from_calm_to_turbulent(n_regimes: int) -> None:
    states = (np.arange(1000) // 100) % n_regimes
    rows = np.random.default_rng(2).normal(size=(1000, 3)) + states[:, None] * np.array([4.0, -3.0, 1.0])
    returns = np.random.default_rng(3).normal(size=1000) * 0.01 * 2.0**states
    settings = JumpSettings(n_regimes=n_regimes, persistence=PersistenceSettings(target_switches_per_year=2.5))
    mixture, persistence = fit_jump_regimes(rows, returns, np.ones(1000), settings, previous=None)
    found = persistence.model.filter(mixture.model.log_likelihoods(rows)).states
    assert len(mixture.model.names) == n_regimes
    assert (found == states).mean() > 0.95


def test_what_it_cannot_fit_is_refused() -> None:
    broken = ROWS.copy()
    broken[4, 0] = np.nan
    with pytest.raises(MixtureError, match="row 4"):
        fitted(broken)
