"""What a promoted record promises: the interval in which the Sharpe ratio of the sessions to come should lie.

A record that won a contest is too good: it was chosen because of its luck as well. The gain by which it won is
therefore shrunk towards zero, as a gain drawn from a normal prior and measured with its standard error would be (Efron
and Morris 1973). And a year of returns has luck of its own, which the interval of the record's ratio does not hold:
the two errors add. `benchmarks/promotion_coverage.py` measures how often the promise is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.evaluation.bootstrap import Interval
from regime_assets.library.evaluation.paired_test import PairedTest

PRIOR_GAIN = 0.3
"""Standard deviation of true gains in Sharpe ratio among the designs that people try; most are near zero."""

AHEAD = 252
"""Sessions that the promise is about."""


@dataclass(frozen=True)
class LiveInterval:
    """A promise about the annualised Sharpe ratio of the next `ahead` sessions.

    Attributes:
        expected: the record's ratio, less the part of its gain that selection explains.
        low, high: ends of the predictive interval.
        level: probability between them.
    """

    expected: float
    low: float
    high: float
    ahead: int
    level: float

    def __str__(self) -> str:
        return f"{self.expected:.2f}, {self.level:.0%} between {self.low:.2f} and {self.high:.2f}"


def live_sharpe_interval(
    record: Interval, gain: PairedTest | None = None, ahead: int = AHEAD, level: float = 0.95
) -> LiveInterval:
    """The predictive interval after a promotion.

    Args:
        record: of the out-of-sample Sharpe ratio of what was promoted.
        gain: paired gain by which it was selected; None where nothing was selected by its record.
        ahead: sessions to come.
        level: probability of the interval.
    """
    luck = 0.0 if gain is None else gain.estimate - float(shrunk_gain(gain.estimate, gain.standard_error))
    expected = record.estimate - luck
    width = float(half_width(record.standard_error, record.sessions, ahead, level))
    return LiveInterval(expected, expected - width, expected + width, ahead, level)


def shrunk_gain(estimate: ArrayLike, standard_error: ArrayLike, prior: float = PRIOR_GAIN) -> NDArray[np.float64]:
    """The posterior mean of a gain whose prior is normal around zero."""
    return np.asarray(estimate) * prior**2 / (prior**2 + np.square(standard_error))


def half_width(standard_error: ArrayLike, sessions: ArrayLike, ahead: int, level: float = 0.95) -> NDArray[np.float64]:
    """Half of the interval: the error of a record of `sessions`, and that of `ahead` more of the same kind."""
    quantile = NormalDist().inv_cdf(0.5 + level / 2.0)
    return quantile * np.asarray(standard_error) * np.sqrt(1.0 + np.asarray(sessions) / ahead)
