"""Online updates: a member learns from one new session, mixed with replayed ones, and may move only so far.

A decision moves no price, so the newest session's reward is known for every action: the session is played many times
with the actions that the policy explores, each one step long and valued beyond it by the critic.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.policies.networks import Distance, Member, Networks
from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.settings import OnlineSettings, PolicySettings
from regime_assets.library.policies.validation import gain_over_rule
from regime_assets.library.trading.episodes import decidable
from regime_assets.library.trading.tape import MarketTape

HALVINGS = 30
"""An update that is still too large after so many halvings is dropped whole."""


def one_step_settings(settings: PolicySettings, online: OnlineSettings) -> PolicySettings:
    """Settings under which a rollout is one transition per environment and is followed by one gradient step."""
    return replace(
        settings,
        trading=replace(settings.trading, episode_sessions=1, past_share=0.0),
        fine_tune_gradient_steps=online.gradient_steps,
        fine_tune_learning_rate=online.learning_rate,
        rollout_sessions=1,
        minibatches=1,
        epochs=1,
    )


def replay_weights(tape: MarketTape, newest_share: float, past_share: float) -> MarketTape:
    """The tape with sample weights that draw its newest decidable session with probability `newest_share`."""
    first, end = decidable(tape)
    earlier = slice(first, end - 1)
    weights = np.zeros(tape.n_sessions)
    weights[earlier] = tape.sample_weight[earlier] / tape.sample_weight[earlier].sum() * (1.0 - past_share)
    weights[earlier] += past_share / (end - 1 - first)
    weights *= 1.0 - newest_share
    weights[end - 1] = newest_share
    return replace(tape, sample_weight=weights)


def newest_gain(previous: Policy, tape: MarketTape, settings: PolicySettings) -> float:
    """Log return over the rule that `previous` earned on the newest decidable session, risk-adjusted."""
    _, end = decidable(tape)
    return float(gain_over_rule(previous, tape, (end - 1, end), settings)[0])


def scaled_back(start: Member, member: Member, distance: Distance, limit: float) -> tuple[Member, float]:
    """The largest of the halved updates from `start` towards `member` whose divergence is within `limit`.

    Returns:
        The member, and the share of the update that it keeps.
    """
    share = 1.0
    for _ in range(HALVINGS):
        moved = _between(start, member, share)
        # A divergence that is no number is not within the limit either.
        if distance(moved)[0] <= limit:
            return moved, share
        share /= 2.0
    return start, 0.0


def _between(start: Member, member: Member, share: float) -> Member:
    if share == 1.0:
        return member
    critic = None if start.critic is None or member.critic is None else _networks(start.critic, member.critic, share)
    log_std = start.log_std
    if log_std is not None and member.log_std is not None:
        log_std = _mixed(log_std, member.log_std, share)
    return Member(_networks(start.actor, member.actor, share), critic, log_std)


def _networks(start: Networks, end: Networks, share: float) -> Networks:
    weights = (_mixed(before, after, share) for before, after in zip(start.weights, end.weights, strict=True))
    biases = (_mixed(before, after, share) for before, after in zip(start.biases, end.biases, strict=True))
    return Networks(tuple(weights), tuple(biases))


def _mixed(before: NDArray[np.float32], after: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    return (before + share * (after - before)).astype(np.float32)
