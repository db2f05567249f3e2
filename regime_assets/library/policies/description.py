"""What a policy does, in numbers: its decisions on a tape, its distance from another, its members' agreement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.policies.networks import Distance, Member
from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.trading.actions import ActionMap
from regime_assets.library.trading.tape import MarketTape

ANCHORS = 512
"""Newest sessions on which divergence, entropy and agreement are measured."""


def describe_decisions(policy: Policy, tape: MarketTape, settings: PolicySettings) -> dict[str, float]:
    """Turnover, exposure and tilt of what `policy` decides on `tape`, from cash, and the rule's turnover."""
    weights = policy.decide(tape.observations, tape.rule_exposure)
    rule = policy.action.at_rule(tape.rule_exposure)
    unit = float(tape.base_weights.sum())
    exposure = policy.action.exposure(weights) / (1.0 if policy.action.per_instrument else unit)
    rule_weights = policy.action.weights(rule)
    low, high = exposure_limits(policy.action, settings)
    at_limit = np.isclose(exposure, high) | np.isclose(exposure, low)
    return {
        "turnover_per_year": _turnover(weights) * settings.sessions_per_year,
        "rule_turnover_per_year": _turnover(rule_weights) * settings.sessions_per_year,
        "action_turnover_per_year": _action_turnover(policy, tape) * settings.sessions_per_year,
        "mean_exposure": float(exposure.mean()),
        "lowest_exposure": float(exposure.min()),
        "highest_exposure": float(exposure.max()),
        "mean_tilt": float(np.abs(weights - rule_weights).sum(axis=1).mean()),
        "extreme_share": float(at_limit.mean()),
    }


def exposure_limits(action: ActionMap, settings: PolicySettings) -> tuple[float, float]:
    """Lowest and highest exposure: the settings', or a portfolio's that may borrow or sell short."""
    if action.sleeves is None:
        return settings.trading.lowest_exposure, settings.trading.highest_exposure
    return action.lowest_exposure, action.highest_exposure


def _turnover(weights: NDArray[np.float64]) -> float:
    """Mean traded notional per session after the first."""
    return float(np.abs(np.diff(weights, axis=0)).sum(axis=1).mean())


def seed_agreement(policy: Policy, tape: MarketTape) -> float:
    """Mean correlation between the members' actions on the newest sessions; 1 when none of them varies."""
    if policy.actor is None or len(policy.actor) == 1:
        return 1.0
    flat = _actions(policy, tape).reshape(len(policy.actor), -1)
    flat = flat[flat.std(axis=1) > 1e-9]
    if len(flat) < 2:
        return 1.0
    correlation = np.asarray(np.corrcoef(flat))
    return float(correlation[np.triu_indices(len(flat), 1)].mean())


def _actions(policy: Policy, tape: MarketTape) -> NDArray[np.float64]:
    """(S, M, P) each member's actions on the newest M sessions, at the rule's positions."""
    rows = slice(max(0, tape.n_sessions - ANCHORS), None)
    outputs = policy.member_actions(tape.observations[rows], policy.action.at_rule(tape.rule_exposure[rows]))
    if policy.levels:
        outputs = np.asarray(policy.levels)[outputs.argmax(axis=2)][..., None]
    return np.clip(outputs, -1.0, 1.0)


def _action_turnover(policy: Policy, tape: MarketTape) -> float:
    """Mean change per session of the members' mean action, whatever of it is kept; zero for the rule."""
    return 0.0 if policy.actor is None else _turnover(_actions(policy, tape).mean(axis=0))


def distance_to(
    previous: Policy | None, index: int, tape: MarketTape, blank: Policy, settings: PolicySettings
) -> Distance:
    """Measures a member's divergence from the previous policy's member on the newest sessions, and its entropy.

    Gaussian policies: KL divergence of the action's distribution; of policies that explored nothing, as if both had
    explored with a deviation of 1. Discrete: of the epsilon-greedy choice; its
    entropy is that of how often each level is chosen. A previous policy of another form is no reference: the
    neutral start then is.
    """
    rows = slice(max(0, tape.n_sessions - ANCHORS), None)
    observations, rule = tape.observations[rows], tape.rule_exposure[rows]
    positions = blank.action.at_rule(rule)
    outputs = len(blank.levels) or blank.action.width
    comparable = (
        previous is not None
        and previous.actor is not None
        and previous.levels == blank.levels
        and len(previous.centre) == len(blank.centre)
        and previous.actor.shape[-1] == outputs
        and index < len(previous.actor)
    )
    reference, reference_log_std = np.zeros((len(rule), outputs)), np.full(outputs, settings.initial_log_std)
    if previous is not None and comparable:
        reference = previous.member_actions(observations, positions)[index]
        if previous.log_std is not None:
            reference_log_std = previous.log_std[index].astype(np.float64)

    def distance(member: Member) -> tuple[float, float]:
        now = replace(blank, actor=member.actor).member_actions(observations, positions)[0]
        if member.log_std is None and not blank.levels:
            return float((0.5 * (now - reference) ** 2).sum(axis=1).mean()), 0.0
        if member.log_std is None:
            return _greedy_divergence(now, reference, settings.exploration_rate), _choice_entropy(now)
        log_std = member.log_std[0].astype(np.float64)
        entropy = float((log_std + 0.5 * np.log(2.0 * np.pi * np.e)).mean())
        ratio = np.exp(2.0 * (log_std - reference_log_std))
        shift = ((now - reference) * np.exp(-reference_log_std)) ** 2
        return float((0.5 * (ratio + shift - 1.0) - (log_std - reference_log_std)).sum(axis=1).mean()), entropy

    return distance


def _greedy_divergence(now: NDArray[np.float64], before: NDArray[np.float64], epsilon: float) -> float:
    """KL divergence of two epsilon-greedy choices: nothing where they agree."""
    levels = now.shape[1]
    rare, often = epsilon / levels, 1.0 - epsilon + epsilon / levels
    differing = float((now.argmax(axis=1) != before.argmax(axis=1)).mean())
    return differing * (often - rare) * float(np.log(often / rare))


def _choice_entropy(values: NDArray[np.float64]) -> float:
    share = np.bincount(values.argmax(axis=1), minlength=values.shape[1]) / len(values)
    return float(-(share[share > 0] * np.log(share[share > 0])).sum())
