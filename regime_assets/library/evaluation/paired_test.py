"""Is one strategy's Sharpe ratio higher than another's on the same sessions? A test that keeps its size on real pairs.

Two strategies that switch between the market and cash hold the same position on most sessions. What tells them apart
are a few stretches in which they differ, and the market moves one way through most of such a stretch. So the
differences are correlated over weeks and months, and a record of two years holds only a handful of independent
pieces of evidence. An error estimate that looks at neighbouring sessions only is too small, and a normal critical value
pretends that the error is known.

Here the error comes from the slowest movements of the record itself. The influence of each session on the
difference of the two ratios is projected on the first `FREQUENCIES` cosines; each projection is one nearly independent
draw of the error, and the statistic has Student's t distribution with as many degrees of freedom (equal-weighted cosine
estimator with fixed-b critical values). The statistic is given as `z`, the normal score of the same probability.
`benchmarks/paired_tests.py` holds this test against others.

References:
    Jobson, Korkie (1981), corrected by Memmel (2003): the influence of a session on the difference of two ratios.
    Müller (2004): A theory of robust long-run variance estimation. J. Econometrics 141.
    Lazarus, Lewis, Stock, Watson (2018): HAR inference: recommendations for practice. J. Business Econ. Statistics 36.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.evaluation.track_record import (
    MINIMUM_SESSIONS,
    SESSIONS_PER_YEAR,
    MetricError,
    checked_series,
    sharpe,
)

Series = NDArray[np.float64]

FREQUENCIES = 8
"""Cosines that estimate the error. More of them find more, and pass more by luck where two strategies differ in a
few long stretches: at a nominal .040 a look, 24 have .053 on real pairs, 8 have .043, and a bootstrap has .062."""


@dataclass(frozen=True)
class PairedTest:
    """The difference of two Sharpe ratios on the same sessions.

    Attributes:
        estimate: annualised Sharpe ratio of the first strategy less that of the second.
        standard_error: of the estimate, annualised; zero only for two equal series.
        z: normal score of the one-sided probability that the true difference is at most zero.
        sessions: length of the record.
    """

    estimate: float
    standard_error: float
    z: float
    sessions: int

    def lower_bound(self, confidence: float) -> float:
        """The difference that the truth exceeds with one-sided probability `confidence`."""
        from scipy.special import stdtrit

        return self.estimate - float(stdtrit(FREQUENCIES, confidence)) * self.standard_error


def paired_test(
    challenger: ArrayLike, champion: ArrayLike, periods_per_year: float = SESSIONS_PER_YEAR
) -> PairedTest | None:
    """Test Sharpe(challenger) − Sharpe(champion) on the same sessions.

    Two equal series differ by zero, exactly, also when they never moved.

    Args:
        challenger: (T,) net returns.
        champion: (T,) net returns of the same sessions.
        periods_per_year: sessions a year.

    Returns:
        None when one series is too short or has no variance.

    Raises:
        MetricError: the series differ in length, so they cannot be pairs.

    Examples:
        >>> market = np.random.default_rng(0).normal(0.0004, 0.01, 504)
        >>> found = paired_test(market + 0.0002, market)
        >>> round(found.estimate, 2), found.sessions, found.lower_bound(0.975) < found.estimate
        (0.31, 504, True)
    """
    first, second = checked_series(challenger), checked_series(champion)
    if len(first) != len(second):
        raise MetricError(f"{len(first)} and {len(second)} sessions are no pairs")
    if len(first) and np.array_equal(first, second):
        return PairedTest(0.0, 0.0, 0.0, len(first))
    if len(first) < MINIMUM_SESSIONS or sharpe(first) is None or sharpe(second) is None:
        return None
    gain, error, z = paired_statistics(first[None], second[None])
    if error[0] <= 0.0:
        return None
    scale = float(np.sqrt(periods_per_year))
    return PairedTest(float(gain[0]) * scale, float(error[0]) * scale, float(z[0]), len(first))


def paired_statistics(challengers: Series, champions: Series) -> tuple[Series, Series, Series]:
    """The test of many pairs at once.

    Args:
        challengers, champions: (P, T) net returns with variance, a pair a row.

    Returns:
        (P,) gains and standard errors, per session and not annualised, and normal scores.
    """
    sessions = challengers.shape[1]
    first, ours = _influence(challengers)
    second, theirs = _influence(champions)
    at = (np.arange(sessions) + 0.5) / sessions
    cosines = np.sqrt(2.0 / sessions) * np.cos(np.pi * np.outer(at, np.arange(1, FREQUENCIES + 1)))
    variance = np.square((first - second) @ cosines).mean(axis=1)
    error = np.sqrt(variance / sessions)
    gain = ours - theirs
    return gain, error, normal_score(gain / np.maximum(error, 1e-300))


def normal_score(t: Series) -> Series:
    """The z whose normal tail probability is that of `t` under Student's t with `FREQUENCIES` degrees of freedom."""
    from scipy.special import ndtri, stdtr

    return -np.sign(t) * ndtri(np.maximum(stdtr(FREQUENCIES, -np.abs(t)), 1e-300))


def _influence(returns: Series) -> tuple[Series, Series]:
    """(P, T) influence of each session on the ratio of its row, and the (P,) ratios, per session."""
    mean = returns.mean(axis=1, keepdims=True)
    deviation = returns.std(axis=1, ddof=1, keepdims=True)
    standard = (returns - mean) / deviation
    ratio = mean / deviation
    return standard - 0.5 * ratio * (standard**2 - 1.0), ratio[:, 0]
