"""The figures of many strategies at once: a grid of candidates is measured in seconds, by the one scorer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.evaluation.metrics import MINIMUM_SESSIONS
from regime_assets.library.evaluation.track_record import SESSIONS_PER_YEAR
from regime_assets.library.trading.scoring import Scored, ScoringError, blocks, score
from regime_assets.library.trading.terms import Terms

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BatchSummary:
    """As `PerformanceSummary`, arrays (S,); NaN where a figure does not exist.

    Attributes:
        sharpe, volatility, cagr: annualised, net of costs.
        max_drawdown: depth of the deepest drawdown, not positive.
        turnover: notional traded a year, one way, in multiples of wealth.
        exposure: mean exposure.
    """

    sharpe: Array
    volatility: Array
    cagr: Array
    max_drawdown: Array
    turnover: Array
    exposure: Array


def summarise_batch(
    weights: ArrayLike, returns: ArrayLike, cost: float | Terms, periods_per_year: float = SESSIONS_PER_YEAR
) -> BatchSummary:
    """Score and measure a batch of strategies.

    Args:
        weights: decided on each session's close, (S, T, N); with one instrument exposures (S, T).
        returns: simple returns (T, N) or (T,).
        cost: fraction of the traded notional, one way, or the terms of T sessions.
        periods_per_year: sessions a year.

    Raises:
        ScoringError: as `score`; there is no batch axis; or there are too few sessions for a ratio.
    """
    weights, returns = np.asarray(weights, dtype=np.float64), np.asarray(returns, dtype=np.float64)
    if weights.ndim != returns.ndim + 1:
        raise ScoringError(f"weights {weights.shape} hold no batch over returns {returns.shape}")
    if len(returns) < MINIMUM_SESSIONS:
        raise ScoringError(f"{len(returns)} sessions are too few for a ratio; it takes {MINIMUM_SESSIONS}")
    parts = [_figures(score(weights[rows], returns, cost), periods_per_year) for rows in blocks(weights, returns)]
    return BatchSummary(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _figures(scored: Scored, periods_per_year: float) -> tuple[Array, ...]:
    """The figures of one block in the order of `BatchSummary`'s fields."""
    net, over_cash = scored.net, scored.over_cash.net
    mean, deviation = over_cash.mean(axis=1), over_cash.std(axis=1, ddof=1)
    varies = deviation > 1e-12 * np.abs(net).max(axis=1)
    growth = 1.0 + net
    solvent = growth.min(axis=1) > 0.0
    wealth = np.cumprod(growth, axis=1, out=growth)
    with np.errstate(divide="ignore", invalid="ignore"):
        compound = np.where(solvent, wealth[:, -1] ** (periods_per_year / net.shape[1]) - 1.0, np.nan)
        sharpe = np.where(varies, mean / deviation * np.sqrt(periods_per_year), np.nan)
    peaks = np.maximum(np.maximum.accumulate(wealth, axis=1), 1.0)
    np.divide(wealth, peaks, out=wealth)
    return (
        sharpe,
        (deviation if over_cash is net else net.std(axis=1, ddof=1)) * np.sqrt(periods_per_year),
        compound,
        wealth.min(axis=1) - 1.0,
        scored.turnover.mean(axis=1) * periods_per_year,
        scored.exposure.mean(axis=1),
    )
