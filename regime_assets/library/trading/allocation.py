"""How a sleeve is spread over its instruments: four rules of the field, on returns up to today and within bounds.

References:
    Ledoit, Wolf (2004): A well-conditioned estimator for large-dimensional covariance matrices. JMVA 88(2).
    Griveau-Billion, Richard, Roncalli (2013): A fast algorithm for computing high-dimensional risk parity portfolios.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rule = Literal["equal_parts", "inverse_volatility", "minimum_variance", "risk_parity"]

SMALLEST_DEVIATION = 1e-6
"""Of a daily return: an instrument that does not move must not be taken for one without risk."""
STEPS = 2000
ROUNDING = 1e-12


class AllocationError(ValueError):
    """Bounds that no allocation meets, or returns that none can be made of."""


def allocate(rule: Rule, returns: Array, least: Array, most: Array) -> Array:
    """Weights (N,) of a sleeve that add up to 1.

    Args:
        rule: `equal_parts` reads no returns; the others read their covariance, shrunk (Ledoit and Wolf 2004).
        returns: (T, N) of the instruments of the sleeve.
        least, most: (N,) bounds of the weights.

    Raises:
        AllocationError: no weights within the bounds add up to 1, or a return is not finite.
    """
    if least.sum() > 1 + 1e-9 or most.sum() < 1 - 1e-9:
        raise AllocationError(f"no weights between {least.tolist()} and {most.tolist()} add up to 1")
    if not np.isfinite(returns).all():
        raise AllocationError("a return is not finite")
    count = returns.shape[1]
    if rule == "equal_parts" or count == 1:
        return within(np.full(count, 1.0 / count), least, most)
    covariance = _covariance(returns)
    if rule == "inverse_volatility":
        return within(1.0 / np.sqrt(np.diag(covariance)), least, most)
    if rule == "minimum_variance":
        return minimum_variance(covariance, least, most)
    return within(risk_parity(covariance), least, most)


def within(preference: Array, least: Array, most: Array) -> Array:
    """Weights in proportion to a positive preference (N,), moved to their bounds where they would leave them."""
    low, high = 0.0, 1.0 / float(preference.min())  # there every instrument is at its upper bound
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.clip(middle * preference, least, most).sum() < 1.0 else (low, middle)
    weights = np.clip(high * preference, least, most)
    return weights / weights.sum()


def minimum_variance(covariance: Array, least: Array, most: Array) -> Array:
    """The weights of least variance within the bounds, by accelerated projected gradient (Beck and Teboulle 2009)."""
    scaled = covariance / np.diag(covariance).mean()
    step = 1.0 / float(np.linalg.eigvalsh(scaled)[-1])
    weights = ahead = _projected(np.full(len(scaled), 1.0 / len(scaled)), least, most)
    momentum = 1.0
    for _ in range(STEPS):
        moved = _projected(ahead - step * (scaled @ ahead), least, most)
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = moved + (momentum - 1.0) / following * (moved - weights)
        change, weights, momentum = float(np.abs(moved - weights).max()), moved, following
        if change < ROUNDING:
            break
    return weights / weights.sum()


def risk_parity(covariance: Array) -> Array:
    """The long-only weights to whose variance every instrument contributes alike, by cyclical coordinate descent."""
    scaled = covariance / np.diag(covariance).mean()
    diagonal, count = np.diag(scaled), len(scaled)
    weights = 1.0 / np.sqrt(diagonal)
    weights /= np.sqrt(weights @ scaled @ weights)
    for _ in range(STEPS):
        before = weights.copy()
        for one in range(count):
            others = scaled[one] @ weights - diagonal[one] * weights[one]
            weights[one] = (-others + np.sqrt(others**2 + 4.0 * diagonal[one] / count)) / (2.0 * diagonal[one])
        if np.abs(weights - before).max() < ROUNDING:
            break
    return weights / weights.sum()


def _projected(point: Array, least: Array, most: Array) -> Array:
    """The nearest weights within the bounds that add up to 1."""
    low, high = float((least - point).min()), float((most - point).max())
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.clip(point + middle, least, most).sum() < 1.0 else (low, middle)
    return np.clip(point + high, least, most)


def _covariance(returns: Array) -> Array:
    """Shrunk covariance (N, N), with a floor under each deviation."""
    from sklearn.covariance import ledoit_wolf

    shrunk = np.asarray(ledoit_wolf(returns)[0], dtype=np.float64)
    return shrunk + np.diag(np.maximum(SMALLEST_DEVIATION**2 - np.diag(shrunk), 0.0))
