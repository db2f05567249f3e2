"""Fit an encoder of any class with torch: from scratch, or from the previous partition's weights.

One thread, an explicit generator and tensors instead of a data loader: the same inputs give the same bits, and a
daily fine-tune takes a fraction of a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.components import load_component
from regime_assets.library.determinism import deterministic
from regime_assets.library.encoders.fitted_encoder import NONE, SIGMA, FittedEncoder, Weights
from regime_assets.library.encoders.no_encoder import untrained_figures
from regime_assets.library.encoders.prediction import standardised
from regime_assets.library.encoders.scaling import EncoderError, fit_scaler, require_features, to_sequences
from regime_assets.library.encoders.settings import EncoderSettings, NoEncoderSettings

Array = NDArray[np.float64]
Roles = tuple[NDArray[np.bool_], NDArray[np.bool_]]  # (T,) held out, (T,) learned from


@dataclass(frozen=True)
class EncoderFit:
    """A fitted autoencoder and how it came about.

    Attributes:
        model: of the best epoch on the validation rows.
        curves: one row an epoch: epoch, loss, reconstruction (mean squared error of scaled features on training
            rows), kl (nats), kl_latent_{i}, validation_reconstruction, active_units; of one that predicts also
            foretold and validation_foretold (share of the variance of what lay ahead, on rows learned from and held
            out).
        figures: what a reader plots over partitions: reconstruction, validation_reconstruction, kl, active_units,
            kl_latent_{i}, sigma (mean learned), best_epoch, epochs, sessions, validation_sessions, finite (1 or 0) and,
            with a previous model, previous_validation_reconstruction and validation_ratio.
        warm_started: whether the previous model's weights were the start.
    """

    model: FittedEncoder
    curves: pd.DataFrame
    figures: dict[str, float]
    warm_started: bool


@dataclass(frozen=True)
class _Plan:
    """What differs between a full retrain and a warm start."""

    epochs: int
    warm_up_epochs: int
    learning_rate: float


def fit_encoder(
    features: pd.DataFrame,
    sample_weight: Array,
    use: str,
    settings: EncoderSettings,
    seed: int,
    previous: FittedEncoder | None,
    *,
    full_retrain: bool,
    ahead: Array | None = None,
) -> EncoderFit:
    """Fit the autoencoder to a window.

    Args:
        features: (T, F), index `session`, ascending.
        sample_weight: (T,) recency weights with mean 1; rows are drawn in proportion to them.
        use: the encoder's component.
        settings: its shape and training.
        seed: of every random draw.
        previous: the last accepted model; its weights and its scaler are the start unless `full_retrain`. One of
            another shape cannot be (`warm_start_obstacle`).
        full_retrain: start from fresh weights and a new scaler; `previous` then only sets the validation ratio.
        ahead: (T, N) what the head learns to foretell (`ahead_returns`); read where `settings.predicts`.

    Raises:
        EncoderError: too few sessions, unusable features, a warm start from a model of another shape, or nothing that
            could be foretold.
    """
    names = tuple(str(column) for column in features.columns)
    require_features(features, names)
    if len(features) < settings.fewest_sessions:
        raise EncoderError(f"{len(features)} sessions in the window, at least {settings.fewest_sessions} are needed")
    start = None if full_retrain else previous
    if start is not None and (obstacle := warm_start_obstacle(start, features, use, settings)):
        raise EncoderError(f"a warm start is not possible: {obstacle}")
    scaler = start.scaler if start is not None else fit_scaler(features, sample_weight, settings.clip)
    if isinstance(settings, NoEncoderSettings):
        model = FittedEncoder(NONE, settings, names, scaler, {SIGMA: np.zeros(len(names), np.float32)})
        curves, figures = untrained_figures(scaler.apply(features.to_numpy(dtype=np.float64)), settings)
        return EncoderFit(model, curves, figures, warm_started=start is not None)
    targets = _targets(ahead, sample_weight, settings)
    roles = validation_split(pd.DatetimeIndex(features.index), settings)
    sequences = to_sequences(scaler.apply(features.to_numpy(dtype=np.float64)), settings.sequence_length)
    plan = (
        _Plan(settings.epochs, settings.warm_up_epochs, settings.learning_rate)
        if start is None
        else _Plan(settings.fine_tune_epochs, 0, settings.fine_tune_learning_rate)
    )
    with deterministic(seed):
        weights, curves, best_epoch = _train(
            sequences, sample_weight, roles, use, settings, plan=plan, seed=seed, start=start, targets=targets
        )
    model = FittedEncoder(use, settings, names, scaler, weights)
    figures = _figures(model, curves, best_epoch, roles)
    if previous is not None and previous.feature_names == names:
        figures |= _compared_to(previous, model, features, roles[0])
    return EncoderFit(model, curves, figures, warm_started=start is not None)


def validation_split(sessions: pd.DatetimeIndex, settings: EncoderSettings) -> Roles:
    """Which sessions are held out and which are learned from; purged sessions are neither.

    Blocks are anchored to the calendar, not to the window, so that a session keeps its role in every refit. Where
    something is foretold, what lies ahead of a session that is learned from keeps apart from the blocks as well.

    Raises:
        EncoderError: the window has no session in one of the two roles.
    """
    days = (sessions - pd.Timestamp("1970-01-01")).days.to_numpy()
    held_out = (days // settings.validation_block_days) % settings.validation_period == 0
    reach = settings.purge_sessions + settings.sequence_length - 1 + settings.predicts
    near = np.convolve(held_out, np.ones(2 * reach + 1), mode="full")[reach : reach + len(days)] > 0.5
    learned = ~near
    if not held_out.any() or not learned.any():
        raise EncoderError(f"{len(days)} sessions leave nothing to learn from or to validate on")
    return held_out, learned


def warm_start_obstacle(previous: FittedEncoder, features: pd.DataFrame, use: str, settings: EncoderSettings) -> str:
    """Why the previous model's weights cannot be the start on these features; empty when they can."""
    if previous.use != use:
        return f"the encoder was {previous.use} and is {use}"
    names = tuple(str(column) for column in features.columns)
    if previous.feature_names != names:
        gone = [name for name in previous.feature_names if name not in names]
        new = [name for name in names if name not in previous.feature_names]
        changed = [f"without {', '.join(gone)}"] * bool(gone) + [f"with {', '.join(new)}"] * bool(new)
        return f"the features are now {' and '.join(changed) or 'in another order'}"
    for name in shape_of(settings):
        before, now = getattr(previous.settings, name, None), getattr(settings, name)
        if before != now:
            return f"{name} was {before} and is {now}"
    return ""


def shape_of(settings: EncoderSettings) -> tuple[str, ...]:
    """The settings that another shape of network or another scale of its inputs comes from.

    Besides the sequence, the latents and the clip those that a class adds to what all encoders have.
    """
    shared = {field.name for field in fields(EncoderSettings)}
    own = [field.name for field in fields(settings) if field.name not in shared]
    return ("sequence_length", "n_latents", "clip", "predicts", *own)


def _targets(ahead: Array | None, sample_weight: Array, settings: EncoderSettings) -> Array | None:
    if not settings.predicts:
        return None
    if ahead is None or not np.isfinite(ahead).any():
        raise EncoderError(
            f"the encoder predicts {settings.predicts} sessions and no return of a traded instrument is known"
        )
    return standardised(ahead, sample_weight)


def _train(
    sequences: Array,
    sample_weight: Array,
    roles: Roles,
    use: str,
    settings: EncoderSettings,
    *,
    plan: _Plan,
    seed: int,
    start: FittedEncoder | None,
    targets: Array | None,
) -> tuple[Weights, pd.DataFrame, int]:
    """The weights of the best epoch, the curves and that epoch's number."""
    import torch

    from regime_assets.library.encoders.variational import Variational, adam

    held_out, learned = roles
    generator = torch.Generator().manual_seed(seed)
    n_features = sequences.shape[2]
    network = load_component("encoders", use)(n_features, settings)
    head = None if targets is None else torch.nn.Linear(settings.n_latents, targets.shape[1])
    model = Variational(network, n_features, head)
    if start is not None:
        model.start_from(start.weights, settings, generator)
    optimizer = adam(model, plan.learning_rate)
    rows = torch.from_numpy(sequences[learned].astype(np.float32))
    validation = torch.from_numpy(sequences[held_out].astype(np.float32))
    ahead, validation_ahead = (
        (None, None)
        if targets is None
        else (torch.from_numpy(targets[role].astype(np.float32)) for role in (learned, held_out))
    )
    weights = torch.from_numpy(sample_weight[learned].astype(np.float32))
    steps = plan.epochs * settings.steps_per_epoch
    draws = torch.multinomial(weights, steps * settings.batch_size, replacement=True, generator=generator)
    batches = draws.view(steps, settings.batch_size)
    records: list[dict[str, float]] = []
    best: tuple[float, int, Weights] = (math.inf, 0, {})
    for epoch in range(1, plan.epochs + 1):
        pressure = settings.beta * min(1.0, epoch / (plan.warm_up_epochs + 1))
        total = torch.zeros(())
        for step in range((epoch - 1) * settings.steps_per_epoch, epoch * settings.steps_per_epoch):
            optimizer.param_groups[0]["lr"] = plan.learning_rate * (
                0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2
            )
            noise = torch.randn((settings.batch_size, settings.n_latents), generator=generator)
            optimizer.zero_grad()
            of_batch = None if ahead is None else ahead[batches[step]]
            bound = model.bound(rows[batches[step]], noise, pressure, settings, of_batch)
            bound.backward()
            optimizer.step()
            total += bound.detach()
        record = model.measure(rows, validation, settings)
        held_back = record["validation_reconstruction"]
        if ahead is not None and validation_ahead is not None:
            record |= {"foretold": model.foretold(rows, ahead)}
            record |= {"validation_foretold": model.foretold(validation, validation_ahead)}
            held_back -= record["validation_foretold"]
        records.append({"epoch": epoch, "loss": float(total) / settings.steps_per_epoch, **record})
        if epoch > plan.warm_up_epochs and held_back < best[0]:
            best = (held_back, epoch, model.weights())
    if not best[2]:  # every epoch diverged: hand the last weights to the rules that refuse them
        best = (math.inf, plan.epochs, model.weights())
    return best[2], pd.DataFrame(records), best[1]


def _figures(
    model: FittedEncoder, curves: pd.DataFrame, best_epoch: int, roles: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> dict[str, float]:
    held_out, learned = roles
    best = curves.loc[curves["epoch"] == best_epoch].iloc[0]
    finite = all(np.isfinite(array).all() for array in model.weights.values())
    return {
        **{str(name): float(value) for name, value in best.items() if name != "epoch"},
        "sigma": float(np.exp(model.weights[SIGMA].astype(np.float64)).mean()),
        "best_epoch": float(best_epoch),
        "epochs": float(len(curves)),
        "sessions": float(learned.sum()),
        "validation_sessions": float(held_out.sum()),
        "finite": float(finite and math.isfinite(best["reconstruction"])),
    }


def _compared_to(
    previous: FittedEncoder, model: FittedEncoder, features: pd.DataFrame, held_out: NDArray[np.bool_]
) -> dict[str, float]:
    """Validation errors of both models in the same units, the previous scaler's."""

    scaler = previous.scaler
    actual = scaler.apply(features.to_numpy(dtype=np.float64))

    def error(encoder: FittedEncoder) -> float:
        return float(np.square((scaler.apply(encoder.denoise(features)) - actual)[held_out]).mean())

    before = error(previous)
    return {"previous_validation_reconstruction": before, "validation_ratio": error(model) / before}


def assess_encoder(fit: EncoderFit, settings: EncoderSettings) -> tuple[RuleOutcome, ...]:
    """Whether the autoencoder has learned something and generalises.

    Rules: `active_units` (posterior collapse) and `finite_reconstruction` block; `validation_error_ratio` blocks
    when the previous model, on the same validation rows, was much better.
    """
    figures = fit.figures
    active, finite = figures["active_units"], figures["finite"]
    ratio = figures.get("validation_ratio")
    outcomes = [
        RuleOutcome(
            "active_units",
            active,
            f">= {settings.fewest_active_units}",
            active >= settings.fewest_active_units,
            blocking=True,
            detail="fewer is posterior collapse",
        ),
        RuleOutcome("finite_reconstruction", finite, "== 1", finite == 1.0, blocking=True),
    ]
    if ratio is not None:
        outcomes.append(
            RuleOutcome(
                "validation_error_ratio",
                ratio,
                f"<= {settings.largest_validation_ratio:g}",
                ratio <= settings.largest_validation_ratio,
                blocking=True,
                detail="validation reconstruction relative to the previous model on the same sessions",
            )
        )
    return tuple(outcomes)
