"""Each session is decided by the newest model before it, on a schedule that can be entered at any step."""

import pytest

from regime_assets.library.evaluation.walk_forward import WalkForwardError, WalkForwardSettings, schedule


def test_every_session_is_decided_once_and_the_oldest_refit_comes_first() -> None:
    steps = schedule(1000, WalkForwardSettings(sessions=103, refit_every=10))
    decided = [row for step in steps for row in range(step.position, step.stop)]
    assert decided == list(range(897, 1000))
    assert [step.number for step in steps] == list(range(1, 12))
    assert {step.total for step in steps} == {11}


def test_without_cadences_of_their_own_the_policy_follows_each_refit_and_nothing_starts_again() -> None:
    steps = schedule(1000, WalkForwardSettings(sessions=100, refit_every=10))
    assert all(step.policy for step in steps)
    assert [step.number for step in steps if step.full_retrain] == [1]


def test_the_policy_waits_for_the_next_refit_of_the_regimes() -> None:
    steps = schedule(1000, WalkForwardSettings(sessions=100, refit_every=5, policy_every=21))
    assert [step.position - 900 for step in steps if step.policy] == [0, 25, 50, 75]


def test_a_full_retrain_takes_the_policy_along_and_starts_its_count_again() -> None:
    settings = WalkForwardSettings(sessions=100, refit_every=10, policy_every=30, full_retrain_every=50)
    steps = schedule(1000, settings)
    assert [step.position - 900 for step in steps if step.full_retrain] == [0, 50]
    assert [step.position - 900 for step in steps if step.policy] == [0, 30, 50, 80]


def test_the_first_model_is_given_its_training_sessions() -> None:
    assert schedule(300, WalkForwardSettings(sessions=504, minimum_training=200))[0].position == 200
    with pytest.raises(WalkForwardError, match="200 sessions of history"):
        schedule(200, WalkForwardSettings(minimum_training=200))


def test_a_cadence_below_its_least_is_refused() -> None:
    with pytest.raises(WalkForwardError, match="refit_every is 0"):
        WalkForwardSettings(refit_every=0)
