"""The autoencoder's parameters, loss and gradient; used while it is fitted and nowhere else.

The gradient is written out. The network is so small that recording and walking a graph costs more than the arithmetic
does: on one core a step of 256 rows took 1.6 ms of CPU against 3.8 ms with torch's autograd and Adam. A test holds the
gradient against autograd's and a step against torch's Adam.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from regime_assets.library.encoders.mlp_vae import Vae, Weights
from regime_assets.library.encoders.settings import VaeSettings

if TYPE_CHECKING:
    import torch

    Named = dict[str, torch.Tensor]

SMALLEST_LOG_SIGMA = math.log(0.05)  # scaled features are never explained to better than a twentieth
LOG_VARIANCE_RANGE = (-8.0, 4.0)
DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015


def start_network(n_features: int, settings: VaeSettings, previous: Vae | None, generator: torch.Generator) -> Named:
    """Parameters by name: fresh, or the previous model's shrunk and perturbed."""
    import torch

    wide = n_features * settings.sequence_length
    encoder = (wide, *settings.hidden, 2 * settings.n_latents)
    decoder = (settings.n_latents, *reversed(settings.hidden), wide)
    network: Named = {"log_sigma": torch.zeros(n_features)}
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
    return network


class Trainer:
    """Parameters in one flat tensor with views by name, their gradient beside them, and Adam on both.

    Attributes:
        parameters: by name; views that `step` changes in place.
        gradient: by name, of the last `step`.
    """

    def __init__(self, network: Named, settings: VaeSettings) -> None:
        import torch

        self._settings = settings
        self._flat = torch.cat([parameter.flatten() for parameter in network.values()])
        self._slopes = torch.zeros_like(self._flat)
        self._mean, self._square = torch.zeros_like(self._flat), torch.zeros_like(self._flat)
        self._steps = 0
        shapes = {name: parameter.shape for name, parameter in network.items()}
        self.parameters = _views(self._flat, shapes)
        self.gradient = _views(self._slopes, shapes)

    def step(self, batch: torch.Tensor, noise: torch.Tensor, pressure: float, rate: float) -> float:
        """One step of Adam down the negative bound of a batch; the bound before the step."""
        import torch

        with torch.no_grad():
            value = bound_and_gradient(self.parameters, self.gradient, batch, noise, pressure, self._settings)
            self._steps += 1
            self._mean.lerp_(self._slopes, 1 - DECAY)
            self._square.mul_(SQUARE_DECAY).addcmul_(self._slopes, self._slopes, value=1 - SQUARE_DECAY)
            scale = self._square.sqrt().div_(math.sqrt(1 - SQUARE_DECAY**self._steps)).add_(EPSILON)
            self._flat.addcdiv_(self._mean, scale, value=-rate / (1 - DECAY**self._steps))
        return value


def bound_and_gradient(
    network: Named,
    gradient: Named,
    batch: torch.Tensor,
    noise: torch.Tensor,
    pressure: float,
    settings: VaeSettings,
) -> float:
    """Negative evidence bound: Gaussian error of one session's features, averaged over the sequence, plus KL.

    Args:
        network: parameters by name.
        gradient: tensors of the same names and shapes; overwritten.
        batch: (B, sequence_length * F) scaled sequences.
        noise: (B, L) standard normal draws.
        pressure: weight of the KL term.
        settings: architecture and free bits.
    """
    import torch

    rows, layers = len(batch), len(settings.hidden) + 1
    encoded = _forward(network, "encoder", batch, layers)
    mean, raw = encoded[-1].chunk(2, dim=1)
    log_variance = raw.clamp(*LOG_VARIANCE_RANGE)
    variance = log_variance.exp()
    shift = variance.sqrt() * noise
    decoded = _forward(network, "decoder", mean + shift, layers)
    difference = decoded[-1] - batch
    log_sigma = network["log_sigma"].clamp(min=SMALLEST_LOG_SIGMA)
    precision = torch.exp(-2 * log_sigma)
    squared = difference.square().mean(dim=0).view(settings.sequence_length, -1).mean(dim=0)
    kl = 0.5 * (mean.square() + variance - 1 - log_variance).mean(dim=0)
    value = (0.5 * squared * precision + log_sigma).sum() + pressure * kl.clamp(min=settings.free_bits).sum()

    torch.mul(1 - squared * precision, network["log_sigma"] >= SMALLEST_LOG_SIGMA, out=gradient["log_sigma"])
    share = precision.repeat(settings.sequence_length) / (rows * settings.sequence_length)
    latent = _backward(network, gradient, "decoder", decoded, difference.mul_(share), layers)
    assert latent is not None
    press = pressure * (kl >= settings.free_bits) / rows
    inside = (raw >= LOG_VARIANCE_RANGE[0]) & (raw <= LOG_VARIANCE_RANGE[1])
    spread = 0.5 * (latent * shift + press * (variance - 1)) * inside
    _backward(network, gradient, "encoder", encoded, torch.cat([latent + press * mean, spread], dim=1), layers)
    return float(value)


def _views(flat: torch.Tensor, shapes: dict[str, torch.Size]) -> Named:
    parts = flat.split([shape.numel() for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _forward(network: Named, name: str, inputs: torch.Tensor, layers: int) -> list[torch.Tensor]:
    """Inputs, then of each hidden layer its gate and its activations (SiLU), then the outputs."""
    import torch

    kept = [inputs]
    for layer in range(layers):
        weight, bias = network[f"{name}_{layer}_weight"], network[f"{name}_{layer}_bias"]
        activations = torch.addmm(bias, kept[-1], weight.T)
        if layer < layers - 1:
            gate = activations.sigmoid()
            kept += [gate, activations.mul_(gate)]
        else:
            kept.append(activations)
    return kept


def _backward(
    network: Named, gradient: Named, name: str, kept: list[torch.Tensor], slope: torch.Tensor, layers: int
) -> torch.Tensor | None:
    """Write the gradient of one network's parameters; the slope of its inputs, None for the encoder's."""
    import torch

    for layer in range(layers - 1, -1, -1):
        inputs = kept[2 * layer]
        torch.mm(slope.T, inputs, out=gradient[f"{name}_{layer}_weight"])
        torch.sum(slope, dim=0, out=gradient[f"{name}_{layer}_bias"])
        if layer == 0 and name == "encoder":
            return None
        slope = slope @ network[f"{name}_{layer}_weight"]
        if layer:
            gate = kept[2 * layer - 1]
            slope.mul_(gate + inputs * (1 - gate))
    return slope


def measure(network: Named, rows: torch.Tensor, validation: torch.Tensor, settings: VaeSettings) -> dict[str, float]:
    """Errors of the mean reconstruction (no sampling), KL and active units."""
    import torch

    layers = len(settings.hidden) + 1

    def reconstruction(inputs: torch.Tensor, mean: torch.Tensor) -> float:
        return float((inputs - _forward(network, "decoder", mean, layers)[-1]).square().mean())

    with torch.no_grad():
        mean, log_variance = _forward(network, "encoder", rows, layers)[-1].chunk(2, dim=1)
        log_variance = log_variance.clamp(*LOG_VARIANCE_RANGE)
        held_out_mean = _forward(network, "encoder", validation, layers)[-1][:, : settings.n_latents]
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)
        return {
            "reconstruction": reconstruction(rows, mean),
            "kl": float(kl.sum()),
            **{f"kl_latent_{i}": float(value) for i, value in enumerate(kl)},
            "validation_reconstruction": reconstruction(validation, held_out_mean),
            "active_units": float((mean.var(dim=0) > settings.active_unit_variance).sum()),
        }


def as_arrays(network: Named) -> Weights:
    """The parameters as NumPy arrays, sigma at or above its floor."""
    arrays = {name: parameter.numpy().copy() for name, parameter in network.items()}
    return arrays | {"log_sigma": np.maximum(arrays["log_sigma"], np.float32(SMALLEST_LOG_SIGMA))}
