"""Choices of the daily refit, walked forward on the sample index: how regimes are fitted, on what, and from where.

    OMP_NUM_THREADS=1 python benchmarks/refits.py [--first 2008] [--refit-every 63] [--horizon long] [--default-only]

Prints a markdown table. Every row walks the same sessions, as `regimes.py` does, with one thing changed: how the
mixture is refitted, whether it reads decoded features or aligned latents, and whether the autoencoder is fine-tuned
from its predecessor or trained from scratch at every refit (the control: what the warm start costs or brings).
The rows of one lineage of autoencoders share it. 'free agreement' is that of refits without the bound on what they may
change, 'residual' the share of the previous latents' variance that the alignment leaves unexplained.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, replace

import numpy as np
import regimes as walked

from regime_assets.library.determinism import derive_seed
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.encoders.settings import MlpVaeSettings
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.regimes.regime_model import RegimeModel, fit_regimes
from regime_assets.library.regimes.settings import (
    BufferSettings,
    IdentitySettings,
    JumpSettings,
    MixtureSettings,
    OnlineMixtureSettings,
    RegimeSettings,
)
from regime_assets.library.regimes.stability import compare_regimes
from regime_assets.library.universe import HORIZONS, Horizon

FREE = IdentitySettings(floor=0.0)


@dataclass
class Lineage:
    """The autoencoders of a walk: one a refit, with its held-out error and CPU seconds."""

    models: list[FittedEncoder] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Choice:
    """A row of the table."""

    name: str
    use: str
    settings: RegimeSettings
    scratch: bool = False


CHOICES = (
    Choice("the default: centres with a switching penalty, decoded, warm", "jump", JumpSettings()),
    Choice("expectation maximisation on the window", "mixture", MixtureSettings()),
    Choice("stepwise online EM", "online", OnlineMixtureSettings()),
    Choice("EM on a buffer of two years", "buffer", BufferSettings()),
    Choice("aligned latents instead of decoded features", "jump", JumpSettings(coordinates="latent")),
    Choice("autoencoder from scratch at every refit", "jump", JumpSettings(), scratch=True),
)


def fit_lineage(
    market: walked.Market, segments: list[tuple[int, int, bool]], horizon: Horizon, *, scratch: bool
) -> Lineage:
    """The autoencoders of all refits, fine-tuned in turn or each from scratch."""
    lineage = Lineage()
    for row, _, new_year in segments:
        features, _, weights = market.window(row, horizon)
        begin = time.process_time()
        before = lineage.models[-1] if lineage.models else None
        seed = derive_seed("benchmark", horizon, str(row))
        fit = fit_encoder(
            features, weights, "mlp_vae", MlpVaeSettings(), seed, before, full_retrain=scratch or new_year
        )
        lineage.cpu.append(time.process_time() - begin)
        lineage.models.append(fit.model)
        lineage.error.append(fit.figures["validation_reconstruction"])
    return lineage


def walk(
    market: walked.Market,
    segments: list[tuple[int, int, bool]],
    lineage: Lineage,
    horizon: Horizon,
    choice: Choice,
    identity: IdentitySettings,
) -> tuple[walked.Walk, list[float]]:
    """One choice walked; its residuals of the alignment."""
    result, residuals = walked.Walk(), list[float]()
    settings = replace(choice.settings, identity=identity)
    model: RegimeModel | None = None
    for (row, stop, _), vae in zip(segments, lineage.models, strict=True):
        features, returns, weights = market.window(row, horizon)
        begin = time.process_time()
        fit = fit_regimes(vae, features, returns, weights, choice.use, settings, row, model)
        result.cpu.append(time.process_time() - begin)
        result.steps.append(fit.figures.get("update_step", 1.0))
        if model is not None:
            result.agreement.append(compare_regimes(model, fit.model, features).agreement)
            residuals.append(fit.figures["alignment_residual"])
        model = fit.model
        seen = market.features.iloc[:stop]
        exposure = model.infer(seen).rule_exposure[row:]
        result.exposure.update(zip(seen.index[row:], exposure, strict=True))
    return result, residuals


def main() -> None:
    """Walk and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("--first", type=int, default=2008)
    arguments.add_argument("--refit-every", type=int, default=63)
    arguments.add_argument("--horizon", choices=HORIZONS, default="long")
    arguments.add_argument("--default-only", action="store_true", help="the first choice alone")
    chosen = arguments.parse_args()
    market = walked.read_market()
    segments = list(walked.segments(market, chosen.first, chosen.refit_every))
    choices = CHOICES[:1] if chosen.default_only else CHOICES
    needed = {choice.scratch for choice in choices}
    lineages = {scratch: fit_lineage(market, segments, chosen.horizon, scratch=scratch) for scratch in needed}
    print(
        f"S&P 500, {chosen.first} to 2022, {chosen.horizon} window, {len(segments)} refits, 10 bp one way, "
        "rule on/off\n"
    )
    print(
        "| choice | switches / year | agreement: mean (worst) | free agreement: mean (worst) | held back "
        "| residual: mean (worst) | held-out error | Sharpe | max drawdown | CPU: autoencoder, regimes |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for choice in choices:
        lineage = lineages[choice.scratch]
        bound, residuals = walk(market, segments, lineage, chosen.horizon, choice, IdentitySettings())
        free, _ = walk(market, segments, lineage, chosen.horizon, choice, FREE)
        figures = walked.summarise(walked.scored(bound, market))
        cells = (
            choice.name,
            f"{figures.switches_per_year or 0.0:.1f}",
            *(f"{np.mean(one.agreement):.3f} ({min(one.agreement):.2f})" for one in (bound, free)),
            f"{np.mean(np.array(bound.steps) < 1):.0%}",
            f"{np.mean(residuals):.3f} ({max(residuals):.2f})",
            f"{np.mean(lineage.error):.3f}",
            f"{figures.sharpe or 0.0:.2f}",
            f"{figures.max_drawdown or 0.0:.0%}",
            f"{np.median(lineage.cpu):.2f} s, {np.median(bound.cpu):.2f} s",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
