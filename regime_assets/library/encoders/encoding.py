"""A window encoded on axes that keep their meaning: the VAE's latents, brought onto its predecessor's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.artifact import Parts, below, prefixed
from regime_assets.library.encoders.alignment import Alignment, align_latents, assess_alignment, identity_alignment
from regime_assets.library.encoders.fitted_encoder import FittedEncoder

LARGEST_RESIDUAL = 0.5
"""Share of the previous latents' variance that may be lost; a cold retrain measures .1 to .3, noise 1."""


@dataclass(frozen=True)
class Encoder:
    """A fitted autoencoder with the alignment of its latents."""

    vae: FittedEncoder
    alignment: Alignment

    def encode(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Aligned latents (T, L) of features (T, F)."""
        return self.alignment.apply(self.vae.encode(features))

    def to_parts(self) -> Parts:
        """Both taken apart."""
        vae, alignment = self.vae.to_parts(), self.alignment.to_parts()
        arrays = prefixed("vae", vae.arrays) | prefixed("alignment", alignment.arrays)
        return Parts(arrays, {"vae": vae.document, "alignment": alignment.document})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The encoder that `to_parts` took apart."""
        return cls(
            FittedEncoder.from_parts(Parts(below("vae", parts.arrays), parts.document["vae"])),
            Alignment.from_parts(Parts(below("alignment", parts.arrays), parts.document["alignment"])),
        )


@dataclass(frozen=True)
class Encoding:
    """A window's latents and the alignment that they were brought onto their axes with.

    Attributes:
        model: the alignment.
        sessions: (T,).
        latents: (T, L) aligned.
        reconstruction_error: (T,) mean squared, in observation sigmas.
        figures: residual and anchors of the alignment, mean reconstruction error, and its newest value.
    """

    model: Alignment
    sessions: pd.DatetimeIndex
    latents: NDArray[np.float64]
    reconstruction_error: NDArray[np.float64]
    figures: dict[str, float]


def encode_window(vae: FittedEncoder, reference: Encoder | None, features: pd.DataFrame) -> Encoding:
    """Encode `features` on the axes of `reference`, or on the VAE's own where there is no predecessor."""
    reading = vae.read(features)
    own, error = reading.latents, reading.reconstruction_error
    alignment = align_latents(own, reference.encode(features)) if reference else identity_alignment(own.shape[1])
    figures = {
        "alignment_residual": alignment.residual,
        "anchors": float(alignment.anchors),
        "reconstruction_error": float(error.mean()),
        "newest_reconstruction_error": float(error[-1]),
    }
    return Encoding(alignment, pd.DatetimeIndex(features.index), alignment.apply(own), error, figures)


def axes_obstacle(reference: Encoder, vae: FittedEncoder) -> str:
    """Why the axes of `reference` mean nothing to the latents of `vae`; empty when they do."""
    if reference.vae.feature_names != vae.feature_names:
        return "it reads other features"
    before, now = reference.vae.settings.n_latents, vae.settings.n_latents
    return "" if before == now else f"it has {before} latents and the VAE has {now}"


def assess_encoding(encoding: Encoding) -> tuple[RuleOutcome, ...]:
    """Whether the latents mean what they meant, and are numbers."""
    finite = bool(np.isfinite(encoding.latents).all())
    return (
        assess_alignment(encoding.model, LARGEST_RESIDUAL),
        RuleOutcome("finite_latents", float(finite), "1", finite, blocking=True),
    )
