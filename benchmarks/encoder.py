"""What reads the sequence: the library's multi-layer perceptron beside a 1-D convolution and a GRU, one training loop.

    OMP_NUM_THREADS=1 python benchmarks/encoder.py [--years 2012 2018]

Prints a markdown table. Each encoder is trained from scratch on the long window up to each January, with the library's
settings, decoder, loss, batches and validation blocks, by torch's autograd, from two seeds. Held-out figures are those
of the purged validation sessions: the bound with one draw a row, and the mean squared error of scaled features.
Agreement is of the last year's regimes, fitted by the library to what each of the two seeds' networks decodes: what a
cold retrain would keep if nothing bounded it. Hidden widths are those of the settings, so parameters differ.
"""

from __future__ import annotations

import argparse
import math
import time
from itertools import pairwise

import numpy as np
import pandas as pd
import regimes as walked
import torch
from torch import nn

from regime_assets.library.encoders.mlp_vae import fit_scaler, to_sequences
from regime_assets.library.encoders.mlp_vae_training import validation_split
from regime_assets.library.encoders.settings import VaeSettings
from regime_assets.library.regimes.jump_regimes import fit_jump_regimes
from regime_assets.library.regimes.settings import MixtureSettings, PersistenceSettings

SETTINGS = VaeSettings()


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers with SiLU between."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class Convolution(nn.Module):
    """Two convolutions over the sessions, then a linear layer."""

    def __init__(self, features: int) -> None:
        super().__init__()
        first, second = SETTINGS.hidden
        self.features = features
        self.layers = nn.Sequential(nn.Conv1d(features, first, 3), nn.SiLU(), nn.Conv1d(first, second, 3), nn.SiLU())
        self.last = nn.Linear(second * (SETTINGS.sequence_length - 4), 2 * SETTINGS.n_latents)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        sequences = rows.view(len(rows), -1, self.features).transpose(1, 2)
        return self.last(self.layers(sequences).flatten(1))


class Recurrent(nn.Module):
    """A GRU, its last state, then a linear layer."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.layers = nn.GRU(features, SETTINGS.hidden[0], batch_first=True)
        self.last = nn.Linear(SETTINGS.hidden[0], 2 * SETTINGS.n_latents)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.last(self.layers(rows.view(len(rows), -1, self.features))[0][:, -1])


ENCODERS = {
    "perceptron (the library's)": lambda features: perceptron(
        features * SETTINGS.sequence_length, *SETTINGS.hidden, 2 * SETTINGS.n_latents
    ),
    "1-D convolution": Convolution,
    "GRU": Recurrent,
}


def bound(
    encoder: nn.Module, decoder: nn.Module, log_sigma: torch.Tensor, rows: torch.Tensor, pressure: float
) -> torch.Tensor:
    """The library's negative bound."""
    mean, log_variance = encoder(rows).chunk(2, dim=1)
    log_variance = log_variance.clamp(-8.0, 4.0)
    decoded = decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
    scale = log_sigma.clamp(min=math.log(0.05))
    squared = (rows - decoded).square().view(len(rows), SETTINGS.sequence_length, -1).mean(dim=(0, 1))
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)
    error = (0.5 * squared * torch.exp(-2 * scale) + scale).sum()
    return error + pressure * kl.clamp(min=SETTINGS.free_bits).sum()


def train(name: str, features: pd.DataFrame, weights: np.ndarray, seed: int) -> tuple[float, float, float, np.ndarray]:
    """Held-out bound and error, CPU seconds, and the decoded features (T, F)."""
    torch.manual_seed(seed)
    count = features.shape[1]
    scaler = fit_scaler(features, weights, SETTINGS.clip)
    sequences = to_sequences(scaler.apply(features.to_numpy()), SETTINGS.sequence_length)
    rows = torch.from_numpy(sequences.astype(np.float32))
    held_out, learned = validation_split(pd.DatetimeIndex(features.index), SETTINGS)
    known, shares = rows[torch.from_numpy(learned)], torch.from_numpy(weights[learned].astype(np.float32))
    encoder = ENCODERS[name](count)
    decoder = perceptron(SETTINGS.n_latents, *reversed(SETTINGS.hidden), rows.shape[1])
    log_sigma = nn.Parameter(torch.zeros(count))
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), log_sigma], SETTINGS.learning_rate)
    steps = SETTINGS.epochs * SETTINGS.steps_per_epoch
    begin = time.process_time()
    for step in range(steps):
        rate = SETTINGS.learning_rate * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)
        adam.param_groups[0]["lr"] = rate
        batch = known[torch.multinomial(shares, SETTINGS.batch_size, replacement=True)]
        pressure = min(1.0, (step // SETTINGS.steps_per_epoch + 1) / (SETTINGS.warm_up_epochs + 1))
        loss = bound(encoder, decoder, log_sigma, batch, pressure)
        adam.zero_grad()
        loss.backward()
        adam.step()
    cpu = time.process_time() - begin
    with torch.no_grad():
        unseen = rows[torch.from_numpy(held_out)]
        value = float(bound(encoder, decoder, log_sigma, unseen, 1.0))
        decoded = decoder(encoder(rows)[:, : SETTINGS.n_latents])
        error = float((decoded - rows)[torch.from_numpy(held_out)].square().mean())
    return value, error, cpu, decoded[:, -count:].numpy().astype(np.float64) * scaler.scale + scaler.centre


def states(decoded: np.ndarray, returns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The library's regimes of decoded features (T,)."""
    mixture, persistence = fit_jump_regimes(
        decoded, returns, weights, MixtureSettings(), PersistenceSettings(), previous=None
    )
    return persistence.model.filter(mixture.model.log_likelihoods(decoded)).states


def main() -> None:
    """Train and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("--years", type=int, nargs="+", default=[2012, 2018])
    years = arguments.parse_args().years
    torch.set_num_threads(1)
    market = walked.read_market()
    starts = [next(walked.segments(market, year, 300))[0] for year in years]
    print("| encoder | held-out bound, nats | held-out error | agreement of two seeds: mean (worst) | CPU a training |")
    print("|---|---|---|---|---|")
    for name in ENCODERS:
        bounds, errors, seconds, agreements = [], [], [], []
        for row in starts:
            features, returns, weights = market.window(row, "long")
            paths = []
            for seed in (1, 2):
                value, error, cpu, decoded = train(name, features, weights, seed)
                bounds.append(value)
                errors.append(error)
                seconds.append(cpu)
                paths.append(states(decoded, returns, weights)[-walked.COMPARED_SESSIONS :])
            agreements.append(float((paths[0] == paths[1]).mean()))
        agreed = f"{np.mean(agreements):.3f} ({min(agreements):.2f})"
        print(
            f"| {name} | {np.mean(bounds):.2f} | {np.mean(errors):.3f} | {agreed} | {np.median(seconds):.1f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
