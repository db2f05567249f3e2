"""Fully connected layers over the flattened sequence: the shipped encoder.

Once trained it runs in NumPy (`fitted_encoder`), so that serving the shipped design needs no torch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn

from regime_assets.library.encoders.settings import MlpVaeSettings


class MlpVae(nn.Module):
    """Encoder and mirrored decoder with SiLU between the layers."""

    Settings: ClassVar = MlpVaeSettings
    version: ClassVar[int] = 1

    def __init__(self, n_features: int, settings: MlpVaeSettings) -> None:
        super().__init__()
        wide = n_features * settings.sequence_length
        self.shape = (settings.sequence_length, n_features)
        self.encoder = _layers((wide, *settings.hidden, 2 * settings.n_latents))
        self.decoder = _layers((settings.n_latents, *reversed(settings.hidden), wide))

    def encode(self, sequences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance (B, L) of sequences (B, S, F)."""
        mean, log_variance = _run(self.encoder, sequences.flatten(1)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Sequences (B, S, F) of latents (B, L)."""
        return _run(self.decoder, latents).unflatten(1, self.shape)


def _layers(widths: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList([nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths)])


def _run(layers: nn.ModuleList, values: torch.Tensor) -> torch.Tensor:
    for number, layer in enumerate(layers):
        values = layer(nn.functional.silu(values) if number else values)
    return values
