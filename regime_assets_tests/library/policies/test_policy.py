from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.artifact import parts_hash, read_artifact, write_artifact
from regime_assets.library.policies.networks import Networks
from regime_assets.library.policies.policy import Policy, PolicyError, rule_policy
from regime_assets.library.trading.actions import ActionKind, ActionMap
from regime_assets_tests.library.trading.trading_tapes import noise_tape

TAPE = noise_tape(80)


def random_policy(kind: ActionKind = "residual", members: int = 3, levels: tuple[float, ...] = ()) -> Policy:
    rng = np.random.default_rng(3)
    action = ActionMap(kind, TAPE.base_weights)
    shape = (4 + action.width, 8, 8, len(levels) or action.width)
    weights = [rng.normal(0, 1.0, (members, a, b)).astype(np.float32) for a, b in pairwise(shape)]
    biases = [rng.normal(0, 0.3, (members, b)).astype(np.float32) for b in shape[1:]]
    networks = Networks(tuple(weights), tuple(biases))
    log_std = None if levels else np.zeros((members, action.width), np.float32)
    centre, scale = np.full(4, 0.1, np.float32), np.full(4, 0.9, np.float32)
    return Policy(action, centre, scale, networks, networks, log_std, levels)


def position_free(policy: Policy, no_trade_band: float = 0.0) -> Policy:
    """The same networks without what they read of the position before, as the algorithm `direct` fits them."""
    assert policy.actor is not None
    first, *others = policy.actor.weights
    first = np.concatenate([first[:, :4], np.zeros_like(first[:, 4:])], axis=1)
    actor = replace(policy.actor, weights=(first, *others))
    return replace(policy, actor=actor, action=replace(policy.action, no_trade_band=no_trade_band))


VARIANTS = [
    random_policy(),
    position_free(random_policy(members=9)),
    position_free(random_policy("weights"), no_trade_band=0.05),
    random_policy("exposure"),
    random_policy("weights"),
    random_policy(levels=(0.0, -1.0, 1.0)),
    rule_policy(TAPE.base_weights, 4),
]


@pytest.mark.parametrize("policy", VARIANTS, ids=lambda policy: f"{policy.kind}{len(policy.levels)}")
def test_decisions_depend_on_the_past_only_and_continue_where_they_stopped(policy: Policy) -> None:
    """What is decided session by session in production is what a backtest decides in one go, to the bit."""
    whole = policy.decide(TAPE.observations, TAPE.rule_exposure)
    held: float | np.ndarray = 0.0
    for t in range(TAPE.n_sessions):
        row = slice(t, t + 1)
        weights = policy.decide(TAPE.observations[row], TAPE.rule_exposure[row], held)[0]
        np.testing.assert_array_equal(weights, whole[t])
        position = policy.positions(TAPE.observations[row], TAPE.rule_exposure[row], held)[0]
        held = position if policy.kind == "weights" else float(position[0])


@pytest.mark.parametrize("policy", VARIANTS, ids=lambda policy: f"{policy.kind}{len(policy.levels)}")
def test_a_stored_policy_decides_the_same(policy: Policy, tmp_path: Path) -> None:
    write_artifact(tmp_path / "policy", policy.to_parts())
    read = Policy.from_parts(read_artifact(tmp_path / "policy"))
    assert parts_hash(read.to_parts()) == parts_hash(policy.to_parts())
    for decided in (policy, read):
        np.testing.assert_array_equal(
            decided.decide(TAPE.observations, TAPE.rule_exposure),
            policy.decide(TAPE.observations, TAPE.rule_exposure),
        )


def test_an_initial_exposure_of_a_weights_policy_means_the_base_weights() -> None:
    policy = random_policy("weights")
    by_exposure, by_weights = (
        policy.decide(TAPE.observations, TAPE.rule_exposure, initial) for initial in (0.6, 0.6 * TAPE.base_weights)
    )
    np.testing.assert_array_equal(by_exposure, by_weights)
    assert not np.array_equal(by_exposure, policy.decide(TAPE.observations, TAPE.rule_exposure))
    with pytest.raises(PolicyError, match="2 numbers"):
        policy.decide(TAPE.observations, TAPE.rule_exposure, np.zeros(2))


def test_without_tilt_a_residual_policy_is_the_rule_to_the_bit() -> None:
    tilted = random_policy()
    rule = rule_policy(TAPE.base_weights, 4).decide(TAPE.observations, TAPE.rule_exposure)
    assert not np.array_equal(tilted.decide(TAPE.observations, TAPE.rule_exposure), rule)
    np.testing.assert_array_equal(replace(tilted, tilt_kept=0.0).decide(TAPE.observations, TAPE.rule_exposure), rule)
    np.testing.assert_array_equal(rule, TAPE.rule_exposure[:, None] * TAPE.base_weights)


def test_kept_share_shrinks_the_tilt_in_proportion() -> None:
    """Away from the limits, at a fixed previous position, the tilt is the share of the whole tilt."""
    rule = np.full(1, 0.5)
    tilts = [
        replace(random_policy(), tilt_kept=kept).positions(TAPE.observations[:1], rule)[0, 0] - 0.5
        for kept in (1.0, 0.5, 0.25)
    ]
    np.testing.assert_allclose(tilts, np.array([1.0, 0.5, 0.25]) * tilts[0], rtol=1e-12)
    assert abs(tilts[0]) > 0.01


def test_members_vote_by_their_mean_action() -> None:
    policy = random_policy()
    rule = np.full(1, 0.5)
    alone = [policy.member(i).positions(TAPE.observations[:1], rule)[0, 0] for i in range(3)]
    assert policy.positions(TAPE.observations[:1], rule)[0, 0] == pytest.approx(np.mean(alone), abs=1e-12)


def test_wild_observations_cannot_push_exposure_out_of_its_limits() -> None:
    policy = replace(random_policy(), action=ActionMap("residual", TAPE.base_weights, 5.0, 0.1, 0.7))
    exposure = policy.positions(TAPE.observations * 1e6, TAPE.rule_exposure)
    assert exposure.min() >= 0.1
    assert exposure.max() <= 0.7


def test_inputs_that_do_not_fit_are_named() -> None:
    policy = random_policy()
    with pytest.raises(PolicyError, match="reads 4 columns"):
        policy.decide(TAPE.observations[:, :3], TAPE.rule_exposure)
    with pytest.raises(PolicyError, match="rule_exposure"):
        policy.decide(TAPE.observations, TAPE.rule_exposure[1:])
    broken = TAPE.observations.copy()
    broken[7, 2] = np.nan
    with pytest.raises(PolicyError, match="row 7 is not finite"):
        policy.decide(broken, TAPE.rule_exposure)
