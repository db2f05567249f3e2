from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.acceptance import accepted
from regime_assets.library.artifact import parts_hash
from regime_assets.library.home import Home
from regime_assets.library.policies.online import one_step_settings, replay_weights
from regime_assets.library.policies.settings import OnlineSettings, PolicySettings
from regime_assets.library.policies.training import PolicyFit, assess_policy, train_policy
from regime_assets.library.trading.episodes import EpisodeSampler, decidable
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.tape import MarketTape
from regime_assets.library.universe import load_universes
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.trading.trading_tapes import oracle_tape

FITTED = PolicySettings(
    algorithm="ppo",
    trading=TradingSettings(no_trade_band=0.0, action="residual", environments=64, episode_sessions=40),
    seeds=2,
    gradient_steps=100,
    hidden=(16, 16),
    learning_rate=3e-3,
    turnover_limit=1e3,
)
ONLINE = replace(FITTED, online=OnlineSettings())
FAST = replace(FITTED, online=OnlineSettings(gradient_steps=20, learning_rate=0.02))
TAPE = oracle_tape(600)
UNIVERSES = Path(__file__).parents[3] / "regime_assets" / "universes"


@pytest.fixture(scope="module")
def before() -> PolicyFit:
    """A policy whose tilt is in use."""
    fit = train_policy(TAPE, ONLINE, seed=1)
    assert not fit.warm_started
    assert fit.model.tilt_kept > 0.5
    return fit


def update(before: PolicyFit, settings: PolicySettings = ONLINE, tape: MarketTape = TAPE, seed: int = 2) -> PolicyFit:
    return train_policy(tape, settings, seed, before.model)


def newest_earns(earned: float) -> MarketTape:
    returns = TAPE.returns.copy()
    returns[-1] = earned
    return replace(TAPE, returns=returns)


def test_an_update_is_a_few_steps_of_one_transition_each_and_reproducible(before: PolicyFit) -> None:
    fit, again = update(before), update(before)
    assert fit.warm_started
    assert fit.figures["gradient_steps"] == 2 * 4
    assert fit.figures["environment_steps"] == 2 * 4 * 64
    assert parts_hash(fit.model.to_parts()) == parts_hash(again.model.to_parts())
    assert parts_hash(fit.model.to_parts()) != parts_hash(update(before, seed=3).model.to_parts())
    assert parts_hash(fit.model.to_parts()) != parts_hash(before.model.to_parts())


def test_the_newest_session_is_mixed_with_replayed_ones() -> None:
    online = OnlineSettings(newest_share=0.3)
    trading = one_step_settings(FITTED, online).trading
    sampler = EpisodeSampler.of(replay_weights(TAPE, 0.3, FITTED.trading.past_share), trading)
    seeds = np.arange(20_000, dtype=np.uint64)
    drawn, ends = sampler.sample(seeds, np.zeros_like(seeds))
    newest = decidable(TAPE)[1] - 1
    assert (ends - drawn == 1).all()
    assert (drawn == newest).mean() == pytest.approx(0.3, abs=0.01)
    assert len(np.unique(drawn[drawn < newest])) > 500


def test_the_policy_moves_towards_what_the_newest_session_rewards(before: PolicyFit) -> None:
    session = decidable(TAPE)[1] - 1
    rows = slice(session, session + 1)
    actions = [
        update(before, FAST, newest_earns(earned)).model.member_actions(TAPE.observations[rows], np.full((1, 1), 0.5))
        for earned in (0.05, -0.05)
    ]
    assert (actions[0] > actions[1]).all()


def test_what_the_newest_session_brought_is_recorded_before_it_is_learned_from(before: PolicyFit) -> None:
    figures = [update(before, tape=newest_earns(earned)).figures["newest_gain"] for earned in (0.0, 0.05)]
    assert figures[0] != figures[1]


def test_divergence_is_bounded_and_recorded(before: PolicyFit) -> None:
    for limit in (1e-2, 1e-4):
        assert FAST.online is not None
        settings = replace(FAST, online=replace(FAST.online, kl_limit=limit))
        fit = update(before, settings)
        assert 0.0 < fit.figures["update_kept"] < 1.0
        assert 0.0 < fit.figures["kl_to_previous"] <= limit
        outcomes = {outcome.rule: outcome for outcome in assess_policy(fit, TAPE, settings)}
        assert outcomes["kl_to_previous"].passed
        assert outcomes["online_update"].passed
    assert update(before).figures["update_kept"] == 1.0


def test_an_update_that_collapses_is_refused_and_leaves_the_previous_policy(before: PolicyFit) -> None:
    """Without a bound, and on one lossy session alone, exploration shrinks by a tenth in a single session."""
    alone = OnlineSettings(gradient_steps=20, newest_share=0.95, learning_rate=0.02, kl_limit=1e9)
    reckless = replace(ONLINE, online=alone, entropy_floor=0.95 * before.figures["entropy"])
    tape = newest_earns(-0.05)
    fit = update(before, reckless, tape, seed=3)
    assert "entropy" in fit.refused
    assert parts_hash(fit.model.to_parts()) == parts_hash(before.model.to_parts())
    assert fit.figures["update_kept"] == fit.figures["kl_to_previous"] == 0.0
    outcomes = assess_policy(fit, tape, reckless)
    assert accepted(outcomes)
    warning = next(outcome for outcome in outcomes if outcome.rule == "online_update")
    assert (warning.passed, warning.blocking, warning.detail) == (False, False, fit.refused)


@pytest.mark.parametrize(
    ("collapse", "named"),
    [
        ({"turnover_limit": 1.0}, "turnover_per_year"),
        ({"entropy_floor": 9.0}, "entropy"),
        ({"action_floor": 1e6}, "turnover_collapse"),
    ],
)
def test_a_previous_policy_that_has_collapsed_as_well_is_not_accepted(
    before: PolicyFit, collapse: dict[str, float], named: str
) -> None:
    settings = replace(ONLINE, **collapse)  # pyright: ignore[reportArgumentType]
    fit = update(before, settings)
    assert named in fit.refused
    assert not accepted(assess_policy(fit, TAPE, settings))


def test_it_is_off_by_default_and_no_full_retrain(before: PolicyFit) -> None:
    assert PolicySettings().online is None
    fit = train_policy(TAPE, replace(ONLINE, gradient_steps=20), 3, before.model, full_retrain=True)
    assert not fit.warm_started
    assert "update_kept" not in fit.figures


def test_dqn_is_updated_within_the_bound_too() -> None:
    settings = replace(FAST, algorithm="dqn", gradient_steps=40)
    first = train_policy(TAPE, settings, 1)
    assert update(first, settings).figures["kl_to_previous"] <= 0.01


def test_a_universe_turns_it_on(tmp_path: Path) -> None:
    shipped = load_universes([UNIVERSES]).named("us_large_cap")
    refit = shipped.refit.model_copy(update={"policy_updates": "online"})
    designs = [
        Workspace(universe, Home(tmp_path)).design
        for universe in (shipped, shipped.model_copy(update={"refit": refit}))
    ]
    assert [design.policy.settings.online for design in designs] == [None, OnlineSettings()]
    assert designs[0].hash_for("long") != designs[1].hash_for("long")


@pytest.mark.parametrize("wrong", [{"gradient_steps": 0}, {"newest_share": 1.0}, {"kl_limit": 0.0}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OnlineSettings(**wrong)  # pyright: ignore[reportArgumentType]
