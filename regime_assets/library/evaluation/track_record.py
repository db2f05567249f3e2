"""What a Sharpe ratio is worth, given the length and shape of its record and how many strategies were tried.

References:
    Bailey, López de Prado (2012): The Sharpe ratio efficient frontier. Journal of Risk 15(2).
    Bailey, López de Prado (2014): The deflated Sharpe ratio. Journal of Portfolio Management 40(5).
    Bailey, Borwein, López de Prado, Zhu (2017): The probability of backtest overfitting. J. Comp. Finance 20(4).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

SESSIONS_PER_YEAR = 252
"""Sessions that a year is taken to have when a figure is annualised."""

MINIMUM_SESSIONS = 20
"""Sessions below which no ratio is given: about a month."""

_NORMAL = NormalDist()
_EULER_GAMMA = 0.5772156649015329


class MetricError(ValueError):
    """A series cannot be measured: it is not one-dimensional or holds numbers that are not finite."""


def sharpe(returns: ArrayLike, periods_per_year: float = SESSIONS_PER_YEAR) -> float | None:
    """Annualised Sharpe ratio over cash: mean / s · √p."""
    series = checked_series(returns)
    if not has_variance(series):
        return None
    return float(series.mean() / series.std(ddof=1) * np.sqrt(periods_per_year))


def probabilistic_sharpe(
    returns: ArrayLike, benchmark: float = 0.0, periods_per_year: float = SESSIONS_PER_YEAR
) -> float | None:
    """Probability that the true Sharpe ratio exceeds an annualised `benchmark` (Bailey, López de Prado 2012)."""
    moments = sample_moments(returns)
    if moments is None:
        return None
    return probabilistic_sharpe_of(moments, benchmark / np.sqrt(periods_per_year))


@dataclass(frozen=True)
class SharpeMoments:
    """What the distribution of an estimated Sharpe ratio depends on, per session (nothing annualised).

    Attributes:
        sharpe: mean over unbiased standard deviation.
        skewness: third standardised moment.
        kurtosis: fourth standardised moment, 3 for a normal.
        sessions: length of the record.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    sessions: int

    @property
    def variance(self) -> float:
        """(n − 1)·Var[SR] = 1 − γ₃·SR + (γ₄ − 1)/4·SR² (Bailey, López de Prado 2012, eq. 7)."""
        return 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2


def sample_moments(returns: ArrayLike) -> SharpeMoments | None:
    """The moments of a record; None when it is too short or has no variance."""
    series = checked_series(returns)
    if not has_variance(series):
        return None
    centred = series - series.mean()
    scale = np.sqrt(np.mean(centred**2))
    return SharpeMoments(
        sharpe=float(series.mean() / series.std(ddof=1)),
        skewness=float(np.mean((centred / scale) ** 3)),
        kurtosis=float(np.mean((centred / scale) ** 4)),
        sessions=len(series),
    )


def probabilistic_sharpe_of(moments: SharpeMoments, benchmark: float) -> float | None:
    """Φ((SR − SR*)·√(n − 1) / √variance), with SR* per session; None when the variance is not positive."""
    if moments.variance <= 0.0:
        return None
    return _NORMAL.cdf((moments.sharpe - benchmark) * np.sqrt(moments.sessions - 1) / np.sqrt(moments.variance))


def expected_maximum_sharpe(trials: int, trial_variance: float) -> float:
    """Sharpe ratio that the best of `trials` strategies without skill is expected to show.

    √V·((1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e))), Bailey and López de Prado 2014, eq. 1; zero for one trial.

    Args:
        trials: number N of trials.
        trial_variance: variance V of the Sharpe ratios over the trials, in the unit squared of the result.
    """
    if trials < 1 or trial_variance < 0.0:
        raise MetricError(f"{trials} trials with a variance of {trial_variance} are no record of trials")
    if trials == 1:
        return 0.0
    usual, rare = _NORMAL.inv_cdf(1.0 - 1.0 / trials), _NORMAL.inv_cdf(1.0 - 1.0 / (trials * np.e))
    return float(np.sqrt(trial_variance) * ((1.0 - _EULER_GAMMA) * usual + _EULER_GAMMA * rare))


def deflated_sharpe(
    returns: ArrayLike, trials: int, trial_variance: float, periods_per_year: float = SESSIONS_PER_YEAR
) -> float | None:
    """Probability that the true Sharpe ratio exceeds what the best of `trials` lucky strategies would show.

    Args:
        returns: (T,) net returns of the strategy that was chosen.
        trials: every strategy that was tried, this one included.
        trial_variance: variance of the trials' annualised Sharpe ratios.
        periods_per_year: sessions a year.
    """
    return probabilistic_sharpe(returns, expected_maximum_sharpe(trials, trial_variance), periods_per_year)


def minimum_track_record(
    returns: ArrayLike,
    benchmark: float = 0.0,
    confidence: float = 0.95,
    periods_per_year: float = SESSIONS_PER_YEAR,
) -> float | None:
    """Sessions needed to tell the Sharpe ratio from `benchmark`; None when it does not exceed it."""
    moments = sample_moments(returns)
    if moments is None:
        return None
    return minimum_track_record_of(moments, benchmark / np.sqrt(periods_per_year), confidence)


def minimum_track_record_of(moments: SharpeMoments, benchmark: float, confidence: float) -> float | None:
    """1 + variance·(z / (SR − SR*))² sessions, per-session ratios (Bailey, López de Prado 2012, eq. 11)."""
    if moments.sharpe <= benchmark or moments.variance <= 0.0:
        return None
    return 1.0 + moments.variance * (_NORMAL.inv_cdf(confidence) / (moments.sharpe - benchmark)) ** 2


def probability_of_overfitting(returns: ArrayLike, blocks: int = 16) -> float | None:
    """Probability that the best strategy in sample falls below the median out of sample (CSCV, Bailey 2017).

    The sessions are cut into `blocks`; each choice of half of them is in sample once. A strategy that stayed in
    cash through a half ranks there as what it earned, zero.

    Args:
        returns: (T, S) net returns of every strategy tried on the same sessions.
        blocks: even number of blocks; the last sessions that do not fill a block are left out.

    Returns:
        The share of splits; None with fewer than two strategies or fewer than two sessions a block.
    """
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise MetricError(f"returns {matrix.shape} are not finite numbers (sessions, strategies)")
    if blocks < 2 or blocks % 2:
        raise MetricError(f"{blocks} blocks cannot be halved")
    length, strategies = len(matrix) // blocks, matrix.shape[1]
    if strategies < 2 or length < 2:
        return None
    cut = matrix[: length * blocks].reshape(blocks, length, strategies)
    sums, squares = cut.sum(axis=1), (cut**2).sum(axis=1)
    halves = list(combinations(range(blocks), blocks // 2))
    chosen = np.zeros((len(halves), blocks))
    chosen[np.arange(len(halves))[:, None], halves] = 1.0
    inside = _ratios(chosen @ sums, chosen @ squares, length * blocks // 2)
    outside = _ratios((1 - chosen) @ sums, (1 - chosen) @ squares, length * blocks // 2)
    best = outside[np.arange(len(chosen)), inside.argmax(axis=1)][:, None]
    rank = (outside < best).sum(axis=1) + 0.5 * ((outside == best).sum(axis=1) + 1)
    return float(np.mean(rank / (strategies + 1) <= 0.5))


def has_variance(series: NDArray[np.float64]) -> bool:
    """Whether a series is long enough and moves by more than the rounding of its own numbers."""
    if len(series) < MINIMUM_SESSIONS:
        return False
    return bool(series.std(ddof=1) > 1e-12 * np.abs(series).max())


def checked_series(values: ArrayLike) -> NDArray[np.float64]:
    """The values as one finite (T,) series."""
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise MetricError(f"a series has one axis, not {series.ndim}")
    if not np.isfinite(series).all():
        position = int(np.flatnonzero(~np.isfinite(series))[0])
        raise MetricError(f"element {position} is {series[position]}, not a finite number")
    return series


def _ratios(sums: NDArray[np.float64], squares: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Mean over standard deviation from sums and sums of squares; zero where nothing moved."""
    means = sums / count
    deviations = np.sqrt(np.maximum(squares / count - means**2, 0.0))
    still = deviations <= 1e-9 * np.abs(means)
    return np.where(still, 0.0, means / np.where(still, 1.0, deviations))
