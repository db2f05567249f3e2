"""A variational autoencoder over short sequences of feature rows, as arrays that NumPy runs.

The encoder reads the last `sequence_length` scaled rows up to a session and gives the mean of a few latents; the
decoder gives the denoised rows back. Training, the only part that needs torch, is in `vae_training`.

Sources: Kingma and Welling 2014 ("Auto-encoding variational Bayes"); Rybkin, Daniilidis and Levine 2021 ("Simple and
effective VAE training with calibrated decoders") for the learned observation sigma.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts
from regime_assets.library.encoders.settings import VaeSettings

Array = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]


class VaeError(Exception):
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
        VaeError: a feature does not vary.
    """
    table = features.to_numpy(dtype=np.float64)
    quartiles = np.stack([_weighted_quantiles(column, sample_weight) for column in table.T])
    mean = np.average(table, axis=0, weights=sample_weight)
    deviation = np.sqrt(np.average(np.square(table - mean), axis=0, weights=sample_weight))
    scale = np.maximum((quartiles[:, 2] - quartiles[:, 0]) / 1.349, deviation / 2)
    constant = [name for name, value in zip(features.columns, scale, strict=True) if not value > 1e-12]
    if constant:
        raise VaeError(f"features {constant} do not vary in the window")
    return Scaler(quartiles[:, 1], scale, clip)


def _weighted_quantiles(values: Array, weights: Array) -> Array:
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    return np.interp([0.25, 0.5, 0.75], (share - weights[order] / 2) / share[-1], values[order])


@dataclass(frozen=True)
class Vae:
    """A fitted autoencoder; inference in float64 NumPy.

    Attributes:
        settings: it was fitted with.
        feature_names: (F,) the columns it reads.
        scaler: of the features.
        weights: float32 arrays `encoder_{i}_weight` (out, in), `encoder_{i}_bias`, `decoder_...`, `log_sigma` (F,).
    """

    settings: VaeSettings
    feature_names: tuple[str, ...]
    scaler: Scaler
    weights: Weights

    def encode(self, features: pd.DataFrame) -> Array:
        """Latent means (T, L) of each session.

        The sequences of the first `sequence_length - 1` rows are completed by repeating the first row.

        Raises:
            VaeError: columns that differ from `feature_names`, or a value that is no finite number.
        """
        return self._encode_sequences(self._sequences(features))

    def decode(self, latents: Array) -> Array:
        """Denoised features (T, F) of each session's own row, in scaled units."""
        return self._decode_sequences(latents)[:, -len(self.feature_names) :]

    def denoise(self, features: pd.DataFrame) -> Array:
        """`decode(encode(features))` in the features' own units, which no refit rotates or rescales; (T, F)."""
        return self.decode(self.encode(features)) * self.scaler.scale + self.scaler.centre

    def reconstruction_error(self, features: pd.DataFrame) -> Array:
        """Mean squared error of each session's sequence in observation sigmas, (T,); about 1 in the window."""
        sequences = self._sequences(features)
        sigma = np.tile(np.exp(self.weights["log_sigma"].astype(np.float64)), self.settings.sequence_length)
        decoded = self._decode_sequences(self._encode_sequences(sequences))
        return np.square((sequences - decoded) / sigma).mean(axis=1)

    def to_parts(self) -> Parts:
        """The autoencoder taken apart."""
        arrays: dict[str, NDArray[Any]] = dict(self.weights)
        arrays |= {"scaler_centre": self.scaler.centre, "scaler_scale": self.scaler.scale}
        document = {"settings": asdict(self.settings), "feature_names": list(self.feature_names)}
        return Parts(arrays, document)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The autoencoder that `to_parts` took apart."""
        stored: dict[str, Any] = dict(parts.document["settings"])
        stored["hidden"] = tuple(stored["hidden"])
        settings = VaeSettings(**stored)
        arrays = dict(parts.arrays)
        scaler = Scaler(arrays.pop("scaler_centre"), arrays.pop("scaler_scale"), settings.clip)
        return cls(settings, tuple(parts.document["feature_names"]), scaler, arrays)

    def _sequences(self, features: pd.DataFrame) -> Array:
        require_features(features, self.feature_names)
        return to_sequences(self.scaler.apply(features.to_numpy(dtype=np.float64)), self.settings.sequence_length)

    def _encode_sequences(self, sequences: Array) -> Array:
        return self._run("encoder", sequences)[:, : self.settings.n_latents]

    def _decode_sequences(self, latents: Array) -> Array:
        return self._run("decoder", latents)

    def _run(self, network: str, inputs: Array) -> Array:
        activations = inputs
        last = len(self.settings.hidden)
        for layer in range(last + 1):
            weight = self.weights[f"{network}_{layer}_weight"].astype(np.float64)
            activations = activations @ weight.T + self.weights[f"{network}_{layer}_bias"]
            if layer < last:
                activations = activations / (1.0 + np.exp(-activations))  # SiLU
        return activations


def to_sequences(rows: Array, length: int) -> Array:
    """Each row with its predecessors, oldest first, flattened to (T, length * F); the first row repeats before it."""
    padded = np.concatenate([np.repeat(rows[:1], length - 1, axis=0), rows])
    windows = np.lib.stride_tricks.sliding_window_view(padded, length, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(len(rows), -1)


def require_features(features: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Refuse features under other names, in another order, or with gaps.

    Raises:
        VaeError: naming the columns, or the first session and column that is no finite number.
    """
    if tuple(features.columns) != names:
        raise VaeError(f"features are {list(features.columns)}, the model reads {list(names)}")
    bad = ~np.isfinite(features.to_numpy(dtype=np.float64))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise VaeError(f"{names[column]} on {features.index[row]:%Y-%m-%d} is no finite number")
