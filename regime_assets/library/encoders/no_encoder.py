"""No autoencoder, as a design: coordinates are the scaled features, cut off where the scaler cuts them.

It goes through the same steps as an encoder, so that everything behind it stays what it is. There is nothing to train,
nothing to rotate, and no reconstruction error: that is zero by construction and says nothing about drift.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.encoders.settings import NoEncoderSettings

Array = NDArray[np.float64]


class NoEncoder:
    """The component `none`."""

    Settings: ClassVar = NoEncoderSettings
    version: ClassVar[int] = 1


class AsTheyAre:
    """Latents are the newest row of a sequence, and what is decoded is that row again."""

    def encode(self, sequences: Array) -> Array:
        """As `Inference`."""
        return sequences[:, -1]

    def decode(self, latents: Array) -> Array:
        """As `Inference`."""
        return latents[:, None]


def untrained_figures(scaled: Array, settings: NoEncoderSettings) -> tuple[pd.DataFrame, dict[str, float]]:
    """Empty curves, and the figures of an encoder that learns nothing, from scaled features (T, F)."""
    active = float((scaled.var(axis=0) > settings.active_unit_variance).sum())
    figures = {
        "reconstruction": 0.0,
        "validation_reconstruction": 0.0,
        "active_units": active,
        "epochs": 0.0,
        "sessions": float(len(scaled)),
        "finite": float(np.isfinite(scaled).all()),
    }
    return pd.DataFrame(), figures
