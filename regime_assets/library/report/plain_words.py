"""What the stores keep in short, in the words of someone who has not read the docs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

MOST_WEIGHTS = 24
"""Instruments whose weights are told one by one."""

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

RULES = {
    "components_accepted": "models that met their own rules",
    "hashes_present": "hashes of all parts",
    "label_agreement": "agreement with the serving model on the last year's regimes",
    "exposure_change": "change of exposure against the serving model",
    "drawdown_limit": "deepest fall",
    "turnover_limit": "turnover a year",
    "exposure_limit": "exposure",
    "non_inferiority": "not worse than its predecessor",
    "superiority": "evidence that it is better",
    "live_gain": "gain since it was declared",
}

DRIFT_FEATURES = {
    "return": "mean return of the day",
    "absolute_return": "size of the mean return",
    "dispersion": "spread of returns between symbols",
    "factor_share": "share of the moves that all symbols make together",
    "breadth": "share of symbols that rose",
    "rms": "size of moves over all symbols",
    "volatility_surprise": "volatility against its forecast",
}

RULE = re.compile(rf"\b({'|'.join(RULES)})\b")
WAIVED = re.compile(r"non_inferiority waived: (\d+) fresh sessions of (\d+)")


def gate_reason(reason: str) -> str:
    """Why the gate decided as it did."""
    told = r"not yet held against its predecessor, which needs \2 sessions that neither has seen (\1 so far)"
    return RULE.sub(lambda found: RULES[found[1]], WAIVED.sub(told, reason)).replace("_", " ")


def weights_in_words(weights: Mapping[str, float], percent: Callable[[float], str]) -> str:
    """What is held of each instrument; of many the largest positions one by one and the others together.

    Examples:
        >>> weights_in_words({"SPY": 0.75, "TLT": 0.25}, "{:.0%}".format)
        'SPY 75%, TLT 25%'
    """
    shown = list(weights)
    if len(shown) > MOST_WEIGHTS:
        shown = sorted(shown, key=lambda symbol: -abs(weights[symbol]))[: MOST_WEIGHTS - 1]
    told = ", ".join(f"{symbol} {percent(weights[symbol])}" for symbol in shown)
    others = [weight for symbol, weight in weights.items() if symbol not in shown]
    return f"{told}, and {len(others)} others {percent(sum(others))} together" if others else told
