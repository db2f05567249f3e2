"""What an encoder reads: features scaled robustly, and each session's row with its predecessors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


class EncoderError(Exception):
    """Features that cannot be encoded or learned from; the message names them."""


@dataclass(frozen=True)
class Scaler:
    """Robust standardisation: `(features - centre) / scale`, cut at ± `clip`.

    Attributes:
        centre, scale: (F,) in the features' units.
        clip: in scaled units.
    """

    centre: Array
    scale: Array
    clip: float

    def apply(self, features: Array) -> Array:
        """Scaled features (T, F)."""
        return np.clip((features - self.centre) / self.scale, -self.clip, self.clip)


def fit_scaler(features: pd.DataFrame, sample_weight: Array, clip: float) -> Scaler:
    """Weighted median and spread of each feature.

    The spread is the weighted interquartile range in Gaussian units, but at least half the standard deviation: a
    feature that is mostly at its bound (breadth in a calm year) has no interquartile range.

    Raises:
        EncoderError: a feature does not vary.
    """
    table = features.to_numpy(dtype=np.float64)
    quartiles = np.stack([_weighted_quantiles(column, sample_weight) for column in table.T])
    mean = np.average(table, axis=0, weights=sample_weight)
    deviation = np.sqrt(np.average(np.square(table - mean), axis=0, weights=sample_weight))
    scale = np.maximum((quartiles[:, 2] - quartiles[:, 0]) / 1.349, deviation / 2)
    constant = [name for name, value in zip(features.columns, scale, strict=True) if not value > 1e-12]
    if constant:
        raise EncoderError(f"features {constant} do not vary in the window")
    return Scaler(quartiles[:, 1], scale, clip)


def _weighted_quantiles(values: Array, weights: Array) -> Array:
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    return np.interp([0.25, 0.5, 0.75], (share - weights[order] / 2) / share[-1], values[order])


def to_sequences(rows: Array, length: int) -> Array:
    """Each row with its predecessors, oldest first, (T, length, F); the first row repeats before it."""
    padded = np.concatenate([np.repeat(rows[:1], length - 1, axis=0), rows])
    windows = np.lib.stride_tricks.sliding_window_view(padded, length, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1))


def require_features(features: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Refuse features under other names, in another order, or with gaps.

    Raises:
        EncoderError: naming the columns, or the first session and column that is no finite number.
    """
    if tuple(features.columns) != names:
        raise EncoderError(f"features are {list(features.columns)}, the model reads {list(names)}")
    bad = ~np.isfinite(features.to_numpy(dtype=np.float64))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise EncoderError(f"{names[column]} on {features.index[row]:%Y-%m-%d} is no finite number")
