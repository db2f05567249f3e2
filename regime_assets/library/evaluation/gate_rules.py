"""The gate's rules, one function each: evidence in, a rule's outcome out. They read nothing and decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.evaluation.metrics import max_drawdown
from regime_assets.library.evaluation.paired_test import PairedTest, paired_test
from regime_assets.library.evaluation.tiers import Tiers
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
    track: Scored, *, turnover_limit: float, exposure_limit: float, sessions_per_year: float
) -> tuple[RuleOutcome, ...]:
    """The out-of-sample track stays within the hard limits of turnover and exposure."""
    measured = len(track.net) > FILL_DELAY
    turnover = float(track.turnover.mean() * sessions_per_year) if measured else None
    exposure = float(np.abs(track.exposure).max()) if measured else None
    return tuple(
        RuleOutcome(
            rule, value, f"<= {limit:g}", passed=value is not None and value <= limit + _ROUNDING, blocking=True,
            detail=f"{len(track.net)} sessions out of sample",
        )
        for rule, value, limit in (
            ("turnover_limit", turnover, turnover_limit),
            ("exposure_limit", exposure, exposure_limit),
        )
    )  # fmt: skip


def drawdown_rule(track: Scored, buy_and_hold: Series, *, sessions: int, limit: float) -> RuleOutcome:
    """Over the newest sessions the track fell no deeper than the limit, or no deeper than what it trades.

    A fall that buy & hold did not avoid either says more of the market than of the models. And a fall that ended years
    ago says little of today's, so that it counts only while its trough lies inside the sessions that are judged.

    Args:
        track: out of sample, arrays (T,).
        buy_and_hold: (T,) net returns of buy & hold on the same sessions.
        sessions: newest sessions that are judged.
        limit: deepest fall that is always allowed, a fraction of wealth.
    """
    net, market = track.net[-sessions:], buy_and_hold[-sessions:]
    fall, theirs = max_drawdown(net), max_drawdown(market)
    if fall is None or theirs is None or len(track.net) <= FILL_DELAY:
        return RuleOutcome(
            "drawdown_limit", None, f"<= {limit:g}", passed=False, blocking=True,
            detail=f"{len(track.net)} sessions out of sample",
        )  # fmt: skip
    bound = max(limit, -theirs.depth)
    passed = -fall.depth <= bound + _ROUNDING
    detail = f"newest {len(net)} sessions; buy & hold fell {-theirs.depth:.2f}"
    if not passed:
        left = sessions - (len(net) - fall.trough)
        detail += (
            f"; the trough leaves what is judged after {left} more sessions; to promote before, raise "
            "gate.drawdown_limit in the universe file, or promote the version by hand (regime-assets promote)"
        )
    return RuleOutcome("drawdown_limit", -fall.depth, f"<= {bound:.3g}", passed, blocking=True, detail=detail)


def agreement_rule(agreement: float | None, minimum: float) -> RuleOutcome:
    """The refreshed model names the regimes as the champion does."""
    passed = agreement is not None and agreement >= minimum
    return RuleOutcome("label_agreement", agreement, f">= {minimum:g}", passed, blocking=True)


def exposure_change_rule(refreshed: Series, champion: Series, sessions: int, maximum: float) -> RuleOutcome:
    """The refreshed bundle decides about what the champion would have decided on the same sessions.

    Of weights (T, N) half of what would have to be traded to get from one to the other counts.
    """
    if len(refreshed) != len(champion):
        raise ValueError(f"{len(refreshed)} and {len(champion)} exposures are not of the same sessions")
    compared = min(sessions, len(champion))
    apart = np.abs(refreshed[-compared:] - champion[-compared:])
    apart = apart.sum(axis=1) / 2.0 if apart.ndim == 2 else apart
    value = float(apart.mean()) if compared else None
    passed = value is not None and value <= maximum
    detail = f"mean over {compared} sessions"
    return RuleOutcome("exposure_change", value, f"<= {maximum:g}", passed, blocking=True, detail=detail)


def non_inferiority_rule(
    refreshed: Series,
    champion: Series,
    *,
    margin: float,
    confidence: float,
    minimum: int,
    sessions_per_year: float,
) -> RuleOutcome:
    """On sessions that neither has seen, the refreshed line is not worse than the champion by the margin."""
    bound = f">= {-margin:g} at {confidence:.0%}"
    fresh = len(champion)
    if fresh < minimum:
        detail = f"waived: {fresh} fresh sessions of {minimum}"
        return RuleOutcome("non_inferiority", None, bound, passed=False, blocking=False, detail=detail)
    test = paired_test(refreshed, champion, sessions_per_year)
    if test is None:
        detail = f"a series has no variance over {fresh} fresh sessions"
        return RuleOutcome("non_inferiority", None, bound, passed=False, blocking=True, detail=detail)
    detail = f"difference {test.estimate:+.2f} over {fresh} fresh sessions"
    low = test.lower_bound(confidence)
    return RuleOutcome("non_inferiority", low, bound, low >= -margin, blocking=True, detail=detail)


def superiority_rule(test: PairedTest | None, boundary: float) -> RuleOutcome:
    """The paired gain is beyond the boundary."""
    if test is None or test.standard_error == 0.0:
        why = "a series has no variance" if test is None else "the series are equal"
        return RuleOutcome("superiority", None, f"z >= {boundary:g}", passed=False, blocking=True, detail=why)
    return RuleOutcome(
        "superiority", test.z, f"z >= {boundary:g}", passed=test.z >= boundary, blocking=True, detail=_gain(test)
    )


def tier_rules(evidence: Tiers, *, boundary: float, live_confidence: float) -> tuple[RuleOutcome, ...]:
    """Live and replayed sessions together are beyond the boundary, and the live ones point the same way by themselves.

    The replay is deflated by every trial on its history, and never outweighs the live sessions. That the live sessions
    alone must point upwards bounds what trials that the ledger does not know of can do.
    """
    live, replay = evidence.live, evidence.replay
    least = _NORMAL.inv_cdf(live_confidence)
    together = evidence.score
    if together is None or live is None:
        why = "a series has no variance, or the series are equal, on the live sessions"
        return (
            RuleOutcome("superiority", None, f"z >= {boundary:g}", passed=False, blocking=True, detail=why),
            RuleOutcome("live_gain", None, f"z >= {least:.2f}", passed=False, blocking=True, detail=why),
        )
    parts = f"live {_gain(live)} over {live.sessions} sessions"
    if replay is None:
        parts += "; no replay"
    else:
        parts += (
            f"; replay {_gain(replay)} over {replay.sessions} sessions, z {replay.z:.2f}, "
            f"{evidence.deflated:.2f} after {evidence.trials} trials"
        )
    return (
        RuleOutcome(
            "superiority", together, f"z >= {boundary:g}", passed=together >= boundary, blocking=True, detail=parts
        ),
        RuleOutcome(
            "live_gain", live.z, f"z >= {least:.2f}", passed=live.z >= least, blocking=True,
            detail=f"{_gain(live)} on the {live.sessions} sessions after the design was declared",
        ),
    )  # fmt: skip


def deflated_sharpe_rule(challenger: Series, trials: TrialStatistics, sessions_per_year: float) -> RuleOutcome:
    """The deflated Sharpe ratio of the record (Bailey, López de Prado 2014), shown and never blocking.

    The spread of the trials' ratios behind it is that of different years, most of which is the market's doing.
    """
    luck = expected_maximum_sharpe(max(1, trials.count), trials.variance)
    value = probabilistic_sharpe(challenger, luck, sessions_per_year)
    return RuleOutcome(
        "deflated_sharpe", value, ">= 0.5", passed=value is not None and value >= 0.5, blocking=False,
        detail=f"luck's best ratio of {max(1, trials.count)} trials {luck:+.2f}",
    )  # fmt: skip


def _gain(test: PairedTest) -> str:
    return f"gain {test.estimate:+.2f} ± {test.standard_error:.2f}"
