"""Is a trained policy fit to be used? Collapse, runaway turnover and broken numbers, as rule outcomes."""

from __future__ import annotations

import numpy as np

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.policies.description import describe_decisions, exposure_limits
from regime_assets.library.policies.policy_fit import PolicyFit
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.trading.tape import MarketTape

ROUNDING = 1e-9


def assess_policy(fit: PolicyFit, tape: MarketTape, settings: PolicySettings) -> tuple[RuleOutcome, ...]:
    """Judge `fit` by its weights and by what it decides on `tape`; whether it earns anything is the gate's question.

    Blocking: a weight is not finite, an exposure leaves its limits, turnover exceeds its limit, exploration or the
    action's turnover has collapsed while the tilt is in use, or the exposure stands at one limit on a tape where the
    rule's does not.
    Warning: divergence from the previous policy, evidence against the policy in validation, a refused online update.
    """
    policy, figures = fit.model, fit.figures
    finite = policy.actor is None or policy.actor.finite()
    outcomes = [RuleOutcome("finite_weights", float(finite), "== 1", finite, blocking=True)]
    if not finite:
        return tuple(outcomes)
    decided = describe_decisions(policy, tape, settings)
    low, high = exposure_limits(policy.action, settings)
    lowest, highest = decided["lowest_exposure"], decided["highest_exposure"]
    outside = max(low - lowest, highest - high, 0.0)
    outcomes.append(
        RuleOutcome(
            "exposure_within_limits",
            outside,
            f"<= {ROUNDING}",
            outside <= ROUNDING,
            blocking=True,
            detail=f"decided {lowest:.4f} to {highest:.4f}, limits {low} to {high}",
        )
    )
    turnover = decided["turnover_per_year"]
    outcomes.append(
        RuleOutcome(
            "turnover_per_year",
            turnover,
            f"<= {settings.turnover_limit}",
            turnover <= settings.turnover_limit,
            blocking=True,
            detail=f"the rule's is {decided['rule_turnover_per_year']:.2f}",
        )
    )
    in_use = policy.actor is not None and (not policy.action.from_rule or policy.tilt_kept > 0)
    moved, floor = decided["action_turnover_per_year"], settings.action_floor
    alive = moved >= floor or not in_use
    outcomes.append(RuleOutcome("turnover_collapse", moved, f">= {floor}", alive, blocking=True))
    outcomes.append(_constant_extreme(tape, decided))
    outcomes.append(_entropy(figures, settings, in_use=in_use))
    if fit.warm_started:
        kl, limit = figures["kl_to_previous"], settings.online.kl_limit if settings.online else settings.kl_limit
        outcomes.append(RuleOutcome("kl_to_previous", kl, f"<= {limit}", bool(kl <= limit), blocking=False))
    if fit.warm_started and settings.online:
        kept, whole = figures["update_kept"], not fit.refused
        outcomes.append(RuleOutcome("online_update", kept, "not refused", whole, blocking=False, detail=fit.refused))
    z = figures["validation_z"]
    against = z < -settings.evidence_z and in_use
    bound = f">= {-settings.evidence_z}"
    detail = "gain over the rule on held-out sessions, in standard errors"
    outcomes.append(RuleOutcome("validation_z", z, bound, not against, blocking=False, detail=detail))
    return tuple(outcomes)


def _constant_extreme(tape: MarketTape, decided: dict[str, float]) -> RuleOutcome:
    """A policy that always stands at one limit has stopped deciding, unless its rule does the same."""
    constant = decided["highest_exposure"] - decided["lowest_exposure"] <= ROUNDING
    stuck = constant and decided["extreme_share"] == 1.0 and bool(np.ptp(tape.rule_exposure) > ROUNDING)
    detail = f"constant exposure {decided['mean_exposure']:.3f}" if stuck else ""
    return RuleOutcome("not_stuck_at_a_limit", float(stuck), "== 0", not stuck, blocking=True, detail=detail)


def _entropy(figures: dict[str, float], settings: PolicySettings, *, in_use: bool) -> RuleOutcome:
    """Exploration, or variety of DQN's choices; a tilt that is not in use may be anything finite."""
    entropy = figures["entropy"]
    # A discrete policy may well always choose its neutral level; only exploration has a floor.
    floor = settings.entropy_floor if settings.family == "rollouts" else 0.0  # what is not sampled explores nothing
    passed = bool(np.isfinite(entropy)) and (entropy >= floor or not in_use)
    return RuleOutcome("entropy", entropy, f">= {floor}", passed, blocking=True)
