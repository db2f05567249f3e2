"""A recurrent encoder: it reads the sequence from its oldest session to its newest."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from regime_assets.library.encoders.settings import GruVaeSettings


class GruVae(nn.Module):
    """A gated recurrent unit whose last state is the code; another one unrolls the code into a sequence."""

    Settings: ClassVar = GruVaeSettings
    version: ClassVar[int] = 1

    def __init__(self, n_features: int, settings: GruVaeSettings) -> None:
        super().__init__()
        self.length = settings.sequence_length
        self.reader = nn.GRU(n_features, settings.width, batch_first=True)
        self.head = nn.Linear(settings.width, 2 * settings.n_latents)
        self.start = nn.Linear(settings.n_latents, settings.width)
        self.writer = nn.GRU(settings.n_latents, settings.width, batch_first=True)
        self.out = nn.Linear(settings.width, n_features)

    def encode(self, sequences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance (B, L) of sequences (B, S, F)."""
        mean, log_variance = self.head(self.reader(sequences)[1][0]).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Sequences (B, S, F) of latents (B, L)."""
        repeated = latents[:, None, :].expand(-1, self.length, -1)
        return self.out(self.writer(repeated, torch.tanh(self.start(latents))[None])[0])
