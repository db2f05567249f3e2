"""Live sessions are evidence; a replay is worth what is left of it after everything that was tried on its history."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.evaluation.paired_test import PairedTest
from regime_assets.library.evaluation.tiers import Tiers, combined_score, deflated_score


def paired(z: float, sessions: int) -> PairedTest:
    return PairedTest(0.2 * z, 0.2, z, sessions)


def test_a_single_trial_is_not_deflated() -> None:
    assert float(deflated_score(1.7, 1)) == pytest.approx(1.7)


@given(st.floats(1.0, 6.0), st.integers(1, 20))
def test_one_more_trial_deflates_more(z: float, trials: int) -> None:
    assert float(deflated_score(z, trials + 1)) < float(deflated_score(z, trials))


def test_the_best_of_many_designs_without_skill_is_a_standard_normal_score() -> None:
    best = np.random.default_rng(0).standard_normal((20_000, 30)).max(axis=1)
    scores = deflated_score(best, 30)
    assert np.mean(scores) == pytest.approx(0.0, abs=0.03)
    assert np.std(scores) == pytest.approx(1.0, abs=0.03)
    assert np.mean(scores > 1.645) == pytest.approx(0.05, abs=0.006)


def test_both_tiers_together_are_a_standard_normal_score() -> None:
    live, replay = np.random.default_rng(0).standard_normal((2, 50_000))
    assert np.std(combined_score(live, 126, replay, 504)) == pytest.approx(1.0, abs=0.01)


def test_a_replay_never_outweighs_the_live_sessions() -> None:
    long, short = (float(combined_score(0.0, 126, 4.0, replayed)) for replayed in (10_000, 126))
    assert long == short == pytest.approx(4.0 / np.sqrt(2.0))


def test_without_a_replay_the_live_sessions_speak_alone() -> None:
    assert Tiers(paired(1.2, 504), None, 50).score == pytest.approx(1.2)


def test_without_live_sessions_there_is_no_evidence_at_all() -> None:
    assert Tiers(None, paired(5.0, 504), 1).score is None
    assert Tiers(PairedTest(0.0, 0.0, 0.0, 504), paired(5.0, 504), 1).score is None
