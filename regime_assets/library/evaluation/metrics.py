"""Figures of one return series, each with its formula and its source; None where a figure does not exist.

Returns are simple and per session. Ratios are annualised, and of returns over what cash earned where it earns a rate.
A ratio needs at least `MINIMUM_SESSIONS` and some variance: without them it is None, never a zero that looks like
a measurement. Numbers that are not finite are an error of the caller.
What a Sharpe ratio is worth (probabilistic, deflated, minimum record, overfitting) is computed in `track_record` and
offered here too.

References:
    Sortino, Price (1994): Performance measurement in a downside risk framework. Journal of Investing 3(3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from regime_assets.library.evaluation.track_record import (
    MINIMUM_SESSIONS,
    SESSIONS_PER_YEAR,
    MetricError,
    checked_series,
    deflated_sharpe,
    expected_maximum_sharpe,
    has_variance,
    minimum_track_record,
    probabilistic_sharpe,
    probability_of_overfitting,
    sharpe,
)
from regime_assets.library.trading.scoring import FILL_DELAY, Scored

__all__ = [
    "MINIMUM_SESSIONS",
    "RISK_ON_EXPOSURE",
    "SESSIONS_PER_YEAR",
    "Drawdown",
    "MetricError",
    "PerformanceSummary",
    "cagr",
    "calmar",
    "deflated_sharpe",
    "expected_maximum_sharpe",
    "max_drawdown",
    "minimum_track_record",
    "probabilistic_sharpe",
    "probability_of_overfitting",
    "sharpe",
    "sortino",
    "summarise",
    "switches_per_year",
    "volatility",
]

RISK_ON_EXPOSURE = 0.5
"""Exposure from which a strategy counts as invested when its switches are counted."""


def volatility(returns: ArrayLike, periods_per_year: float = SESSIONS_PER_YEAR) -> float | None:
    """Annualised standard deviation: s·√p with the unbiased s."""
    series = checked_series(returns)
    return None if len(series) < MINIMUM_SESSIONS else float(series.std(ddof=1) * np.sqrt(periods_per_year))


def sortino(returns: ArrayLike, periods_per_year: float = SESSIONS_PER_YEAR) -> float | None:
    """Annualised mean over downside deviation √mean(min(r, 0)²) (Sortino and Price 1994); None without a loss.

    Examples:
        A series without a loss has no downside to divide by:

        >>> sortino([0.01, 0.02] * 20) is None
        True
    """
    series = checked_series(returns)
    downside = float(np.sqrt(np.mean(np.minimum(series, 0.0) ** 2))) if len(series) else 0.0
    if not has_variance(series) or downside == 0.0:
        return None
    return float(series.mean() / downside * np.sqrt(periods_per_year))


def cagr(returns: ArrayLike, periods_per_year: float = SESSIONS_PER_YEAR) -> float | None:
    """Compound annual growth: (Π(1 + r))^(p/T) − 1; None when the wealth was lost."""
    series = checked_series(returns)
    if len(series) < MINIMUM_SESSIONS or series.min() <= -1.0:
        return None
    return float(np.expm1(np.log1p(series).mean() * periods_per_year))


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall from a peak.

    Attributes:
        depth: wealth at the trough over wealth at the peak, minus 1 (not positive).
        sessions: from the peak to the recovery, or to the series' end when there was none.
        recovered: whether the peak was reached again.
        trough: sessions up to the trough, itself included; 0 without a fall.
    """

    depth: float
    sessions: int
    recovered: bool
    trough: int = 0


def max_drawdown(returns: ArrayLike) -> Drawdown | None:
    """The deepest drawdown, counting from the wealth before the first session; None for an empty series.

    Examples:
        >>> max_drawdown([0.10, -0.20, 0.05, 0.20])
        Drawdown(depth=-0.19999999999999996, sessions=3, recovered=True, trough=2)
    """
    series = checked_series(returns)
    if not len(series):
        return None
    wealth = np.concatenate(([1.0], np.cumprod(1.0 + series)))
    peaks = np.maximum.accumulate(wealth)
    under = wealth / peaks - 1.0
    trough = int(under.argmin())
    if under[trough] == 0.0:
        return Drawdown(0.0, 0, True)
    peak = int(np.flatnonzero(wealth[: trough + 1] == peaks[trough])[-1])
    later = np.flatnonzero(wealth[trough:] >= peaks[trough])
    end = trough + int(later[0]) if len(later) else len(wealth) - 1
    return Drawdown(float(under[trough]), end - peak, bool(len(later)), trough)


def calmar(returns: ArrayLike, periods_per_year: float = SESSIONS_PER_YEAR) -> float | None:
    """Compound annual growth over the depth of the deepest drawdown; None without a drawdown."""
    growth, fall = cagr(returns, periods_per_year), max_drawdown(returns)
    if growth is None or fall is None or fall.depth == 0.0:
        return None
    return growth / abs(fall.depth)


def switches_per_year(exposure: ArrayLike, periods_per_year: float = SESSIONS_PER_YEAR) -> float | None:
    """How often a year the exposure crosses `RISK_ON_EXPOSURE`, the entry from cash left out."""
    series = checked_series(exposure)[FILL_DELAY:]
    if len(series) < MINIMUM_SESSIONS:
        return None
    invested = series >= RISK_ON_EXPOSURE
    return float(np.count_nonzero(invested[1:] != invested[:-1]) * periods_per_year / len(series))


@dataclass(frozen=True)
class PerformanceSummary:
    """Every figure of one strategy; None where it does not exist. Fractions, not percentages.

    Attributes:
        sessions: sessions scored.
        sharpe: annualised, net of costs.
        gross_sharpe: annualised, before costs.
        sortino: annualised, net of costs.
        calmar: compound annual growth over the deepest drawdown.
        cagr: compound annual growth.
        volatility: annualised standard deviation.
        max_drawdown: depth of the deepest drawdown, not positive.
        max_drawdown_sessions: sessions from its peak to its recovery or the end.
        turnover: notional traded a year, one way, in multiples of wealth.
        exposure: mean exposure.
        switches_per_year: crossings of half exposure a year.
        probabilistic_sharpe: probability that the true Sharpe ratio is positive.
    """

    sessions: int
    sharpe: float | None
    gross_sharpe: float | None
    sortino: float | None
    calmar: float | None
    cagr: float | None
    volatility: float | None
    max_drawdown: float | None
    max_drawdown_sessions: int | None
    turnover: float | None
    exposure: float | None
    switches_per_year: float | None
    probabilistic_sharpe: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        """The figures by name, for tables and metadata."""
        return asdict(self)


def summarise(scored: Scored, periods_per_year: float = SESSIONS_PER_YEAR) -> PerformanceSummary:
    """The summary of one scored strategy; arrays (T,)."""
    net, fall, sessions, over_cash = scored.net, max_drawdown(scored.net), len(scored.net), scored.over_cash
    return PerformanceSummary(
        sessions=sessions,
        sharpe=sharpe(over_cash.net, periods_per_year),
        gross_sharpe=sharpe(over_cash.gross, periods_per_year),
        sortino=sortino(over_cash.net, periods_per_year),
        calmar=calmar(net, periods_per_year),
        cagr=cagr(net, periods_per_year),
        volatility=volatility(net, periods_per_year),
        max_drawdown=None if fall is None else fall.depth,
        max_drawdown_sessions=None if fall is None else fall.sessions,
        turnover=float(scored.turnover.mean() * periods_per_year) if sessions else None,
        exposure=float(scored.exposure.mean()) if sessions else None,
        switches_per_year=switches_per_year(scored.exposure, periods_per_year),
        probabilistic_sharpe=probabilistic_sharpe(over_cash.net, 0.0, periods_per_year),
    )
