"""What the stores keep in short, in the words of someone who has not read the docs."""

from __future__ import annotations

import re

HORIZONS = {"short": "a model of about the last year", "long": "a model of all history, recent sessions weighing more"}

VERDICTS = {"promote": "may serve", "hold": "held back", "insufficient evidence": "not enough evidence yet"}

ACTIONS = {
    "nothing": "nothing to do",
    "watch": "watch it",
    "full retrain": "train from scratch",
    "roll back and alert": "roll back to the earlier version",
}

LANES = {
    "first": "it is the first one, and met every rule that needs no predecessor",
    "refresh": "the same design on newer data, and it met every rule for that",
    "challenge": "another design, and it met every rule for that",
}

WAIVED = re.compile(r"non_inferiority waived: (\d+) fresh sessions of (\d+)")


def gate_reason(reason: str) -> str:
    """Why the gate decided as it did."""
    told = r"not yet held against its predecessor, which needs \2 sessions that neither has seen (\1 so far)"
    return WAIVED.sub(told, reason).replace("_", " ")
