"""Training a policy on one window's tape: members over purged folds, warm starts, and how much of the tilt is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.acceptance import refusal
from regime_assets.library.determinism import derive_seed, deterministic
from regime_assets.library.policies.assessment import assess_policy
from regime_assets.library.policies.description import describe_decisions, distance_to, seed_agreement
from regime_assets.library.policies.networks import Distance, Member, Networks
from regime_assets.library.policies.online import newest_gain, one_step_settings, replay_weights, scaled_back
from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.policy_fit import PolicyFit
from regime_assets.library.policies.settings import OnlineSettings, PolicySettings
from regime_assets.library.policies.validation import (
    Fold,
    evidence,
    foreseen,
    gain_over_rule,
    interquartile_mean,
    kept_share,
    purged_folds,
    spread,
)
from regime_assets.library.trading.actions import ActionMap
from regime_assets.library.trading.episodes import Segment, decidable
from regime_assets.library.trading.tape import MarketTape

__all__ = ["PolicyFit", "assess_policy", "train_policy"]


def train_policy(
    tape: MarketTape,
    settings: PolicySettings,
    seed: int,
    previous: Policy | None = None,
    *,
    full_retrain: bool = False,
    evidence_from: NDArray[np.bool_] | None = None,
) -> PolicyFit:
    """Train a policy on `tape`: warm from `previous` when that fits the settings, otherwise from neutral networks.

    Every member is trained without its own purged block of the tape and validated on it. A residual policy keeps as
    much of its tilt as the pooled evidence supports, possibly nothing: then it decides exactly as the rule does. The
    ancestors of a warm start of a sampled algorithm have seen sessions of its validation blocks, so that its validation
    gain is too high: such a warm start never keeps more tilt than its predecessor, it may only lose some. The algorithm
    `direct` starts from the rule every time, so its evidence is out of sample and its tilt comes and goes with it: what
    the tilt earns by itself (`foreseen`), nothing where it gains nothing over the rule.

    With `settings.online` a warm start is an online update instead: every member learns from the newest session and
    replayed ones, within a bound on its divergence; an update that would not be accepted is refused.

    Evidence counts the sessions of `evidence_from` (T,), all when None: an encoder that foretells returns has learned
    from those of the others, so that what its latents say of them is no evidence.

    Figures: `tilt_kept`; `validation_gain` (a year, over the rule, risk-adjusted, net), `validation_z`,
    `validation_gain_iqm` and `validation_gain_spread` (interquartile mean and range over members, each on its block);
    `seed_agreement` (mean correlation of the members' positions); `gradient_steps` and `environment_steps` (all
    members); `entropy`, `kl_to_previous` (means over members; to the neutral start when there is no previous);
    of the decisions on the tape: `turnover_per_year`, `mean_exposure`, `lowest_exposure`, `highest_exposure`,
    `mean_tilt`, `extreme_share` (share of sessions at a limit), `rule_turnover_per_year`, `action_turnover_per_year`
    (change of the members' mean action, whatever of it is kept). Of an online update besides: `newest_gain` (what the
    previous policy earned over the rule on the newest session, before it learned from it) and `update_kept` (share of
    the update that the bound left, mean over members; 0 when refused).

    Raises:
        EpisodeError: the tape is too short for the settings' members and purge.
    """
    with deterministic(seed):
        cold_reason = _cold_reason(tape, settings, previous, full_retrain=full_retrain)
        warm = previous if not cold_reason else None
        blank = _blank(tape, settings, warm)
        online = settings.online if warm is not None else None
        folds = purged_folds(tape, settings.seeds, settings.purge_sessions)
        distances = [distance_to(previous, index, tape, blank, settings) for index in range(len(folds))]
        members: list[Member] = []
        curves: list[pd.DataFrame] = []
        kept: list[float] = []
        for index, (fold, distance) in enumerate(zip(folds, distances, strict=True)):
            start = None if warm is None else _member(warm, index)
            member_seed = derive_seed("policy member", str(seed), str(index))
            if online is not None and start is not None:
                member, rows, share = _update_one(tape, settings, online, member_seed, blank, start, distance)
                kept.append(share)
            else:
                member, rows = _train_one(
                    tape, settings, member_seed, segments=fold.training, blank=blank, start=start, distance=distance
                )
            members.append(member)
            curves.append(rows.assign(seed=index))
        table = pd.concat(curves, ignore_index=True)
        table.insert(0, "gradient_step", table.pop("gradient_step"))
        figures = _effort(table)
        if online is not None and warm is not None:
            figures |= {"newest_gain": newest_gain(warm, tape, settings), "update_kept": float(np.mean(kept))}
        policy = _assembled(blank, members)
        share, validated = _validated(policy, tape, settings, folds, evidence_from)
        if policy.action.from_rule:
            policy = replace(policy, tilt_kept=share if warm is None else min(share, warm.tilt_kept))
        figures |= validated | _described(policy, tape, settings, distances)
        fit = PolicyFit(policy, table, figures, warm is not None, cold_reason)
        if online is not None and warm is not None:
            # Judged with the tilt still in use: a dead one would lose its evidence first and then look harmless.
            in_use = replace(fit, model=replace(policy, tilt_kept=warm.tilt_kept))
            reason = refusal(assess_policy(in_use, tape, settings))
            if reason:
                _, validated = _validated(warm, tape, settings, folds, evidence_from)
                unmoved = validated | _described(warm, tape, settings, distances) | {"update_kept": 0.0}
                return replace(fit, model=warm, figures=figures | unmoved, refused=reason)
    return fit


def _cold_reason(tape: MarketTape, settings: PolicySettings, previous: Policy | None, *, full_retrain: bool) -> str:
    """Why the previous networks cannot or shall not be the start; empty when they can."""
    if settings.family == "known reward":
        return "a policy that ascends the known reward starts from its rule every time"
    if settings.family == "replay":
        return f"{settings.algorithm} keeps no memory between sessions, so that it starts anew every time"
    if previous is None:
        return "there is no previous policy"
    if full_retrain:
        return "a full retrain was asked for"
    if previous.actor is None:
        return "the previous policy is the rule"
    width = tape.observations.shape[1]
    action = ActionMap.of(settings.trading, tape.base_weights, tape.sleeves)
    outputs = len(settings.active_levels) or action.width
    wanted = (width + action.width, *settings.hidden, outputs)
    differences = {
        "kind of action": (previous.kind, settings.trading.action),
        "network": (previous.actor.shape, wanted),
        "levels": (previous.levels, settings.active_levels),
        "number of members": (len(previous.actor), settings.seeds),
        "tilt bound": (previous.action.tilt_bound, settings.trading.tilt_bound),
    }
    changed = [f"{name} {old} is now {new}" for name, (old, new) in differences.items() if old != new]
    return "; ".join(changed)


def _blank(tape: MarketTape, settings: PolicySettings, warm: Policy | None) -> Policy:
    """The policy without networks: its action map and standardisation, a warm start's own so that inputs keep
    their meaning."""
    action = ActionMap.of(settings.trading, tape.base_weights, tape.sleeves)
    levels, reads_features = settings.active_levels, settings.observes == "features"
    if warm is not None:
        return Policy(action, warm.centre, warm.scale, levels=levels, reads_features=reads_features)
    weight = tape.sample_weight / tape.sample_weight.sum()
    centre = weight @ tape.observations
    scale = np.sqrt(weight @ (tape.observations - centre) ** 2)
    scale = np.where(scale > 1e-8, scale, 1.0)
    centre, scale = centre.astype(np.float32), scale.astype(np.float32)
    return Policy(action, centre, scale, levels=levels, reads_features=reads_features)


def _train_one(
    tape: MarketTape,
    settings: PolicySettings,
    seed: int,
    *,
    segments: Sequence[Segment] | None,
    blank: Policy,
    start: Member | None,
    distance: Distance,
) -> tuple[Member, pd.DataFrame]:
    tape = replace(tape, observations=blank.standardised(tape.observations))
    if settings.algorithm == "direct":
        from regime_assets.library.policies.direct import train_directly

        whole = [decidable(tape)] if segments is None else segments
        member, rows = train_directly(tape, settings, whole, distance)
        return member, pd.DataFrame(rows)

    from regime_assets.library.policies.learner import train_member
    from regime_assets.library.trading.env import TradingVecEnv

    env = TradingVecEnv(
        tape,
        settings.trading,
        segments=segments,
        levels=settings.active_levels,
        seed=seed,
    )
    member, rows = train_member(env, settings, seed, start, distance)
    return member, pd.DataFrame(rows)


def _update_one(
    tape: MarketTape,
    settings: PolicySettings,
    online: OnlineSettings,
    seed: int,
    blank: Policy,
    start: Member,
    distance: Distance,
) -> tuple[Member, pd.DataFrame, float]:
    """A member after an online update, its curve, and the share of the update that is within the bound."""
    member, rows = _train_one(
        replay_weights(tape, online.newest_share, settings.trading.past_share),
        one_step_settings(settings, online),
        seed,
        segments=None,
        blank=blank,
        start=start,
        distance=distance,
    )
    member, share = scaled_back(start, member, distance, online.kl_limit)
    return member, rows, share


def _member(policy: Policy, index: int) -> Member:
    one = policy.member(index)
    assert one.actor is not None
    return Member(one.actor, one.critic, one.log_std)


def _assembled(blank: Policy, members: list[Member]) -> Policy:
    critics = [member.critic for member in members if member.critic is not None]
    deviations = [member.log_std for member in members if member.log_std is not None]
    return replace(
        blank,
        actor=Networks.stack([member.actor for member in members]),
        critic=Networks.stack(critics) if critics else None,
        log_std=np.concatenate(deviations) if deviations else None,
    )


def _validated(
    policy: Policy,
    tape: MarketTape,
    settings: PolicySettings,
    folds: list[Fold],
    evidence_from: NDArray[np.bool_] | None,
) -> tuple[float, dict[str, float]]:
    gains = [gain_over_rule(policy.member(index), tape, fold.validation, settings) for index, fold in enumerate(folds)]
    # As the sessions were weighed in training.
    past, recency = settings.trading.past_share, tape.sample_weight / tape.sample_weight.mean()
    counted = (1.0 - past) * recency + past
    if evidence_from is not None:
        counted = counted * evidence_from
    weights = [counted[slice(*fold.validation)] for fold in folds]
    pooled = evidence(gains, weights)
    z = pooled.z
    if settings.algorithm == "direct" and policy.action.from_rule:
        alone = [foreseen(policy.member(index), tape, fold.validation, settings) for index, fold in enumerate(folds)]
        z = evidence(alone, weights).z if pooled.gain > 0 else min(z, 0.0)
    yearly = [
        float(gain[counted > 0].mean()) * settings.sessions_per_year
        for gain, counted in zip(gains, weights, strict=True)
        if (counted > 0).any()
    ]
    figures = {
        "validation_gain": pooled.gain * settings.sessions_per_year,
        "validation_z": z,
        "validation_gain_iqm": interquartile_mean(yearly or [0.0]),
        "validation_gain_spread": spread(yearly or [0.0]),
    }
    return kept_share(z, settings.evidence_z), figures


def _described(
    policy: Policy, tape: MarketTape, settings: PolicySettings, distances: list[Distance]
) -> dict[str, float]:
    """What the policy is and does: its decisions on the tape, its members' agreement, exploration and divergence."""
    measured = [distance(_member(policy, index)) for index, distance in enumerate(distances)]
    figures = describe_decisions(policy, tape, settings)
    figures["kl_to_previous"], figures["entropy"] = (float(value) for value in np.mean(measured, axis=0))
    figures["seed_agreement"] = seed_agreement(policy, tape)
    if policy.action.from_rule:
        figures["tilt_kept"] = policy.tilt_kept
    return figures


def _effort(curves: pd.DataFrame) -> dict[str, float]:
    last = curves.groupby("seed").last()
    return {
        "gradient_steps": float(last["gradient_step"].sum()),
        "environment_steps": float(last["environment_step"].sum()),
    }
