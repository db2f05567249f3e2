"""The simulated gate obeys the gate's laws, and the default settings meet what they are chosen for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regime_assets.library.evaluation.bootstrap import sharpe_difference
from regime_assets.library.evaluation.gate_simulation import (
    PATIENCE,
    SimulationSettings,
    challenge,
    frontier,
    gain_z,
    luck_boundaries,
    refresh_passes,
)
from regime_assets.library.universe.gate_settings import GateSettings

SMALL = SimulationSettings(paths=150)
YEARS = 4 * 252


def test_the_default_settings_meet_their_target() -> None:
    """At most half a false promotion a year, and a gain of 0.5 found within three years in 60 %."""
    false = challenge(GateSettings(), SMALL, 0.0, 5, YEARS)
    found = challenge(GateSettings(), replace(SMALL, paths=400), 0.5, 1, PATIENCE)
    assert false.promotions_per_year <= 0.5
    assert found.found >= 0.58


def test_a_higher_boundary_promotes_less() -> None:
    low, high = (challenge(replace(GateSettings(), boundary_z=z), SMALL, 0.3, 1, PATIENCE).found for z in (1.3, 2.5))
    assert low > high


def test_a_truly_better_challenger_is_found_more_often_than_a_worse_one() -> None:
    better, worse = (challenge(GateSettings(), SMALL, gain, 1, PATIENCE).found for gain in (0.8, -0.8))
    assert better > 0.75
    assert worse == 0.0


def test_nothing_is_promoted_before_the_first_look() -> None:
    sessions = GateSettings().challenge_sessions - 1
    assert challenge(GateSettings(), SMALL, 2.0, 1, sessions).promotions_per_year == 0.0


def test_no_budget_means_no_promotion_and_the_budget_bounds_the_promotions() -> None:
    broke = replace(GateSettings(), alpha_per_year=0.0)
    assert challenge(broke, SMALL, 2.0, 5, YEARS).promotions_per_year == 0.0
    tight = replace(GateSettings(), alpha_per_year=0.05, deflated_minimum=0.0)
    assert challenge(tight, SMALL, 0.0, 20, YEARS).promotions_per_year <= 0.05 + 0.03


def test_the_simulated_statistic_agrees_with_the_bootstrap_of_the_gate() -> None:
    generator = np.random.default_rng(0)
    champion = generator.normal(0.03, 1, 1500)
    challenger = 0.9 * champion + np.sqrt(0.19) * generator.normal(0.05, 1, 1500)
    interval = sharpe_difference(challenger, champion, seed=0)
    pairs = [champion, challenger, champion**2, challenger**2, champion * challenger]
    sums = np.array([series.sum() for series in pairs])[:, None]
    assert interval is not None
    z = interval.estimate / interval.standard_error
    assert gain_z(sums, np.array([1500]))[0] == pytest.approx(z, rel=0.08)


def test_luck_grows_with_the_trials() -> None:
    luck = luck_boundaries(100)
    assert luck[0] == luck[1] == 0.0
    assert np.all(np.diff(luck[1:]) > 0)
    assert luck[100] == pytest.approx(2.53, abs=0.01)


def test_a_harmful_refresh_passes_less_often_than_a_harmless_one() -> None:
    shares = [refresh_passes(GateSettings(), SMALL, loss, 252, 0.97) for loss in (0.0, 0.5, 1.0)]
    assert shares[0] > 0.75
    assert shares[1] < 0.35
    assert shares[2] < 0.03


def test_the_same_seed_simulates_the_same() -> None:
    assert challenge(GateSettings(), SMALL, 0.5, 1, 600) == challenge(GateSettings(), SMALL, 0.5, 1, 600)


def test_the_frontier_ends_with_the_default_settings() -> None:
    assert frontier(GateSettings())[-1][1] == GateSettings()
