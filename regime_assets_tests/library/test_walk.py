"""Each session is decided by the newest model before it, on a schedule that can be entered at any step."""

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.artifact import parts_hash
from regime_assets.library.determinism import derive_seed
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.market.window import Rolling
from regime_assets.library.memory_models import MemoryModels
from regime_assets.library.recipe import SessionFit, decide, fit_session
from regime_assets.library.universe.gate_settings import StabilitySettings
from regime_assets.library.walk import (
    WalkForwardError,
    WalkForwardSettings,
    fixed_schedule,
    replay,
    schedule,
    walk_forward,
)
from regime_assets_tests.designs import small_design
from regime_assets_tests.library.regimes.regime_windows import regime_window


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


def test_an_embargo_lies_between_what_is_trained_on_and_what_is_decided() -> None:
    steps = schedule(300, WalkForwardSettings(sessions=504, refit_every=10, minimum_training=200, embargo=7))
    assert steps[0].position == 207
    assert {step.position - step.newest for step in steps} == {7}

    window = regime_window(330)
    generator = np.random.default_rng(0)
    returns = pd.DataFrame({"X": window.market_returns}, window.features.index)
    other = window.features.copy()
    other.iloc[264:270] += generator.normal(size=other.iloc[264:270].shape)
    design = small_design(encoder={"sequence_length": 3, "n_latents": 2, "fine_tune_epochs": 8})

    def first_models(features: pd.DataFrame, embargo: int) -> str:
        history = TrainingSet(features, returns, window.sample_weight, "made up")
        counts = WalkForwardSettings(60, 60, 200, embargo=embargo)
        segment = next(replay(history, Rolling(3650), design, schedule(330, counts), ("made", "up")))
        assert segment.decided["model_session"].iloc[0] == history.sessions[270 - embargo]
        return parts_hash(segment.models.regimes.to_parts())

    assert first_models(window.features, 7) == first_models(other, 7), "the embargoed sessions were not seen"
    assert first_models(window.features, 0) != first_models(other, 0)


def test_with_the_default_cadences_it_is_one_refit_of_everything_after_another() -> None:
    window = regime_window(330)
    returns = pd.DataFrame({"X": window.market_returns}, window.features.index)
    history = TrainingSet(window.features, returns, window.sample_weight, "made up")
    design = small_design(encoder={"sequence_length": 3, "n_latents": 2, "fine_tune_epochs": 8})
    track = walk_forward(history, Rolling(3650), design, WalkForwardSettings(60, 30, 200), ("made", "up"))

    store = MemoryModels()
    for position in (270, 300):
        seen = history.slice(0, position + 1, np.ones(position + 1))
        day = history.sessions[position].date()
        fit = SessionFit(
            session=day,
            training=seen,
            design=design,
            models=store,
            seed_of=lambda asset, day=day: derive_seed("made", "up", day.isoformat(), asset),
            full_retrain=position == 270,
            stability=StabilitySettings(),
        )
        models, refused = fit_session(fit)
        assert models is not None, refused
        decided = decide(models, history.features.iloc[: position + 30], position, ["X"])
        pd.testing.assert_frame_equal(
            track.loc[decided.index, decided.columns], decided, check_exact=True, check_names=False, check_freq=False
        )


def test_the_record_of_a_session_does_not_depend_on_where_the_history_ends() -> None:
    window = regime_window(420)
    returns = pd.DataFrame({"X": window.market_returns}, window.features.index)
    design, settings = small_design(policy={"algorithm": "ppo"}), WalkForwardSettings(80, 20, 200)

    def decided(total: int) -> pd.DataFrame:
        history = TrainingSet(
            window.features.iloc[:total], returns.iloc[:total], window.sample_weight[:total], "made up"
        )
        steps = fixed_schedule(history.sessions, settings, lambda at, before: at.month != before.month)
        segments = replay(history, Rolling(3650), design, steps, ("made", "up"))
        return pd.concat([segment.decided for segment in segments]).iloc[-settings.sessions :]

    first, later = decided(410), decided(420)
    both = first.index.intersection(later.index)
    assert len(both) == 70
    pd.testing.assert_frame_equal(first.loc[both], later.loc[both], check_exact=True)
    assert first["model_session"].nunique() > 1


def test_fixed_dates_begin_anew_at_a_distance_and_retrain_at_the_cadence_that_is_asked_for() -> None:
    sessions = pd.bdate_range("2015-01-01", periods=1000)
    steps = fixed_schedule(sessions, WalkForwardSettings(250, 50, 200), lambda at, before: at.year != before.year)
    assert [step.position for step in steps] == list(range(750, 1000, 50))
    assert [step.position for step in steps if step.anew] == [750]
    earlier = fixed_schedule(
        sessions[:990], WalkForwardSettings(250, 50, 200), lambda at, before: at.year != before.year
    )
    assert {step.position for step in earlier} >= {step.position for step in steps}
    assert [step.position for step in earlier if step.anew] == [500, 750]
    retrained = [step.position for step in earlier if step.full_retrain]
    assert retrained == [500, 550, 750, 800], "begun anew, or the first of a year"
    with pytest.raises(WalkForwardError, match="180 sessions of history, 200 precede"):
        fixed_schedule(sessions[:180], WalkForwardSettings(250, 50, 200), lambda *_: False)
