"""A fitted autoencoder of any class: its arrays, the scaler of its features, and what it makes of them.

The shipped `mlp_vae` runs in float64 NumPy. Any other class runs as the torch module that it is, in float64 on one
thread; a row's answer never depends on later rows (`steps/admission` shows it of a class of the user's own).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts
from regime_assets.library.components import load_component, settings_class
from regime_assets.library.determinism import single_threaded
from regime_assets.library.encoders.scaling import Array, Scaler, require_features, to_sequences
from regime_assets.library.encoders.settings import EncoderSettings, MlpVaeSettings

Weights = dict[str, NDArray[Any]]

MLP = "mlp_vae"
NONE = "none"
SIGMA = "log_sigma"
HEAD = "prediction_head"


class Inference(Protocol):
    """A trained network, whatever runs it."""

    def encode(self, sequences: Array) -> Array:
        """Latent means (T, L) of scaled sequences (T, S, F)."""
        ...

    def decode(self, latents: Array) -> Array:
        """Scaled sequences (T, S, F) of latents (T, L)."""
        ...


@dataclass(frozen=True)
class Reading:
    """What an autoencoder makes of T sessions, each from that session and earlier ones.

    Attributes:
        latents: (T, L) means.
        denoised: (T, F) decoded features of each session's own row, in their own units, which no refit rotates.
        reconstruction_error: (T,) mean squared error of each session's sequence in observation sigmas.
    """

    latents: Array
    denoised: Array
    reconstruction_error: Array


@dataclass(frozen=True)
class FittedEncoder:
    """A fitted autoencoder.

    Attributes:
        use: its component, as the universe file names it.
        settings: it was fitted with.
        feature_names: (F,) the columns it reads.
        scaler: of the features.
        weights: the network's arrays by their names in torch, `log_sigma` (F,), and those of the head that predicts,
            which are read by the next fit alone.
    """

    use: str
    settings: EncoderSettings
    feature_names: tuple[str, ...]
    scaler: Scaler
    weights: Weights

    def encode(self, features: pd.DataFrame) -> Array:
        """Latent means (T, L) of each session.

        The sequences of the first `sequence_length - 1` rows are completed by repeating the first row.

        Raises:
            EncoderError: columns that differ from `feature_names`, or a value that is no finite number.
        """
        return self.inference.encode(self._sequences(features))

    def decode(self, latents: Array) -> Array:
        """Denoised features (T, F) of each session's own row, in scaled units."""
        return self.inference.decode(latents)[:, -1]

    def denoise(self, features: pd.DataFrame) -> Array:
        """`decode(encode(features))` in the features' own units, which no refit rotates or rescales; (T, F)."""
        return self._in_own_units(self.decode(self.encode(features)))

    def reconstruction_error(self, features: pd.DataFrame) -> Array:
        """Mean squared error of each session's sequence in observation sigmas, (T,); about 1 in the window."""
        return self.read(features).reconstruction_error

    def read(self, features: pd.DataFrame) -> Reading:
        """Everything that the autoencoder says of features (T, F), from one pass through its network.

        Raises:
            EncoderError: as `encode`.
        """
        sequences = self._sequences(features)
        latents = self.inference.encode(sequences)
        decoded = self.inference.decode(latents)
        sigma = np.exp(self.weights[SIGMA].astype(np.float64))
        return Reading(
            latents,
            self._in_own_units(decoded[:, -1]),
            np.square((sequences - decoded) / sigma).mean(axis=(1, 2)),
        )

    @cached_property
    def inference(self) -> Inference:
        """What runs the network."""
        if self.use == MLP:
            return MlpInference(self.weights, self.settings)
        if self.use == NONE:
            from regime_assets.library.encoders.no_encoder import AsTheyAre

            return AsTheyAre()
        return TorchInference(self.use, self.weights, self.settings, len(self.feature_names))

    def to_parts(self) -> Parts:
        """The autoencoder taken apart."""
        arrays: Weights = {f"weights/{name}": array for name, array in self.weights.items()}
        arrays |= {"scaler_centre": self.scaler.centre, "scaler_scale": self.scaler.scale}
        document = {"use": self.use, "settings": asdict(self.settings), "feature_names": list(self.feature_names)}
        return Parts(arrays, document)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The autoencoder that `to_parts` took apart; its class is not imported before it encodes."""
        document, use = parts.document, str(parts.document["use"])
        settings: EncoderSettings = settings_class("encoders", use)(**document["settings"])
        scaler = Scaler(parts.arrays["scaler_centre"], parts.arrays["scaler_scale"], settings.clip)
        prefix = "weights/"
        weights = {name.removeprefix(prefix): a for name, a in parts.arrays.items() if name.startswith(prefix)}
        return cls(use, settings, tuple(document["feature_names"]), scaler, weights)

    def _in_own_units(self, rows: Array) -> Array:
        return rows * self.scaler.scale + self.scaler.centre

    def _sequences(self, features: pd.DataFrame) -> Array:
        require_features(features, self.feature_names)
        rows = self.scaler.apply(features.to_numpy(dtype=np.float64))
        return to_sequences(rows, self.settings.sequence_length)


class MlpInference:
    """`MlpVae` in NumPy."""

    def __init__(self, weights: Weights, settings: EncoderSettings) -> None:
        assert isinstance(settings, MlpVaeSettings)
        self.settings = settings
        self.weights = weights

    def encode(self, sequences: Array) -> Array:
        """As `Inference`."""
        return self.run("encoder", sequences.reshape(len(sequences), -1))[:, : self.settings.n_latents]

    def decode(self, latents: Array) -> Array:
        """As `Inference`."""
        return self.run("decoder", latents).reshape(len(latents), self.settings.sequence_length, -1)

    def run(self, network: str, inputs: Array) -> Array:
        """The outputs (T, out) of one of the two networks."""
        activations = inputs
        for layer in range(len(self.settings.hidden) + 1):
            if layer:  # SiLU, in place
                divisor = np.negative(activations)
                np.exp(divisor, out=divisor)
                divisor += 1.0
                activations /= divisor
            weight = self.weights[f"{network}.{layer}.weight"].astype(np.float64)
            activations = activations @ weight.T
            activations += self.weights[f"{network}.{layer}.bias"]
        return activations


class TorchInference:
    """A module of any class, in float64."""

    def __init__(self, use: str, weights: Weights, settings: EncoderSettings, n_features: int) -> None:
        import torch

        module = load_component("encoders", use)(n_features, settings)
        read = {name: a for name, a in weights.items() if name != SIGMA and not name.startswith(f"{HEAD}.")}
        module.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in read.items()})
        self._module = module.double().eval()

    def encode(self, sequences: Array) -> Array:
        """As `Inference`."""
        return self._run(lambda values: self._module.encode(values)[0], sequences)

    def decode(self, latents: Array) -> Array:
        """As `Inference`."""
        return self._run(self._module.decode, latents)

    def _run(self, function: Any, values: Array) -> Array:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with single_threaded(), torch.no_grad():
                return function(torch.from_numpy(np.ascontiguousarray(values))).numpy().astype(np.float64)
        finally:
            torch.set_num_threads(threads)
