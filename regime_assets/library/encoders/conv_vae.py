"""Causal convolutions along the sequence: a session's code is read off its last position."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn

from regime_assets.library.encoders.settings import ConvVaeSettings


class ConvVae(nn.Module):
    """One-dimensional convolutions, padded on the old side only; the decoder spreads a code over the sequence."""

    Settings: ClassVar = ConvVaeSettings
    version: ClassVar[int] = 1

    def __init__(self, n_features: int, settings: ConvVaeSettings) -> None:
        super().__init__()
        self.length, self.reach = settings.sequence_length, settings.kernel - 1
        widths = (n_features, *settings.channels)
        self.encoder = nn.ModuleList([nn.Conv1d(a, b, settings.kernel) for a, b in pairwise(widths)])
        self.head = nn.Linear(widths[-1], 2 * settings.n_latents)
        self.spread = nn.Linear(settings.n_latents, widths[-1] * settings.sequence_length)
        self.decoder = nn.ModuleList([nn.Conv1d(b, a, settings.kernel) for a, b in reversed(list(pairwise(widths)))])

    def encode(self, sequences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance (B, L) of sequences (B, S, F)."""
        values = sequences.transpose(1, 2)
        for layer in self.encoder:
            values = nn.functional.silu(layer(nn.functional.pad(values, (self.reach, 0))))
        mean, log_variance = self.head(values[:, :, -1]).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Sequences (B, S, F) of latents (B, L)."""
        values = self.spread(latents).unflatten(1, (-1, self.length))
        for layer in self.decoder:
            values = layer(nn.functional.pad(nn.functional.silu(values), (self.reach, 0)))
        return values.transpose(1, 2)
