"""The gate's rules, one function each: evidence in, a rule's outcome out. They read nothing and decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.evaluation.bootstrap import Interval, sharpe_difference
from regime_assets.library.evaluation.metrics import SESSIONS_PER_YEAR, max_drawdown
from regime_assets.library.evaluation.track_record import expected_maximum_sharpe, probabilistic_sharpe
from regime_assets.library.evaluation.trials import TrialStatistics
from regime_assets.library.trading.scoring import FILL_DELAY, Scored

Series = NDArray[np.float64]

_ROUNDING = 1e-6  # weights may come from float32
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Integrity:
    """Whether a bundle is whole.

    Attributes:
        accepted: component → whether it met its own acceptance rules.
        hashes: component → SHA-256 of its stored parts.
    """

    accepted: Mapping[str, bool]
    hashes: Mapping[str, str]


def integrity_rules(integrity: Integrity) -> tuple[RuleOutcome, ...]:
    """Every component was accepted, and every component has its hash."""
    refused = sorted(name for name, accepted in integrity.accepted.items() if not accepted)
    unhashed = sorted(name for name in integrity.accepted if not integrity.hashes.get(name))
    count = len(integrity.accepted)
    return (
        RuleOutcome(
            "components_accepted", float(count - len(refused)), f"= {count} and > 0",
            passed=count > 0 and not refused, blocking=True, detail=", ".join(refused),
        ),
        RuleOutcome(
            "hashes_present", float(count - len(unhashed)), f"= {count}",
            passed=not unhashed, blocking=True, detail=", ".join(unhashed),
        ),
    )  # fmt: skip


def limit_rules(
    track: Scored, drawdown_limit: float, turnover_limit: float, exposure_limit: float
) -> tuple[RuleOutcome, ...]:
    """The out-of-sample track stays within the hard limits."""
    fall = max_drawdown(track.net)
    measured = fall is not None and len(track.net) > FILL_DELAY
    depth = -fall.depth if fall is not None and measured else None
    turnover = float(track.turnover.mean() * SESSIONS_PER_YEAR) if measured else None
    exposure = float(np.abs(track.exposure).max()) if measured else None
    return tuple(
        RuleOutcome(
            rule, value, f"<= {limit:g}", passed=value is not None and value <= limit + _ROUNDING, blocking=True,
            detail=f"{len(track.net)} sessions out of sample",
        )
        for rule, value, limit in (
            ("drawdown_limit", depth, drawdown_limit),
            ("turnover_limit", turnover, turnover_limit),
            ("exposure_limit", exposure, exposure_limit),
        )
    )  # fmt: skip


def agreement_rule(agreement: float | None, minimum: float) -> RuleOutcome:
    """The refreshed model names the regimes as the champion does."""
    passed = agreement is not None and agreement >= minimum
    return RuleOutcome("label_agreement", agreement, f">= {minimum:g}", passed, blocking=True)


def exposure_change_rule(refreshed: Series, champion: Series, sessions: int, maximum: float) -> RuleOutcome:
    """The refreshed bundle decides about what the champion would have decided on the same sessions."""
    if len(refreshed) != len(champion):
        raise ValueError(f"{len(refreshed)} and {len(champion)} exposures are not of the same sessions")
    compared = min(sessions, len(champion))
    value = float(np.abs(refreshed[-compared:] - champion[-compared:]).mean()) if compared else None
    passed = value is not None and value <= maximum
    detail = f"mean over {compared} sessions"
    return RuleOutcome("exposure_change", value, f"<= {maximum:g}", passed, blocking=True, detail=detail)


def non_inferiority_rule(
    refreshed: Series, champion: Series, *, margin: float, confidence: float, minimum: int, seed: int
) -> RuleOutcome:
    """On sessions that neither has seen, the refreshed line is not worse than the champion by the margin."""
    bound = f">= {-margin:g} at {confidence:.0%}"
    fresh = len(champion)
    if fresh < minimum:
        detail = f"waived: {fresh} fresh sessions of {minimum}"
        return RuleOutcome("non_inferiority", None, bound, passed=False, blocking=False, detail=detail)
    interval = paired_gain(refreshed, champion, seed, level=2.0 * confidence - 1.0)
    if interval is None:
        detail = f"a series has no variance over {fresh} fresh sessions"
        return RuleOutcome("non_inferiority", None, bound, passed=False, blocking=True, detail=detail)
    detail = f"difference {interval.estimate:+.2f} over {fresh} fresh sessions"
    passed = interval.low >= -margin
    return RuleOutcome("non_inferiority", interval.low, bound, passed, blocking=True, detail=detail)


def superiority_rules(
    challenger: Series, gain: Interval | None, trials: TrialStatistics, *, boundary: float, deflated: float
) -> tuple[RuleOutcome, ...]:
    """The paired gain is beyond the boundary, and beyond what the best of all trials would show by luck.

    The gain is deflated by its own standard error, which is the spread of gains without skill on these very sessions.
    The deflated Sharpe ratio itself (Bailey, López de Prado 2014) is shown beside it and does not block: its spread is
    that of trials from different years, most of which is the market's and none of the challenger's doing.
    """
    bounds = (f"z >= {boundary:g}", f">= {deflated:g}", f">= {deflated:g}")
    names = ("superiority", "deflated_gain", "deflated_sharpe")
    if gain is None or gain.standard_error == 0.0:
        why = "the series are equal" if gain is not None else "a series has no variance"
        return tuple(
            RuleOutcome(name, None, bound, passed=False, blocking=name != "deflated_sharpe", detail=why)
            for name, bound in zip(names, bounds, strict=True)
        )
    z = gain.estimate / gain.standard_error
    count = max(1, trials.count)
    luck = expected_maximum_sharpe(count, gain.standard_error**2)
    beyond_luck = _NORMAL.cdf((gain.estimate - luck) / gain.standard_error)
    level_luck = expected_maximum_sharpe(count, trials.variance)
    level = probabilistic_sharpe(challenger, level_luck)
    spread = f"gain {gain.estimate:+.2f} ± {gain.standard_error:.2f}"
    return (
        RuleOutcome("superiority", z, bounds[0], passed=z >= boundary, blocking=True, detail=spread),
        RuleOutcome(
            "deflated_gain", beyond_luck, bounds[1], passed=beyond_luck >= deflated, blocking=True,
            detail=f"luck's best gain of {count} trials {luck:+.2f}",
        ),
        RuleOutcome(
            "deflated_sharpe", level, bounds[2], passed=level is not None and level >= deflated, blocking=False,
            detail=f"luck's best ratio of {count} trials {level_luck:+.2f}",
        ),
    )  # fmt: skip


def paired_gain(first: Series, second: Series, seed: int, level: float = 0.95) -> Interval | None:
    """The paired interval; equal series differ by nothing, also when they never moved (both in cash)."""
    if len(first) and np.array_equal(first, second):
        return Interval(0.0, 0.0, 0.0, level, 0.0, 1.0, len(first))
    return sharpe_difference(first, second, seed, level=level)
