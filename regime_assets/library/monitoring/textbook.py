"""What a textbook would say of the same days: a two-sample Kolmogorov-Smirnov test of each feature at 5 %.

It is Evidently's default for up to 1,000 rows, and shown beside the calibrated bounds to tell the two apart. It takes
days as independent, which they are not, and so it alarms most of the time on a market that does not change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

CRITICAL_5_PERCENT = 1.3581  # of Kolmogorov's distribution


def textbook_share(reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]) -> float:
    """The share of features whose days differ from the reference's by that test.

    Args:
        reference: (n, C) a column a feature.
        current: (m, C) the same columns.
        features: those that are tested; at least one.
    """
    n, m = len(reference), len(current)
    bound = CRITICAL_5_PERCENT * np.sqrt((n + m) / (n * m))
    found = [largest_gap(reference[name].to_numpy(), current[name].to_numpy()) > bound for name in features]
    return float(np.mean(found))


def largest_gap(first: ArrayLike, second: ArrayLike) -> float:
    """The largest distance between the two empirical distribution functions."""
    one, other = np.sort(np.asarray(first, dtype=float)), np.sort(np.asarray(second, dtype=float))
    both = np.concatenate([one, other])
    shares = [np.searchsorted(each, both, side="right") / len(each) for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())
