"""Whether the regimes mean what their names say: did trouble follow 'turbulent', and how early was it said.

These figures look ahead on purpose: they grade decisions that were taken without looking. They are never an input
of a decision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.trading.scoring import FILL_DELAY

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class DiagnosticSettings:
    """What counts as trouble.

    Attributes:
        drawdown: fall that a risk-off signal should have spared, a fraction.
        horizon: sessions after the fill within which it has to come (a quarter).
    """

    drawdown: float = 0.10
    horizon: int = 63


@dataclass(frozen=True)
class SignalQuality:
    """A risk-off signal against the falls that came; None where there is nothing to divide by.

    Attributes:
        sessions: sessions whose horizon is complete.
        base_rate: share of them that were followed by a fall.
        risk_off_share: share of them with the signal.
        precision: share of the sessions with the signal that were followed by a fall.
        recall: share of the sessions followed by a fall that had the signal.
        drawdowns: drawdowns of the market at least as deep as the bound.
        warned: how many of them had the signal between peak and trough.
        lead_sessions: median sessions from the first signal to the crossing of the bound; negative is late.
    """

    sessions: int
    base_rate: float | None
    risk_off_share: float | None
    precision: float | None
    recall: float | None
    drawdowns: int
    warned: int
    lead_sessions: float | None


def signal_quality(
    risk_off: ArrayLike, market_returns: ArrayLike, settings: DiagnosticSettings | None = None
) -> SignalQuality:
    """Precision, recall and lead time of a risk-off signal.

    Args:
        risk_off: (T,) whether the decision of each session's close was to be out.
        market_returns: (T,) simple returns of what is held otherwise.
        settings: what counts as a fall.

    Raises:
        ValueError: the arrays differ in length.
    """
    settings = settings or DiagnosticSettings()
    signal, returns = _paired(risk_off, market_returns)
    fell = worst_forward_loss(returns, settings.horizon) <= -settings.drawdown
    known = len(fell)
    decided = signal[:known]
    hits = int(np.count_nonzero(fell & decided))
    leads, drawdowns = _leads(signal, returns, settings.drawdown)
    return SignalQuality(
        sessions=known,
        base_rate=_share(int(fell.sum()), known),
        risk_off_share=_share(int(decided.sum()), known),
        precision=_share(hits, int(decided.sum())),
        recall=_share(hits, int(fell.sum())),
        drawdowns=drawdowns,
        warned=len(leads),
        lead_sessions=float(np.median(leads)) if leads else None,
    )


def describe_signal(
    risk_off: ArrayLike, market_returns: ArrayLike, settings: DiagnosticSettings | None = None
) -> dict[str, str]:
    """`signal_quality` in words, label → value, for a report."""
    settings = settings or DiagnosticSettings()
    quality = signal_quality(risk_off, market_returns, settings)
    fall = f"fall of {settings.drawdown:.0%} within {settings.horizon} sessions"
    return {
        f"precision: risk-off before a {fall}": _percent(quality.precision),
        f"base rate of a {fall}": _percent(quality.base_rate),
        f"recall: sessions before a {fall} that were risk-off": _percent(quality.recall),
        f"risk-off, of the {quality.sessions} sessions whose next {settings.horizon} are known": _percent(
            quality.risk_off_share
        ),
        f"drawdowns of {settings.drawdown:.0%} met risk-off": f"{quality.warned} of {quality.drawdowns}",
        f"median lead before {settings.drawdown:.0%} was crossed": (
            "none" if quality.lead_sessions is None else f"{quality.lead_sessions:+.0f} sessions"
        ),
    }


def worst_forward_loss(market_returns: Array, horizon: int) -> Array:
    """(T − horizon − 1,) lowest level within `horizon` sessions after the fill, relative to the fill, minus 1.

    Row t belongs to the decision of session t, filled at the close of t + 1; not above zero.
    """
    sessions = len(market_returns) - horizon - FILL_DELAY + 1
    if sessions <= 0:
        return np.zeros(0)
    level = np.concatenate(([1.0], np.cumprod(1.0 + market_returns)))
    at_fill = level[FILL_DELAY : FILL_DELAY + sessions]
    after = np.lib.stride_tricks.sliding_window_view(level[FILL_DELAY:], horizon + 1)[:sessions]
    return after.min(axis=1) / at_fill - 1.0


def regime_occupancy(states: NDArray[np.integer], n_regimes: int) -> Array:
    """(K,) share of the sessions in each regime; zeros for an empty path."""
    counts = np.bincount(states, minlength=n_regimes).astype(np.float64)
    return counts / max(1, len(states))


def _leads(signal: Flags, returns: Array, bound: float) -> tuple[list[int], int]:
    """Sessions from first signal to crossing, for each warned drawdown, and the number of drawdowns."""
    level = np.cumprod(1.0 + returns)
    peaks = np.maximum.accumulate(level)
    under = level / peaks - 1.0
    leads: list[int] = []
    drawdowns = 0
    for peak in np.unique(peaks):
        stretch = np.flatnonzero(peaks == peak)
        if under[stretch].min() > -bound:
            continue
        drawdowns += 1
        crossing = int(stretch[under[stretch] <= -bound][0])
        trough = int(stretch[under[stretch].argmin()])
        signalled = np.flatnonzero(signal[stretch[0] : trough + 1])
        if len(signalled):
            leads.append(crossing - int(stretch[0] + signalled[0]))
    return leads, drawdowns


def _paired(flags: ArrayLike, market_returns: ArrayLike) -> tuple[Flags, Array]:
    signal, returns = np.asarray(flags, dtype=np.bool_), np.asarray(market_returns, dtype=np.float64)
    if signal.shape != returns.shape or returns.ndim != 1:
        raise ValueError(f"a signal {signal.shape} and returns {returns.shape} are not of the same sessions")
    return signal, returns


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(value: float | None) -> str:
    return "not measurable" if value is None else f"{value:.0%}"
