"""The autoencoder's parameters and loss in torch; used while it is fitted and nowhere else."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from regime_assets.library.models.vae import Vae, VaeSettings, Weights

if TYPE_CHECKING:
    import torch

SMALLEST_LOG_SIGMA = math.log(0.05)  # scaled features are never explained to better than a twentieth


def start_network(
    n_features: int, settings: VaeSettings, previous: Vae | None, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Parameters by name: fresh, or the previous model's shrunk and perturbed."""
    import torch

    wide = n_features * settings.sequence_length
    encoder = (wide, *settings.hidden, 2 * settings.n_latents)
    decoder = (settings.n_latents, *reversed(settings.hidden), wide)
    network: dict[str, torch.Tensor] = {"log_sigma": torch.zeros(n_features)}
    for name, widths in (("encoder", encoder), ("decoder", decoder)):
        for layer, (inputs, outputs) in enumerate(pairwise(widths)):
            reach = 1.0 / math.sqrt(inputs)
            for kind, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
                network[f"{name}_{layer}_{kind}"] = (torch.rand(shape, generator=generator) * 2 - 1) * reach
    if previous is not None:
        for key, fresh in network.items():
            kept = torch.from_numpy(previous.weights[key].copy())
            # The observation sigma is no direction in function space: it is carried over as it is.
            noise = torch.randn(fresh.shape, generator=generator) * float(fresh.std())
            network[key] = kept if key == "log_sigma" else settings.shrink * kept + settings.perturb * noise
    for parameter in network.values():
        parameter.requires_grad_(True)
    return network


def _run(network: dict[str, torch.Tensor], name: str, inputs: torch.Tensor, layers: int) -> torch.Tensor:
    from torch.nn.functional import linear, silu

    activations = inputs
    for layer in range(layers):
        activations = linear(activations, network[f"{name}_{layer}_weight"], network[f"{name}_{layer}_bias"])
        if layer < layers - 1:
            activations = silu(activations)
    return activations


def negative_bound(
    network: dict[str, torch.Tensor],
    batch: torch.Tensor,
    pressure: float,
    settings: VaeSettings,
    generator: torch.Generator,
) -> torch.Tensor:
    """Negative evidence bound: Gaussian error of one session's features, averaged over the sequence, plus KL."""
    import torch

    layers = len(settings.hidden) + 1
    mean, log_variance = _run(network, "encoder", batch, layers).chunk(2, dim=1)
    log_variance = log_variance.clamp(-8.0, 4.0)
    noise = torch.randn(mean.shape, generator=generator)
    decoded = _run(network, "decoder", mean + torch.exp(0.5 * log_variance) * noise, layers)
    log_sigma = network["log_sigma"].clamp(min=SMALLEST_LOG_SIGMA)
    squared = (batch - decoded).square().view(len(batch), settings.sequence_length, -1).mean(dim=(0, 1))
    error = (0.5 * squared * torch.exp(-2 * log_sigma) + log_sigma).sum()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)
    return error + pressure * kl.clamp(min=settings.free_bits).sum()


def measure(
    network: dict[str, torch.Tensor], rows: torch.Tensor, validation: torch.Tensor, settings: VaeSettings
) -> dict[str, float]:
    """Errors of the mean reconstruction (no sampling), KL and active units."""
    import torch

    layers = len(settings.hidden) + 1

    def reconstruction(inputs: torch.Tensor, mean: torch.Tensor) -> float:
        return float((inputs - _run(network, "decoder", mean, layers)).square().mean())

    with torch.no_grad():
        mean, log_variance = _run(network, "encoder", rows, layers).chunk(2, dim=1)
        log_variance = log_variance.clamp(-8.0, 4.0)
        held_out_mean = _run(network, "encoder", validation, layers)[:, : settings.n_latents]
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)
        return {
            "reconstruction": reconstruction(rows, mean),
            "kl": float(kl.sum()),
            **{f"kl_latent_{i}": float(value) for i, value in enumerate(kl)},
            "validation_reconstruction": reconstruction(validation, held_out_mean),
            "active_units": float((mean.var(dim=0) > settings.active_unit_variance).sum()),
        }


def as_arrays(network: dict[str, torch.Tensor]) -> Weights:
    """The parameters as NumPy arrays, sigma at or above its floor."""
    arrays = {name: parameter.detach().numpy().copy() for name, parameter in network.items()}
    return arrays | {"log_sigma": np.maximum(arrays["log_sigma"], np.float32(SMALLEST_LOG_SIGMA))}
