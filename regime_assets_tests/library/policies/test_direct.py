"""Ascending the known reward: it is the environment's own, it finds what is there, and noise leaves the rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from regime_assets.library.artifact import parts_hash
from regime_assets.library.policies.direct import KnownReward
from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.settings import DirectSettings, OnlineSettings, PolicySettings
from regime_assets.library.policies.training import train_policy
from regime_assets.library.trading.actions import ActionMap
from regime_assets.library.trading.env import TradingVecEnv
from regime_assets.library.trading.scoring import FILL_DELAY, realised_returns
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.tape import MarketTape
from regime_assets_tests.library.trading.trading_tapes import noise_tape, oracle_tape

SETTINGS = PolicySettings(seeds=4)


def two_instruments(sessions: int, seed: int = 0) -> MarketTape:
    """Of two instruments one earns and the other loses, and an observation says which."""
    rng = np.random.default_rng(seed)
    leader = np.repeat(rng.choice([-1.0, 1.0], sessions // 20 + 1), 20)[:sessions]
    returns = 0.01 * rng.normal(size=(sessions, 2))
    returns[FILL_DELAY:] += 0.004 * np.column_stack([leader, -leader])[:-FILL_DELAY]
    observed = np.column_stack([leader, rng.normal(size=sessions)]).astype(np.float32)
    return MarketTape(observed, np.ones(sessions), returns, np.full(2, 0.5), np.ones(sessions))


@pytest.mark.parametrize("kind", ["residual", "exposure", "weights"])
@pytest.mark.parametrize("instruments", [1, 2])
def test_the_reward_is_the_environments(kind: str, instruments: int) -> None:
    tape = oracle_tape(60)
    if instruments == 2:
        tape = two_instruments(60)
    trading = TradingSettings(action=kind, no_trade_band=0.0, episode_sessions=60, relative_to_rule=False)  # pyright: ignore[reportArgumentType]
    env = TradingVecEnv(tape, trading, environments=1, seed=0)
    env.reset()
    count, width = tape.n_sessions - FILL_DELAY, ActionMap.of(trading, tape.base_weights).width
    actions = np.random.default_rng(1).uniform(-1.2, 1.2, (tape.n_sessions, width))
    stepped = []
    for action in actions[:count]:
        env.step_async(action[None])
        stepped.append(float(env.step_wait()[1][0]) / trading.reward_scale)
    known = KnownReward(
        tape, replace(SETTINGS, trading=trading), ActionMap.of(trading, tape.base_weights), [(0, count)]
    )
    rewards = known.by_session(torch.from_numpy(np.clip(actions, -1, 1)))[0].numpy()
    # The environment's first position is cash, there being no session before; the known reward begins at the rule's.
    np.testing.assert_allclose(rewards[1:], np.array(stepped)[1:], atol=1e-7)


def earned(policy: Policy, tape: MarketTape) -> float:
    net = realised_returns(policy.decide(tape.observations, tape.rule_exposure), tape.returns, 0.0010)
    return float(net.mean() * 252)


@pytest.mark.parametrize("instruments", [2, 40])
def test_steps_that_overshoot_are_taken_again_shorter(instruments: int) -> None:
    """Without that, rewards of -1e59 and then NaN."""
    tape = two_instruments(800)
    direct = DirectSettings(step=300.0)
    if instruments == 40:  # of one market, whose reward bends the more the more of them move together
        market = np.repeat(tape.returns[:, :1], 40, axis=1)
        tape = MarketTape(tape.observations, tape.rule_exposure, market, np.full(40, 1 / 40), tape.sample_weight)
        direct = DirectSettings(step=20.0)
    fit = train_policy(tape, replace(SETTINGS, direct=direct), seed=1)
    assert fit.curves.columns[0] == "gradient_step"
    assert np.abs(fit.curves["reward"]).max() < 10.0
    usual = train_policy(tape, SETTINGS, seed=1)
    assert earned(fit.model, tape) == pytest.approx(earned(usual.model, tape), rel=0.15)


def test_a_signal_between_two_instruments_moves_weight_between_them() -> None:
    policy = train_policy(two_instruments(800), SETTINGS, seed=1).model
    unseen = two_instruments(800, seed=9)
    weights = policy.decide(unseen.observations, unseen.rule_exposure)
    assert weights.sum(axis=1).max() <= 1.0 + 1e-9
    assert weights.min() >= 0.0
    leads = unseen.observations[:, 0] > 0
    assert weights[leads, 0].mean() > 0.8
    assert weights[~leads, 0].mean() < 0.2
    assert earned(policy, unseen) > 0.5


def test_noise_leaves_the_rule_to_the_bit() -> None:
    tape = noise_tape()
    fit = train_policy(tape, SETTINGS, seed=2)
    assert fit.model.tilt_kept == 0.0
    decided = fit.model.decide(tape.observations, tape.rule_exposure)
    np.testing.assert_array_equal(decided, tape.rule_exposure[:, None] * tape.base_weights)


def test_what_an_encoder_learned_from_is_no_evidence() -> None:
    """Observations that know the returns of two sessions in three, and nothing of the third one."""
    tape = noise_tape(900)
    rng, learned = np.random.default_rng(7), np.arange(900) % 3 != 0
    known = np.zeros(900)
    known[:-FILL_DELAY] = np.sign(tape.base_returns[FILL_DELAY:])
    observed = np.where(learned, known, rng.choice([-1.0, 1.0], 900)).astype(np.float32)[:, None]
    tape = replace(tape, observations=observed)
    assert train_policy(tape, SETTINGS, seed=2).model.tilt_kept > 0.5
    honest = train_policy(tape, SETTINGS, seed=2, evidence_from=~learned)
    assert honest.model.tilt_kept == 0.0
    assert abs(honest.figures["validation_z"]) < 1.645
    assert train_policy(tape, SETTINGS, seed=2, evidence_from=np.zeros(900, bool)).figures["validation_z"] == 0.0


def test_a_tilt_that_was_dropped_comes_back_with_evidence() -> None:
    """Every fit starts from the rule and is judged on blocks that it has not seen, whatever the one before found."""
    first = train_policy(noise_tape(), SETTINGS, seed=2).model
    tape = oracle_tape(800)
    later = train_policy(tape, SETTINGS, seed=3, previous=first)
    assert first.tilt_kept == 0.0
    assert later.model.tilt_kept > 0.5
    assert not later.warm_started
    assert later.cold_reason


def test_equal_inputs_give_equal_bits() -> None:
    once, twice = (train_policy(two_instruments(300), SETTINGS, seed=4).model for _ in range(2))
    assert parts_hash(once.to_parts()) == parts_hash(twice.to_parts())
    back = Policy.from_parts(once.to_parts())
    tape = two_instruments(50, seed=5)
    np.testing.assert_array_equal(
        back.decide(tape.observations, tape.rule_exposure), once.decide(tape.observations, tape.rule_exposure)
    )


def test_online_updates_need_a_sampled_policy() -> None:
    with pytest.raises(ValueError, match="ppo, a2c, trpo or dqn"):
        PolicySettings(online=OnlineSettings())
