"""How far a Sharpe ratio, or the difference of two on the same sessions, could be off by luck.

Daily returns come in clusters, so whole stretches of sessions are drawn again (stationary bootstrap of Politis and
Romano 1994, the draws of arch), at the block length of Politis and White (2004, corrected 2009). A pair is drawn
together: what both strategies share cancels, which is what makes two years of daily returns enough to tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.evaluation.track_record import (
    SESSIONS_PER_YEAR,
    MetricError,
    checked_series,
    sharpe,
)

REPLICATIONS = 1000
"""Resampled histories behind an interval: the standard error of a 95 % bound is then 7 % of its distance."""

_DRAWN_AT_ONCE = 40_000  # numbers: what stays in a processor's cache takes two thirds of the time

_LOST_REPLICATIONS = 0.05
"""Share of resampled histories without variance (all in cash) from which an interval is not given."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval; annualised Sharpe ratios or their difference.

    Attributes:
        estimate: on the sessions as they were.
        low: lower end of the two-sided interval.
        high: upper end.
        level: probability between them.
        standard_error: standard deviation over the resampled histories.
        block_length: mean length of a drawn stretch, sessions.
        sessions: length of the record.
    """

    estimate: float
    low: float
    high: float
    level: float
    standard_error: float
    block_length: float
    sessions: int


def sharpe_interval(
    net: ArrayLike,
    seed: int,
    *,
    level: float = 0.95,
    replications: int = REPLICATIONS,
    periods_per_year: float = SESSIONS_PER_YEAR,
) -> Interval | None:
    """Interval of one annualised Sharpe ratio; None without variance.

    Args:
        net: (T,) net returns.
        seed: of the resampling; the same seed gives the same bits.
        level: probability of the two-sided percentile interval.
        replications: resampled histories.
        periods_per_year: sessions a year.
    """
    series = checked_series(net)
    estimate = sharpe(series, periods_per_year)
    if estimate is None:
        return None
    return _interval(
        series[:, None], estimate, seed=seed, level=level, replications=replications, periods_per_year=periods_per_year
    )


def sharpe_difference(
    challenger: ArrayLike,
    champion: ArrayLike,
    seed: int,
    *,
    level: float = 0.95,
    replications: int = REPLICATIONS,
    periods_per_year: float = SESSIONS_PER_YEAR,
) -> Interval | None:
    """Interval of the paired difference Sharpe(challenger) − Sharpe(champion) on the same sessions.

    Two equal series differ by zero, exactly. None when either series has no variance.

    Raises:
        MetricError: the series differ in length, so they cannot be pairs.
    """
    first, second = checked_series(challenger), checked_series(champion)
    if len(first) != len(second):
        raise MetricError(f"{len(first)} and {len(second)} sessions are no pairs")
    ours, theirs = sharpe(first, periods_per_year), sharpe(second, periods_per_year)
    if ours is None or theirs is None:
        return None
    if np.array_equal(first, second):
        return Interval(0.0, 0.0, 0.0, level, 0.0, 1.0, len(first))
    pairs = np.stack([first, second], axis=1)
    return _interval(
        pairs, ours - theirs, seed=seed, level=level, replications=replications, periods_per_year=periods_per_year
    )


def _interval(
    series: NDArray[np.float64],
    estimate: float,
    *,
    seed: int,
    level: float,
    replications: int,
    periods_per_year: float,
) -> Interval | None:
    block = mean_block_length(series)
    draws = resampled_ratios(series, block, replications, np.random.default_rng(seed))
    draws = draws[np.isfinite(draws)] * np.sqrt(periods_per_year)
    if len(draws) < (1.0 - _LOST_REPLICATIONS) * replications:
        return None
    low, high = np.quantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(estimate, float(low), float(high), level, float(draws.std(ddof=1)), block, len(series))


def mean_block_length(series: NDArray[np.float64]) -> int:
    """Longest of the columns' optimal block lengths, of the returns and of their squares, in sessions.

    Returns hardly depend on their past but their size does, and the error of a Sharpe ratio depends on both.

    Args:
        series: (T, C) columns with variance.
    """
    from arch.bootstrap import optimal_block_length

    centred = series - series.mean(axis=0)
    lengths = optimal_block_length(np.concatenate([centred, centred**2], axis=1))["stationary"].to_numpy()
    known = lengths[np.isfinite(lengths)]
    return max(1, round(float(known.max()))) if len(known) else 1


def resampled_ratios(
    series: NDArray[np.float64], block: int, replications: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Per-session Sharpe ratio (R,) of the first column in each resampled history, less that of the second.

    The draws are those of arch's `StationaryBootstrap` to the bit, many histories at a time.

    Args:
        series: (T, 1) or (T, 2).
        block: mean length of a drawn stretch, sessions.
        replications: R.
        generator: of the random numbers.
    """
    sessions, at_once = len(series), max(1, _DRAWN_AT_ONCE // len(series))
    found: list[NDArray[np.float64]] = []
    for first in range(0, replications, at_once):
        count = min(at_once, replications - first)
        starts = np.empty((count, sessions), dtype=np.int64)
        chance = np.empty((count, sessions))
        for row in range(count):
            starts[row] = generator.integers(sessions, size=sessions)
            generator.random(out=chance[row])
        begins = chance <= 1.0 / block
        begins[:, 0] = True
        place = np.arange(sessions)
        begin = np.maximum.accumulate(np.where(begins, place, 0), axis=1)  # where each drawn stretch began
        rows = (np.take_along_axis(starts, begin, axis=1) + place - begin) % sessions
        ratios = [_ratios(series[:, column][rows]) for column in range(series.shape[1])]
        found.append(ratios[0] - ratios[1] if len(ratios) == 2 else ratios[0])
    return np.concatenate(found)


def _ratios(histories: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over standard deviation of each row of (R, T); NaN where a row has no variance."""
    deviations = histories.std(axis=1, ddof=1)
    varies = deviations > 1e-12 * np.abs(histories).max(axis=1)
    return np.where(varies, histories.mean(axis=1) / np.where(varies, deviations, 1.0), np.nan)
