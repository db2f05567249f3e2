"""The simulated gate obeys the gate's laws, and the default settings meet what they are chosen for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gate_simulation import REPLAY, Declared, Simulation, declare, judge, refresh_passes
from gate_worlds import real_strategies, without_difference
from promotion_coverage import coverage

from regime_assets.library.universe.gate_settings import GateSettings

GATE = GateSettings()
SMALL = Simulation(paths=200)


@pytest.fixture(scope="module")
def unskilled() -> Declared:
    return declare(GATE, SMALL, 20)


@pytest.fixture(scope="module")
def skilled() -> Declared:
    return declare(GATE, SMALL, 1, gain=0.5)


def test_the_best_of_twenty_tries_is_promoted_less_than_once_in_two_years(unskilled: Declared) -> None:
    assert judge(GATE, unskilled, trials=20).a_year <= 0.25
    assert judge(GATE, unskilled, trials=1).a_year <= 0.5, "also where the ledger was not told"


def test_a_true_gain_of_a_half_is_found_in_most_cases_and_within_a_year(skilled: Declared) -> None:
    found = judge(GATE, skilled, trials=1)
    assert found.found >= 0.75
    assert found.median_sessions is not None
    assert found.median_sessions <= 252


def test_a_higher_boundary_and_more_trials_promote_less(skilled: Declared) -> None:
    usual = judge(GATE, skilled, trials=1).found
    assert judge(replace(GATE, boundary_z=3.0), skilled, trials=1).found < usual
    assert judge(GATE, skilled, trials=100).found < usual


def test_nothing_is_promoted_before_enough_sessions(skilled: Declared) -> None:
    late = replace(GATE, challenge_sessions=REPLAY + 10_000)
    assert judge(late, skilled, trials=1).found == 0.0


def test_a_harmful_refresh_passes_less_often_than_a_harmless_one() -> None:
    shares = [refresh_passes(GATE, SMALL, loss, 252) for loss in (0.0, 0.5, 1.0)]
    assert shares[0] > 0.75
    assert shares[1] < 0.35
    assert shares[2] < 0.05


def test_the_same_seed_simulates_the_same() -> None:
    few = Simulation(paths=10)
    assert np.array_equal(declare(GATE, few, 2).live, declare(GATE, few, 2).live)


def test_real_pairs_have_one_sharpe_ratio_and_keep_what_they_share() -> None:
    strategies = real_strategies()[0]
    others = np.array([3, 40])
    ours, theirs = without_difference(strategies, 0, others)
    ratios = theirs.mean(axis=1) / theirs.std(axis=1, ddof=1)
    assert ratios == pytest.approx(ours.mean() / ours.std(ddof=1), rel=1e-3)
    same = strategies.held[others] == strategies.held[0]
    assert np.array_equal(theirs[same], strategies.net[others][same])


@pytest.mark.parametrize(("designs", "gain"), [(1, 0.0), (1, 0.5), (20, 0.0)])
def test_the_year_after_a_promotion_lies_inside_what_was_shown(designs: int, gain: float) -> None:
    kept = coverage(GATE, Simulation(paths=1200 if designs == 1 else 400), designs, gain)
    assert 0.88 <= kept.shown <= 0.99
    assert kept.record_interval < 0.85, "the record's own interval leaves out the luck of the year to come"
