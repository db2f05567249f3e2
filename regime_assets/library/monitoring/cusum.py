"""Page's cumulative sum, and the bound that keeps it to a budget of false alarms a year."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BOUNDS = np.geomspace(0.5, 150.0, 160)
"""Candidates, in the unit of the sum; neighbours differ by 4 %."""


def cusum(shortfalls: NDArray[np.float64], allowance: float, start: float) -> NDArray[np.float64]:
    """(n,) running sums of shortfall beyond the allowance, never below zero.

    Args:
        shortfalls: (n,) expected minus realised, in standard deviations; or log likelihood ratios, with no allowance.
        allowance: what each session forgives.
        start: the sum before the first session.

    Examples:
        >>> cusum(np.array([0.5, -2.0, 1.0, 1.0]), allowance=0.25, start=0.0).tolist()
        [0.25, 0.0, 0.75, 1.5]
    """
    sums = np.empty(len(shortfalls))
    total = start
    for day, shortfall in enumerate(shortfalls):
        total = max(0.0, total + float(shortfall) - allowance)
        sums[day] = total
    return sums


def calibrate_bound(
    shortfalls: NDArray[np.float64], allowance: float, head_start: float, alarms_per_year: float
) -> float:
    """The lowest bound that alarms at most so often a year when nothing is wrong; an alarm restarts the sum at zero.

    Args:
        shortfalls: (P, n) years of shortfalls under the null, n sessions each.
        allowance: what each session forgives.
        head_start: share of the bound at which the sum starts.
        alarms_per_year: the budget.
    """
    totals = np.tile(head_start * BOUNDS, (len(shortfalls), 1))
    calm = np.zeros(totals.shape, dtype=np.int32)
    for day in range(shortfalls.shape[1]):
        totals += shortfalls[:, day, None]
        totals -= allowance
        np.maximum(totals, 0.0, out=totals)
        under = totals < BOUNDS
        calm += under
        totals *= under
    alarms = shortfalls.size - calm.sum(axis=0)
    within = alarms / len(shortfalls) <= alarms_per_year
    return float(BOUNDS[int(np.argmax(within))]) if within.any() else float(BOUNDS[-1])
