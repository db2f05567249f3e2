"""A refit changes no more of the last year's states than it may, and gets there in steps when it wants more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.regimes.identity import COMPARED_SESSIONS, bounded_update
from regime_assets.library.regimes.mixture import Mixture, regime_names
from regime_assets.library.regimes.persistence import Persistence
from regime_assets.library.regimes.segmentation import Regimes, Segmentation
from regime_assets.library.regimes.settings import IdentitySettings
from regime_assets.library.universe.gate_settings import GateSettings, StabilitySettings

ROWS = np.random.default_rng(0).normal(size=(600, 2)).cumsum(axis=0) / 12
BOUND = IdentitySettings()


def segmentation(border: float, penalty: float = 1.0) -> Segmentation:
    """Two regimes that meet where the first coordinate is `border`."""
    means = np.array([[border - 1.0, 0.0], [border + 1.0, 0.0]])
    mixture = Mixture(regime_names(2), means, np.stack([np.eye(2)] * 2), np.array([0.5, 0.5]), "decoded")
    return Segmentation(mixture, Persistence(penalty, 1.0, 2))


def agreement(one: Regimes, other: Regimes) -> float:
    last = slice(-COMPARED_SESSIONS, None)
    return float((one.filter(ROWS).states[last] == other.filter(ROWS).states[last]).mean())


MIDDLE = float(np.median(ROWS[-COMPARED_SESSIONS:, 0]))
PREVIOUS = segmentation(MIDDLE)


@settings(max_examples=40, deadline=None)
@given(
    border=st.floats(-3.0, 3.0),
    penalty=st.floats(0.1, 20.0),
    floor=st.floats(0.5, 1.0),
)
def test_whatever_was_fitted_enough_states_stay(border: float, penalty: float, floor: float) -> None:
    fitted = segmentation(MIDDLE + border, penalty)
    update = bounded_update(fitted, ROWS, PREVIOUS, ROWS, IdentitySettings(floor=floor), exchanged=False)
    assert update.regimes is not None
    assert agreement(update.regimes, PREVIOUS) >= floor


def test_a_small_change_is_taken_as_it_is() -> None:
    fitted = segmentation(MIDDLE + 0.01)
    update = bounded_update(fitted, ROWS, PREVIOUS, ROWS, BOUND, exchanged=False)
    assert update.step == 1.0
    assert update.regimes is fitted


def test_a_large_change_arrives_over_several_refits() -> None:
    fitted = segmentation(MIDDLE + 0.3)
    assert agreement(fitted, PREVIOUS) < BOUND.floor
    current: Regimes = PREVIOUS
    steps = []
    for _ in range(20):
        update = bounded_update(fitted, ROWS, current, ROWS, BOUND, exchanged=False)
        assert update.regimes is not None
        current = update.regimes
        steps.append(update.step)
    assert steps[0] < 1.0
    assert steps[-1] == 1.0
    assert agreement(current, fitted) == 1.0


def test_regimes_that_changed_places_are_not_taken() -> None:
    mixture = PREVIOUS.mixture.reordered(np.array([1, 0]))
    update = bounded_update(replace(PREVIOUS, mixture=mixture), ROWS, PREVIOUS, ROWS, BOUND, exchanged=True)
    assert update.regimes is not None
    assert update.step == 0.0
    assert isinstance(update.regimes, Segmentation)
    np.testing.assert_array_equal(update.regimes.mixture.means, PREVIOUS.mixture.means)


def test_coordinates_in_which_the_predecessor_disagrees_with_itself_leave_nothing_to_take() -> None:
    update = bounded_update(PREVIOUS, -ROWS + 2 * MIDDLE, PREVIOUS, ROWS, BOUND, exchanged=False)
    assert update.regimes is None


def test_half_way_is_half_way_and_the_penalty_is_in_proportion() -> None:
    half = segmentation(0.0, 1.0).toward(segmentation(2.0, 4.0), 0.5)
    np.testing.assert_allclose(half.mixture.means, segmentation(1.0).mixture.means)
    assert half.persistence.penalty == 2.0


def test_the_bound_keeps_the_agreement_that_stability_and_gate_ask_for() -> None:
    assert IdentitySettings().floor == StabilitySettings().agreement_block == GateSettings().label_agreement
