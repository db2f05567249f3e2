"""Latent axes that keep their meaning: orthogonal Procrustes onto the previous accepted model's latents.

A refitted VAE rotates and reflects its latent space freely, while whoever reads latents (policy, drift report)
expects yesterday's axes. The rotation is estimated on anchors that both models encode, the common sessions'
features (Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.artifact import Parts

Array = NDArray[np.float64]


class AlignmentError(Exception):
    """The two sets of latents cannot be compared."""


@dataclass(frozen=True)
class Alignment:
    """A rigid map of latents: `(latents - centre) @ rotation + target`.

    Attributes:
        centre: (L,) mean of the new latents on the anchors.
        rotation: (L, L) orthogonal, reflections allowed.
        target: (L,) mean of the reference latents on the anchors.
        residual: share of the reference's variance that the map leaves unexplained; 0 is perfect, and 1 is no
            better than the mean. NaN never; 0 for the identity.
        anchors: how many rows it was estimated on; 0 for the identity.
    """

    centre: Array
    rotation: Array
    target: Array
    residual: float
    anchors: int

    def apply(self, latents: Array) -> Array:
        """Latents (T, L) on the reference's axes."""
        return (latents - self.centre) @ self.rotation + self.target

    def to_parts(self) -> Parts:
        """The alignment taken apart."""
        arrays = {"centre": self.centre, "rotation": self.rotation, "target": self.target}
        return Parts(arrays, {"residual": self.residual, "anchors": self.anchors})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The alignment that `to_parts` took apart."""
        return cls(**parts.arrays, **parts.document)


def identity_alignment(n_latents: int) -> Alignment:
    """The map of a model that has no predecessor: latents stay as they are."""
    return Alignment(np.zeros(n_latents), np.eye(n_latents), np.zeros(n_latents), 0.0, 0)


def align_latents(new_latents: Array, reference_latents: Array) -> Alignment:
    """The rigid map that brings new latents closest to the reference ones.

    Args:
        new_latents: (A, L) the new model's latents on the anchors.
        reference_latents: (A, L) what is served so far on the same anchors, itself aligned.

    Raises:
        AlignmentError: shapes differ, there are fewer anchors than latents, or the reference is constant.
    """
    if new_latents.shape != reference_latents.shape:
        raise AlignmentError(f"latents of shape {new_latents.shape} cannot be aligned to {reference_latents.shape}")
    anchors, n_latents = new_latents.shape
    if anchors <= n_latents:
        raise AlignmentError(f"{anchors} anchors do not determine a rotation in {n_latents} dimensions")
    centre, target = new_latents.mean(axis=0), reference_latents.mean(axis=0)
    new, reference = new_latents - centre, reference_latents - target
    spread = float(np.square(reference).sum())
    if spread == 0.0:
        raise AlignmentError("the reference latents are constant: the previous model has collapsed")
    left, _, right = np.linalg.svd(new.T @ reference)
    rotation = left @ right
    residual = float(np.square(new @ rotation - reference).sum()) / spread
    return Alignment(centre, rotation, target, residual, anchors)


def assess_alignment(alignment: Alignment, largest_residual: float) -> RuleOutcome:
    """Whether the policy and the drift report may read the aligned latents as the ones they know."""
    return RuleOutcome(
        rule="alignment_residual",
        value=alignment.residual,
        bound=f"<= {largest_residual:g}",
        passed=alignment.residual <= largest_residual,
        blocking=True,
        detail=f"{alignment.anchors} anchors" if alignment.anchors else "no previous model",
    )
