"""Verdicts as data: each rule that a model or a report has to meet, with its value, its bound and its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RuleOutcome:
    """The outcome of one named rule.

    Attributes:
        rule: the rule's name, snake_case, unique within its subject.
        value: what was measured; None when it could not be.
        bound: what was demanded, as text ("<= 0.35").
        passed: whether the value meets the bound.
        blocking: whether a failure keeps the subject from being used.
        detail: what a reader needs besides, such as the sessions or components concerned.
    """

    rule: str
    value: float | None
    bound: str
    passed: bool
    blocking: bool
    detail: str = ""


def accepted(outcomes: Sequence[RuleOutcome]) -> bool:
    """Whether no blocking rule failed."""
    return all(outcome.passed or not outcome.blocking for outcome in outcomes)


def refusal(outcomes: Sequence[RuleOutcome]) -> str:
    """Why the subject is not accepted, in one line; empty when it is."""
    failed = [outcome for outcome in outcomes if outcome.blocking and not outcome.passed]
    return "; ".join(f"{o.rule} = {o.value} (bound {o.bound})" for o in failed)
