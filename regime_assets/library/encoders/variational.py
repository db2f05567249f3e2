"""The evidence bound of an encoder's network under autograd, and torch's own optimiser on it."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regime_assets.library.encoders.settings import EncoderSettings

Weights = dict[str, NDArray[np.float32]]

SIGMA = "log_sigma"
HEAD = "prediction_head"
SMALLEST_LOG_SIGMA = math.log(0.05)  # scaled features are never explained to better than a twentieth
LOG_VARIANCE_RANGE = (-8.0, 4.0)


class EncoderNetwork(Protocol):
    """What an encoder's class offers besides being a `torch.nn.Module`; it is made as `Class(n_features, settings)`."""

    def encode(self, sequences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance (B, L) of sequences (B, S, F), oldest session first."""
        ...

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Sequences (B, S, F) of latents (B, L)."""
        ...


class Variational(nn.Module):
    """A network with the observation sigma (F,) that its decoder is held against, and a head where it predicts.

    Sources: Kingma and Welling 2014 ("Auto-encoding variational Bayes"); Rybkin, Daniilidis and Levine 2021 ("Simple
    and effective VAE training with calibrated decoders") for the learned sigma.
    """

    network: Any  # torch types the attributes of a module as tensors

    def __init__(self, network: nn.Module, n_features: int, head: nn.Linear | None = None) -> None:
        super().__init__()
        self.network = network
        self.log_sigma = nn.Parameter(torch.zeros(n_features))
        self.head = head

    def bound(
        self,
        sequences: torch.Tensor,
        noise: torch.Tensor,
        pressure: float,
        settings: EncoderSettings,
        ahead: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Negative evidence bound: Gaussian error of one session's features, averaged over the sequence, plus KL.

        With a head its error on what lies ahead is added, as that of a second decoder.

        Args:
            sequences: (B, S, F) scaled.
            noise: (B, L) standard normal draws.
            pressure: weight of the KL term.
            settings: its free bits, and the head's weight.
            ahead: (B, N) standardised targets of the head; NaN where there is none.
        """
        mean, log_variance = self.network.encode(sequences)
        log_variance = log_variance.clamp(*LOG_VARIANCE_RANGE)
        latents = mean + torch.exp(0.5 * log_variance) * noise
        decoded = self.network.decode(latents)
        log_sigma = self.log_sigma.clamp(min=SMALLEST_LOG_SIGMA)
        squared = (decoded - sequences).square().mean(dim=(0, 1))
        kl = divergence(mean, log_variance)
        error = (0.5 * squared * torch.exp(-2 * log_sigma) + log_sigma).sum()
        evidence = error + pressure * kl.clamp(min=settings.free_bits).sum()
        if self.head is None or ahead is None:
            return evidence
        return evidence + settings.prediction_weight * 0.5 * squared_miss(self.head(latents), ahead)

    def foretold(self, sequences: torch.Tensor, ahead: torch.Tensor) -> float:
        """Share of the variance of what lay ahead (B, N) of sequences (B, S, F) that the head explains; below zero
        where it is worse than the mean."""
        assert self.head is not None
        with torch.no_grad():
            missed = squared_miss(self.head(self.network.encode(sequences)[0]), ahead)
            return 1.0 - float(missed / squared_miss(ahead.nanmean(dim=0), ahead))

    def measure(self, learned: torch.Tensor, validation: torch.Tensor, settings: EncoderSettings) -> dict[str, float]:
        """Errors of the mean reconstruction (no sampling), KL and active units, of sequences (B, S, F)."""
        self.eval()
        with torch.no_grad():
            mean, log_variance = self.network.encode(learned)
            kl = divergence(mean, log_variance.clamp(*LOG_VARIANCE_RANGE))
            held_out = self.network.encode(validation)[0]
            figures = {
                "reconstruction": float((learned - self.network.decode(mean)).square().mean()),
                "kl": float(kl.sum()),
                **{f"kl_latent_{i}": float(value) for i, value in enumerate(kl)},
                "validation_reconstruction": float((validation - self.network.decode(held_out)).square().mean()),
                "active_units": float((mean.var(dim=0) > settings.active_unit_variance).sum()),
            }
        self.train()
        return figures

    def start_from(self, weights: Weights, settings: EncoderSettings, generator: torch.Generator) -> None:
        """Take over the previous model's weights, shrunk and perturbed; buffers and sigma as they are."""
        trained = {name for name, _ in self.network.named_parameters()}
        with torch.no_grad():
            for name, fresh in self.network.state_dict().items():
                kept = torch.from_numpy(weights[name].copy())
                if name in trained:
                    deviation = float(fresh.std()) if fresh.numel() > 1 else 0.0
                    kept = settings.shrink * kept + settings.perturb * deviation * torch.randn(
                        fresh.shape, generator=generator
                    )
                fresh.copy_(kept)
            self.log_sigma.copy_(torch.from_numpy(weights[SIGMA].copy()))
            if self.head is not None:
                for name, fresh in self.head.state_dict().items():
                    fresh.copy_(torch.from_numpy(weights[f"{HEAD}.{name}"].copy()))

    def weights(self) -> Weights:
        """Every array of the network by its name in torch, sigma at or above its floor, and those of the head."""
        arrays = {name: value.detach().numpy().copy() for name, value in self.network.state_dict().items()}
        sigma = np.maximum(self.log_sigma.detach().numpy(), np.float32(SMALLEST_LOG_SIGMA))
        head = {} if self.head is None else self.head.state_dict()
        return arrays | {SIGMA: sigma} | {f"{HEAD}.{name}": value.numpy().copy() for name, value in head.items()}


def squared_miss(foretold: torch.Tensor, ahead: torch.Tensor) -> torch.Tensor:
    """Mean squared error a session (), added up over instruments, of the sessions that have something ahead (B, N)."""
    known = torch.isfinite(ahead)
    missed = torch.where(known, foretold - ahead, torch.zeros(())).square().sum(dim=1)
    return missed.sum() / known.any(dim=1).sum().clamp(min=1)


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL divergence of each latent from a standard normal, (L,), nats a session."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)


def adam(model: Variational, rate: float) -> torch.optim.Adam:
    """Torch's Adam in one fused kernel a step."""
    return torch.optim.Adam(model.parameters(), lr=rate, fused=True)
