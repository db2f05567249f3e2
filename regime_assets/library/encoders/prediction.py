"""What a predictive head is held against: the returns that a session's decision earns, as far as the window holds them.

A session's target reaches beyond it. The window's last sessions therefore have none, and what lies after the window is
never read: the targets are made of the window's own returns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLIP = 3.0
"""Standard deviations at which a target is cut, as features are."""


def ahead_returns(returns: Array, sessions: int, delay: int) -> Array:
    """What a decision on each session's close earns in the first `sessions` sessions that it earns anything in.

    Args:
        returns: (T, N) simple returns of what is traded.
        sessions: h, how many are added up.
        delay: sessions from a decision to the first return that it earns.

    Returns:
        (T, N) log returns, those of [t + delay, t + delay + h) in row t; NaN in the last `delay + h - 1` rows, whose
        returns the window does not hold.
    """
    ahead = np.full(returns.shape, np.nan)
    known = len(returns) - delay - sessions + 1
    if known > 0:
        total = np.concatenate([np.zeros((1, returns.shape[1])), np.log1p(returns).cumsum(axis=0)])
        ahead[:known] = total[delay + sessions :][:known] - total[delay:][:known]
    return ahead


def standardised(ahead: Array, sample_weight: Array) -> Array:
    """Targets of weighted mean 0 and standard deviation 1, cut at ± `CLIP`; NaN stays."""
    known = np.isfinite(ahead).all(axis=1)
    mean = np.average(ahead[known], axis=0, weights=sample_weight[known])
    deviation = np.sqrt(np.average(np.square(ahead[known] - mean), axis=0, weights=sample_weight[known]))
    return np.clip((ahead - mean) / np.maximum(deviation, 1e-12), -CLIP, CLIP)
