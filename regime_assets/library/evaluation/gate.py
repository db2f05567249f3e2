"""The gate: whether a bundle replaces the champion. Two lanes, because two questions are asked.

A refresh is the champion's own design fitted to newer data. It need not prove that it is better; it must be whole,
name the regimes as before, decide about the same, keep the hard limits, and not be worse on fresh sessions. A
challenge is another design. It must prove that it is better, on two years of paired out-of-sample sessions, of
which half a year lies after the day on which it was declared; at quarterly looks, within a yearly budget of error
probability, and after deflation by every recorded trial (`tiers`). What is not proven is 'insufficient evidence',
not a promotion. `benchmarks/gate_simulation.py` measures what these rules do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.acceptance import RuleOutcome, accepted
from regime_assets.library.evaluation.gate_rules import (
    Integrity,
    agreement_rule,
    deflated_sharpe_rule,
    drawdown_rule,
    exposure_change_rule,
    integrity_rules,
    limit_rules,
    non_inferiority_rule,
    superiority_rule,
    tier_rules,
)
from regime_assets.library.evaluation.paired_test import PairedTest, paired_test
from regime_assets.library.evaluation.tiers import Tiers
from regime_assets.library.evaluation.track_record import SESSIONS_PER_YEAR
from regime_assets.library.evaluation.trials import TrialStatistics
from regime_assets.library.trading.scoring import Scored
from regime_assets.library.universe.gate_settings import GateSettings

Lane = Literal["first", "refresh", "challenge"]
Outcome = Literal["promote", "hold", "insufficient evidence"]
Series = NDArray[np.float64]

LEAST_REPLAY = 63
"""Sessions of replay below which it is no record and counts for nothing."""

_EVIDENCE_RULES = {"paired_sessions", "live_sessions", "look_due", "alpha_budget", "superiority", "live_gain"}


@dataclass(frozen=True)
class FirstEvidence:
    """What is known of a bundle while no champion serves.

    Attributes: `integrity` of the bundle; the out-of-sample `track` of its line, arrays (T,); the net returns of
        `buy_and_hold` on the same sessions (T,).
    """

    integrity: Integrity
    track: Scored
    buy_and_hold: Series


@dataclass(frozen=True)
class RefreshEvidence:
    """What is known of the champion's design on newer data.

    Attributes:
        integrity: of the refreshed bundle.
        track: the line's out-of-sample track, arrays (T,).
        buy_and_hold: net returns of buy & hold on the same sessions (T,).
        label_agreement: share of the last year's sessions with the champion's regime; None when not measured.
        refreshed_exposure: what the refreshed bundle decides on the newest sessions (T,), of a portfolio (T, N).
        champion_exposure: what the champion decides on the same sessions (T,).
        refreshed_fresh_net: net returns of the refreshed line on the fresh sessions (F,).
        champion_fresh_net: net returns of the champion on the same sessions (F,).
    """

    integrity: Integrity
    track: Scored
    buy_and_hold: Series
    label_agreement: float | None
    refreshed_exposure: Series
    champion_exposure: Series
    refreshed_fresh_net: Series
    champion_fresh_net: Series


@dataclass(frozen=True)
class ChallengeEvidence:
    """What is known of another design.

    Attributes:
        integrity: of the challenger's bundle.
        track: the challenger's out-of-sample track on the paired sessions, arrays (T,).
        buy_and_hold: net returns of buy & hold on the same sessions (T,).
        champion_net: the champion's net returns on the same sessions (T,).
        live: how many of the newest sessions lie after the day on which the design was declared.
        declared: that day, in UTC; None when it is not known.
        trials: all designs ever tried on this history, this one included.
        sessions_since_look: since the last look at this design; None when there was none.
        alpha_spent: error probability spent by all looks of the past year.
    """

    integrity: Integrity
    track: Scored
    buy_and_hold: Series
    champion_net: Series
    live: int
    declared: date | None
    trials: TrialStatistics
    sessions_since_look: int | None
    alpha_spent: float


@dataclass(frozen=True)
class Verdict:
    """The gate's answer.

    Attributes:
        lane: which question was asked.
        outcome: what follows.
        rules: every rule's outcome.
        reasons: why it is no promotion, or which rules were waived; a sentence each.
        alpha_spent: error probability that this judgement spent, to be recorded in the trial ledger.
        gain: paired, over the champion, by which a challenge was judged; None where nothing was selected by a gain.
    """

    lane: Lane
    outcome: Outcome
    rules: tuple[RuleOutcome, ...]
    reasons: tuple[str, ...]
    alpha_spent: float = 0.0
    gain: PairedTest | None = None

    @property
    def promote(self) -> bool:
        """Whether the bundle becomes the champion."""
        return self.outcome == "promote"

    def table(self) -> list[dict[str, str | float | None]]:
        """A row a rule: rule, value, bound, outcome, detail."""
        return [
            {"rule": r.rule, "value": r.value, "bound": r.bound, "outcome": _word(r), "detail": r.detail}
            for r in self.rules
        ]


@dataclass(frozen=True)
class ServingChoice:
    """Who decides the weights of a bundle: its regime rule, or the learned policy where it earned it.

    Attributes:
        gain: of the policy over its rule, paired; None before there are enough sessions.
    """

    serves: Literal["rule", "policy"]
    rules: tuple[RuleOutcome, ...]
    gain: PairedTest | None = None


def judge_first(
    evidence: FirstEvidence, settings: GateSettings, sessions_per_year: float = SESSIONS_PER_YEAR
) -> Verdict:
    """Judge a bundle while no champion serves: whole, and within the hard limits."""
    rules = (*integrity_rules(evidence.integrity), *_limits(evidence, settings, sessions_per_year))
    return _verdict("first", rules)


def judge_refresh(
    evidence: RefreshEvidence, settings: GateSettings, sessions_per_year: float = SESSIONS_PER_YEAR
) -> Verdict:
    """Judge the champion's design on newer data."""
    rules = (
        *integrity_rules(evidence.integrity),
        agreement_rule(evidence.label_agreement, settings.label_agreement),
        exposure_change_rule(
            evidence.refreshed_exposure,
            evidence.champion_exposure,
            settings.comparison_sessions,
            settings.exposure_change,
        ),
        *_limits(evidence, settings, sessions_per_year),
        non_inferiority_rule(
            evidence.refreshed_fresh_net,
            evidence.champion_fresh_net,
            margin=settings.non_inferiority_margin,
            confidence=settings.non_inferiority_confidence,
            minimum=settings.minimum_fresh_sessions,
            sessions_per_year=sessions_per_year,
        ),
    )
    return _verdict("refresh", rules)


def judge_challenge(
    evidence: ChallengeEvidence, settings: GateSettings, sessions_per_year: float = SESSIONS_PER_YEAR
) -> Verdict:
    """Judge another design. A look is taken, and spends error probability, only when nothing else forbids it."""
    since, interval = evidence.sessions_since_look, settings.look_interval
    spending, limit = evidence.alpha_spent + settings.look_alpha, settings.alpha_per_year
    paired = len(evidence.track.net)
    rules = (
        *integrity_rules(evidence.integrity),
        *_limits(evidence, settings, sessions_per_year),
        _at_least("paired_sessions", paired, settings.challenge_sessions),
        replace(
            _at_least("live_sessions", evidence.live, settings.live_sessions),
            detail=f"after {evidence.declared}, when it was declared; the {paired - evidence.live} before are a replay",
        ),
        RuleOutcome(
            "look_due", None if since is None else float(since), f">= {interval}",
            passed=since is None or since >= interval, blocking=True, detail="sessions since the last look",
        ),
        RuleOutcome(
            "alpha_budget", spending, f"<= {limit:g}", passed=spending <= limit + 1e-12, blocking=True,
            detail="spent in a year, this look included",
        ),
    )  # fmt: skip
    if not accepted(rules):
        return _verdict("challenge", rules)
    rules += tier_rules(
        _tiers(evidence, sessions_per_year),
        boundary=settings.boundary_z,
        live_confidence=settings.live_confidence,
    )
    rules += (deflated_sharpe_rule(evidence.track.net, evidence.trials, sessions_per_year),)
    gain = paired_test(evidence.track.net, evidence.champion_net, sessions_per_year)
    return replace(_verdict("challenge", rules, settings.look_alpha), gain=gain)


def _tiers(evidence: ChallengeEvidence, sessions_per_year: float) -> Tiers:
    """The paired sessions taken apart at the day on which the design was declared."""
    ours, theirs, declared = evidence.track.net, evidence.champion_net, len(evidence.track.net) - evidence.live
    replay = None
    if declared >= LEAST_REPLAY:
        replay = paired_test(ours[:declared], theirs[:declared], sessions_per_year)
    if replay is not None and replay.standard_error == 0.0:
        replay = None
    live = paired_test(ours[declared:], theirs[declared:], sessions_per_year)
    return Tiers(live, replay, max(1, evidence.trials.count))


def choose_serving_policy(
    rule_net: Series,
    policy_net: Series,
    settings: GateSettings,
    sessions_per_year: float = SESSIONS_PER_YEAR,
    validation_z: float = 0.0,
) -> ServingChoice:
    """The learned policy serves where it beat its own rule, the rule otherwise.

    The choice is made anew every session, so its boundary is that of nightly looks. It is one trial, and the policy was
    fixed before each of the sessions on which it is judged. Two years of a paired record find only gains that no daily
    market has; the held-out blocks of the policy's own training are many years. Where they speak for the policy, the
    paired record need not prove the gain again: it must not speak against it.

    Args:
        rule_net: (T,) net returns of the regime rule, out of sample.
        policy_net: (T,) net returns of the learned policy on the same sessions.
        settings: the gate's bounds.
        sessions_per_year: to annualise by.
        validation_z: gain over the rule on the blocks that each member network was not trained on, over its standard
            error; 0 when there is none.
    """
    rules = (_at_least("paired_sessions", len(policy_net), settings.challenge_sessions),)
    if not accepted(rules):
        return ServingChoice("rule", rules)
    gain = paired_test(policy_net, rule_net, sessions_per_year)
    validated = validation_z >= settings.serving_validation_z
    rules += (superiority_rule(gain, 0.0 if validated else settings.serving_boundary_z),)
    return ServingChoice("policy" if accepted(rules) else "rule", rules, gain)


def _limits(
    evidence: FirstEvidence | RefreshEvidence | ChallengeEvidence, settings: GateSettings, sessions_per_year: float
) -> tuple[RuleOutcome, ...]:
    return (
        drawdown_rule(
            evidence.track,
            evidence.buy_and_hold,
            sessions=settings.drawdown_sessions,
            limit=settings.drawdown_limit,
        ),
        *limit_rules(
            evidence.track,
            turnover_limit=settings.turnover_limit,
            exposure_limit=settings.exposure_limit,
            sessions_per_year=sessions_per_year,
        ),
    )


def _at_least(rule: str, value: int, minimum: int) -> RuleOutcome:
    return RuleOutcome(rule, float(value), f">= {minimum}", value >= minimum, blocking=True)


def _verdict(lane: Lane, rules: tuple[RuleOutcome, ...], alpha_spent: float = 0.0) -> Verdict:
    failed = [rule for rule in rules if rule.blocking and not rule.passed]
    waived = tuple(f"{rule.rule} {rule.detail}" for rule in rules if _word(rule) == "waived")
    reasons = tuple(f"{_measured(rule)}, bound {rule.bound}" for rule in failed)
    outcome: Outcome = "promote"
    if failed:
        unproven = all(rule.value is None or rule.rule in _EVIDENCE_RULES for rule in failed)
        outcome = "insufficient evidence" if unproven else "hold"
    return Verdict(lane, outcome, rules, reasons + waived, alpha_spent)


def _measured(rule: RuleOutcome) -> str:
    value = "not measured" if rule.value is None else f"{rule.value:.4g}"
    return f"{rule.rule} {value}" + (f" ({rule.detail})" if rule.detail else "")


def _word(rule: RuleOutcome) -> str:
    if rule.passed:
        return "passed"
    if rule.blocking:
        return "failed"
    return "waived" if rule.value is None else "noted"
