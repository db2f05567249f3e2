"""The Wasserstein-1 distance between a reference and short recent windows, for many series and sessions at once.

Evidently's `wasserstein` is `scipy.stats.wasserstein_distance` over the reference's standard deviation, one call per
column. A null of hundreds of paths that are looked at daily needs a million of them, hence this exact, vectorised form:
both samples are sorted, and a fixed coupling of their quantiles turns the distance into one weighted sum.

Values are clipped far outside the middle half of the reference before they are compared. One wild day that was accepted
(a price that is wrong by a factor of 37, say) would otherwise enlarge the reference's standard deviation for as long as
the reference holds it, and hide every change until then.

Reference: Vallender (1974), "Calculation of the Wasserstein distance between probability distributions on the line".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


CLIPPED_AT = 15.0
"""Interquartile ranges of the reference beyond its quartiles at which values are clipped: about 20 standard deviations
of a normal. Of the sample's history one value is that far off, the absolute return of 2020-03-16."""


def clipped(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """Both samples, clipped far outside the middle half of the reference.

    Args:
        reference: (n,) or (n, F) finite values.
        current: (m,) or (m, F) finite values.
    """
    ordered = np.sort(reference, axis=0)
    low, high = _limits(ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4])
    return np.clip(reference, low, high), np.clip(current, low, high)


def _limits(lower_quartile: Floats, upper_quartile: Floats) -> tuple[Floats, Floats]:
    """Where values are clipped; nowhere where half of a reference is one value."""
    spread = upper_quartile - lower_quartile
    reach = np.where(spread > 0, CLIPPED_AT * spread, np.inf).astype(spread.dtype)
    return lower_quartile - reach, upper_quartile + reach


def normed_wasserstein(reference: Floats, current: Floats) -> float:
    """Wasserstein-1 between two samples over the reference's standard deviation.

    Args:
        reference: (n,) finite values that are not all equal.
        current: (m,) finite values.

    Examples:
        The same values a standard deviation higher:

        >>> days = np.random.default_rng(0).normal(size=500)
        >>> round(normed_wasserstein(days, days + days.std()), 2)
        1.0
    """
    reference_at, current_at, weight = _coupling(len(reference), len(current))
    distance = np.abs(np.sort(reference)[reference_at] - np.sort(current)[current_at]) @ weight
    return float(distance / np.std(reference))


def rolling_wasserstein(
    series: Floats, reference_sessions: int, windows: Sequence[int], reference_step: int = 1
) -> Floats:
    """The normed distance at every session that has a full reference before its longest window.

    Args:
        series: (B, T) finite values, sessions ascending.
        reference_sessions: length of the reference, which ends where the longest window begins.
        windows: lengths of the current windows, in sessions.
        reference_step: the reference moves on every so many sessions; 1 is exact, 5 costs a fifth of the sorting
            and changes a hundredth of a reference of 500 sessions.

    Returns:
        (B, T - reference_sessions - max(windows) + 1, len(windows)), of the type of `series`.
    """
    longest = max(windows)
    first = reference_sessions + longest
    looks = series.shape[1] - first + 1
    if looks < 1:
        raise ValueError(f"{series.shape[1]} sessions, but a reference and a window need {first}")
    history = sliding_window_view(series[:, : series.shape[1] - longest], reference_sessions, axis=1)
    references = np.sort(history[:, ::reference_step], axis=-1)
    low, high = _limits(references[..., reference_sessions // 4], references[..., 3 * reference_sessions // 4])
    references = np.clip(references, low[..., None], high[..., None])
    scale = references.std(axis=-1)
    distances = np.empty((len(series), looks, len(windows)), series.dtype)
    for position, window in enumerate(windows):
        reference_at, current_at, weight = _coupling(reference_sessions, window)
        weight = weight.astype(series.dtype)
        current = np.sort(sliding_window_view(series[:, first - window :], window, axis=1), axis=-1)
        for block in range(references.shape[1]):
            days = slice(block * reference_step, min(looks, (block + 1) * reference_step))
            steady = references[:, block][:, reference_at]
            recent = np.clip(current[:, days], low[:, block, None, None], high[:, block, None, None])
            gaps = np.abs(steady[:, None, :] - recent[..., current_at])
            distances[:, days, position] = gaps @ weight / scale[:, block, None]
    return distances


def _coupling(n: int, m: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Which order statistics of n and of m values share each piece of [0, 1], and how long the pieces are."""
    edges = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    starts = np.concatenate([[0], edges[:-1]])
    return starts // m, starts // n, (edges - starts) / (n * m)
