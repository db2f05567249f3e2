"""Refitting one model of one session from its last accepted ancestor, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Generic, TypeVar

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.cadence import full_retrain_due
from regime_assets.library.determinism import derive_seed
from regime_assets.library.encoders import encoding
from regime_assets.library.encoders.alignment import Alignment
from regime_assets.library.encoders.encoding import Encoder, Encoding, assess_encoding
from regime_assets.library.encoders.mlp_vae import Vae
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.policies.policy import Policy
from regime_assets.library.production.code_version import code_version
from regime_assets.library.production.lineage import Lineage, ModelRecord
from regime_assets.library.recipe import FittedModels, build_tape
from regime_assets.library.regimes.regime_model import RegimeFit, RegimeModel, RegimePath, fit_regimes
from regime_assets.library.regimes.settings import MixtureSettings
from regime_assets.library.regimes.stability import assess_stability, compare_regimes
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace

if TYPE_CHECKING:
    from regime_assets.library.encoders.mlp_vae_training import VaeFit
    from regime_assets.library.policies.training import PolicyFit

FitT = TypeVar("FitT")


@dataclass(frozen=True)
class Refit(Generic[FitT]):
    """A refitted model, not stored yet.

    Attributes:
        fit: the model with its curves and figures.
        record: what is stored about it; hash and verdict are filled in when it is.
        outcomes: the rules that it was held against.
        training: what it was fitted on.
        path: what the regimes of the same session say of the window, for the models that have one.
    """

    fit: FitT
    record: ModelRecord
    outcomes: tuple[RuleOutcome, ...]
    training: TrainingSet
    path: RegimePath | None = None


def refit_vae(workspace: Workspace, horizon: Horizon, session: date, *, full_retrain: bool) -> Refit[VaeFit]:
    """Fit the VAE of one session."""
    from regime_assets.library.encoders.mlp_vae_training import assess_vae, fit_vae

    lineage, training = workspace.lineage(horizon), workspace.training_set(horizon, session)
    parent = lineage.latest_accepted("vae", before=session)
    previous = Vae.from_parts(lineage.load(parent)) if parent else None
    full = full_retrain or _full_retrain_due(workspace, horizon, session)
    seed = _seed(workspace, horizon, session, "vae")
    settings = workspace.design.vae
    fit = fit_vae(training.features, training.sample_weight, settings, seed, previous=previous, full_retrain=full)
    record = _describe("vae", session, seed, training, parent if fit.warm_started else None, fit.figures)
    return Refit(fit, record, assess_vae(fit, settings), training)


def encode_window(workspace: Workspace, horizon: Horizon, session: date) -> Refit[Encoding]:
    """Encode the window with the session's VAE, on the axes of the last accepted latents."""
    lineage, training = workspace.lineage(horizon), workspace.training_set(horizon, session)
    vae = Vae.from_parts(lineage.load(lineage.require("vae", session)))
    parent = lineage.latest_accepted("latents", before=session)
    reference = load_encoder(lineage, parent.session) if parent else None
    fit = encoding.encode_window(vae, reference, training.features)
    record = _describe("latents", session, 0, training, parent, fit.figures)
    return Refit(fit, record, assess_encoding(fit), training)


def refit_regimes(workspace: Workspace, horizon: Horizon, session: date, *, full_retrain: bool) -> Refit[RegimeFit]:
    """Fit mixture and persistence of one session from the last accepted ones, and compare the two.

    Regimes keep their identity also when the VAE below was retrained in full, see `fit_regimes`. A full retrain to
    another number of regimes or to other coordinates has nothing to keep and begins anew.
    """
    lineage, training = workspace.lineage(horizon), workspace.training_set(horizon, session)
    lineage.require("latents", session)
    parent = lineage.latest_accepted("gmm", before=session)
    previous = load_regimes(lineage, parent.session) if parent else None
    full = full_retrain or _full_retrain_due(workspace, horizon, session)
    if full and previous is not None and not _same_kind(previous, workspace.design.mixture):
        parent = previous = None
    seed = _seed(workspace, horizon, session, "gmm")
    fit = fit_regimes(
        load_encoder(lineage, session),
        training.features,
        training.market_returns.to_numpy(),
        training.sample_weight,
        workspace.design.mixture,
        workspace.design.persistence,
        seed,
        previous,
        workspace.design.identity,
    )
    stability = compare_regimes(previous, fit.model, training.features) if previous else None
    record = _describe("gmm", session, seed, training, parent, fit.figures)
    outcomes = assess_stability(fit, stability, workspace.universe.stability)
    return Refit(fit, record, outcomes, training, fit.model.infer(training.features))


def _same_kind(previous: RegimeModel, settings: MixtureSettings) -> bool:
    mixture = previous.mixture
    return (mixture.n_regimes, mixture.coordinates) == (settings.n_regimes, settings.coordinates)


def refit_policy(workspace: Workspace, horizon: Horizon, session: date, *, full_retrain: bool) -> Refit[PolicyFit]:
    """Continue training the policy on the session's regimes."""
    from regime_assets.library.policies.training import assess_policy, train_policy

    lineage, training = workspace.lineage(horizon), workspace.training_set(horizon, session)
    lineage.require("gmm", session)
    parent = lineage.latest_accepted("rl_policy", before=session)
    full = full_retrain or _full_retrain_due(workspace, horizon, session)
    previous = Policy.from_parts(lineage.load(parent)) if parent else None
    seed = _seed(workspace, horizon, session, "rl_policy")
    path = load_regimes(lineage, session).infer(training.features)
    tape = build_tape(training, path)
    fit = train_policy(tape, workspace.design.policy, seed, previous, full_retrain=full)
    record = _describe("rl_policy", session, seed, training, parent if fit.warm_started else None, fit.figures)
    return Refit(fit, record, assess_policy(fit, tape, workspace.design.policy), training, path)


def load_encoder(lineage: Lineage, session: date) -> Encoder:
    """The accepted VAE of a session with its alignment."""
    vae = Vae.from_parts(lineage.load(lineage.require("vae", session)))
    return Encoder(vae, Alignment.from_parts(lineage.load(lineage.require("latents", session))))


def load_regimes(lineage: Lineage, session: date) -> RegimeModel:
    """The accepted regime model of a session."""
    return RegimeModel.from_parts(lineage.load(lineage.require("gmm", session)))


def load_models(lineage: Lineage, session: date) -> FittedModels:
    """Everything of a session that decides."""
    policy = Policy.from_parts(lineage.load(lineage.require("rl_policy", session)))
    return FittedModels(load_regimes(lineage, session), policy)


def seed_of(workspace: Workspace, horizon: Horizon, session: date) -> Callable[[str], int]:
    """The seeds of one session's fits, by asset."""
    return lambda asset: _seed(workspace, horizon, session, asset)


def _full_retrain_due(workspace: Workspace, horizon: Horizon, session: date) -> bool:
    refit = workspace.universe.refit
    return full_retrain_due(refit.full_retrain, session, workspace.calendar, refit.every.of(horizon))


def _seed(workspace: Workspace, horizon: Horizon, session: date, asset: str) -> int:
    return derive_seed(workspace.universe.name, horizon, session.isoformat(), asset)


def _describe(
    kind: str,
    session: date,
    seed: int,
    training: TrainingSet,
    parent: ModelRecord | None,
    figures: dict[str, float],
) -> ModelRecord:
    return ModelRecord(
        kind=kind,
        session=session,
        sha256="",
        parent=parent.sha256 if parent else "",
        warm_started=parent is not None,
        seed=seed,
        data_hash=training.data_hash,
        code_version=code_version(),
        figures=figures,
        accepted=False,
        refusal="",
    )
