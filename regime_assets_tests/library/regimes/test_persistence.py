"""The filter is causal, sticky, and as quick as its target wants it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regime_assets.library.regimes.persistence import (
    Persistence,
    PersistenceError,
    PersistenceFit,
    count_switches,
)
from regime_assets.library.regimes.persistence import fit_persistence as fit_persistence_of
from regime_assets.library.regimes.settings import PersistenceSettings

Array = NDArray[np.float64]


def fit_persistence(
    log_likelihoods: Array, chosen: PersistenceSettings, previous: Persistence | None = None, per_year: float = 252
) -> PersistenceFit:
    return fit_persistence_of(log_likelihoods, chosen, previous, sessions_per_year=per_year)


def evidence(
    n_sessions: int = 1000, seed: int = 0, n_regimes: int = 2, run: int = 100
) -> tuple[Array, NDArray[np.int64]]:
    """Noisy log-likelihoods of regimes that change every `run` sessions."""
    draws = np.random.default_rng(seed)
    truth = (np.arange(n_sessions) // run) % n_regimes
    centres = 2.0 * np.eye(n_regimes)
    rows = centres[truth] + draws.normal(0, 1.5, (n_sessions, n_regimes))
    return -0.5 * np.square(rows[:, None, :] - centres).sum(axis=2), truth


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), n_regimes=st.integers(2, 3), penalty=st.floats(0.05, 20.0))
def test_a_state_ends_the_path_of_least_loss_up_to_its_session(seed: int, n_regimes: int, penalty: float) -> None:
    log_likelihoods, _ = evidence(6, seed, n_regimes, 2)
    filter_ = Persistence(penalty, 0.4, n_regimes)
    filtered = filter_.filter(log_likelihoods)
    paths = np.array(list(product(range(n_regimes), repeat=6)))
    switches = np.count_nonzero(np.diff(paths, axis=1), axis=1)
    losses = penalty * switches - log_likelihoods[np.arange(6), paths].sum(axis=1)
    least = np.array([losses[paths[:, -1] == k].min() for k in range(n_regimes)])
    assert filtered.states[-1] == least.argmin()
    shares = np.exp(-0.4 * (least - least.min()))
    np.testing.assert_allclose(filtered.posteriors[-1], shares / shares.sum(), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 298), seed=st.integers(0, 99))
def test_no_later_session_reaches_an_earlier_one(cut: int, seed: int) -> None:
    log_likelihoods, _ = evidence(300, seed)
    filter_ = Persistence(3.0, 0.5, 2)
    changed = log_likelihoods.copy()
    changed[cut + 1 :] = changed[cut + 1 :, ::-1] - 7.0
    before, after = filter_.filter(log_likelihoods), filter_.filter(changed)
    np.testing.assert_array_equal(before.posteriors[: cut + 1], after.posteriors[: cut + 1])
    prefix = filter_.filter(log_likelihoods[: cut + 1])
    np.testing.assert_array_equal(prefix.posteriors, before.posteriors[: cut + 1])


@given(shift=st.lists(st.floats(-1e6, 1e6), min_size=50, max_size=50))
def test_only_differences_between_regimes_count(shift: list[float]) -> None:
    log_likelihoods, _ = evidence(50)
    filter_ = Persistence(3.0, 0.5, 2)
    moved = filter_.filter(log_likelihoods + np.array(shift)[:, None])
    np.testing.assert_allclose(moved.posteriors, filter_.filter(log_likelihoods).posteriors, atol=1e-6)


def test_a_penalty_removes_flicker_and_keeps_the_regimes() -> None:
    log_likelihoods, truth = evidence()
    fit = fit_persistence(log_likelihoods, PersistenceSettings(target_switches_per_year=2.27, evidence_weight=1.0))
    states = fit.model.filter(log_likelihoods).states
    assert fit.figures["raw_switches_per_year"] > 30
    assert count_switches(states) == pytest.approx(9, abs=2)
    assert (states == truth).mean() > 0.9


@settings(max_examples=15, deadline=None)
@given(target=st.sampled_from([1.0, 3.0, 10.0]))
def test_a_higher_target_never_brings_fewer_switches(target: float) -> None:
    log_likelihoods, _ = evidence(2000, seed=2)
    chosen = PersistenceSettings(target_switches_per_year=target)
    fewer = fit_persistence(log_likelihoods, chosen).figures["switches_per_year"]
    more = fit_persistence(log_likelihoods, replace(chosen, target_switches_per_year=2 * target))
    assert more.figures["switches_per_year"] >= fewer


def test_the_previous_penalty_stays_while_it_is_good_enough_and_goes_when_it_is_not() -> None:
    log_likelihoods, _ = evidence()
    chosen = PersistenceSettings(target_switches_per_year=2.5)
    first = fit_persistence(log_likelihoods, chosen).model
    near = replace(first, penalty=first.penalty * 1.1)
    assert fit_persistence(log_likelihoods, chosen, near).model == near
    dead = replace(first, penalty=1e-3)
    renewed = fit_persistence(log_likelihoods, replace(chosen, target_switches_per_year=0.5), dead)
    assert renewed.figures["kept"] == 0.0
    assert renewed.model.penalty > 1.0


def test_evidence_of_any_size_leaves_numbers() -> None:
    log_likelihoods = np.array([[0.0, -1e9], [-1e9, 0.0], [-1e9, 0.0], [-1e300, 0.0]])
    filtered = Persistence(60.0, 1.0, 2).filter(log_likelihoods)
    assert np.isfinite(filtered.posteriors).all()
    assert list(filtered.states) == [0, 1, 1, 1]


def test_what_cannot_be_filtered_is_refused() -> None:
    log_likelihoods, _ = evidence(30)
    filter_ = Persistence(1.0, 1.0, 3)
    with pytest.raises(PersistenceError, match=r"expected \(T, 3\)"):
        filter_.filter(log_likelihoods)
    with pytest.raises(PersistenceError, match="3 regimes, the mixture 2"):
        fit_persistence(log_likelihoods, PersistenceSettings(), filter_)
    log_likelihoods[4, 1] = np.nan
    with pytest.raises(PersistenceError, match="row 4"):
        fit_persistence(log_likelihoods, PersistenceSettings())


def test_a_stored_filter_is_the_same_filter() -> None:
    filter_ = Persistence(4.2, 0.1, 3)
    assert Persistence.from_parts(filter_.to_parts()) == filter_


def test_a_year_has_the_sessions_of_the_universes_calendar() -> None:
    """On a market that never closes 365 sessions are one year: as many switches a year are fewer a session."""
    log_likelihoods, _ = evidence(2920, run=50)
    chosen = PersistenceSettings(target_switches_per_year=8)
    exchange, always = (fit_persistence(log_likelihoods, chosen, per_year=count) for count in (252, 365))
    assert always.model.penalty > exchange.model.penalty
    states = always.model.filter(log_likelihoods).states
    assert always.figures["switches_per_year"] == pytest.approx(count_switches(states) / 8)


def test_a_short_window_may_have_a_target_of_its_own_and_a_long_one_keeps_the_other() -> None:
    chosen = PersistenceSettings(short_window_target=3.0)
    assert chosen.wanted(252, 252) == 3.0
    assert chosen.wanted(2520, 252) == 15.0
    assert PersistenceSettings().wanted(252, 252) == 1.5
