"""The chain of one session: features → VAE → latents → regimes → policy, each from its last accepted ancestor.

The graph, the walk-forward, the first replay and the proofs all fit by these functions, so that a model that one of
them refuses is refused by the others too. What differs is the `ModelStore`: a lineage on the disk, or memory.

A model is fitted on the session's own models below it and starts from the newest accepted model of its own kind. A
model that breaks a blocking rule is kept with its reason and goes no further: what stands on it is not fitted for that
session, and later sessions start from the accepted ones before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import pandas as pd

from regime_assets.library.acceptance import RuleOutcome, accepted, refusal
from regime_assets.library.design import Design
from regime_assets.library.encoders.encoding import Encoder, Encoding, assess_encoding, axes_obstacle, encode_window
from regime_assets.library.encoders.prediction import ahead_returns
from regime_assets.library.encoders.training import (
    EncoderFit,
    assess_encoder,
    fit_encoder,
    validation_split,
    warm_start_obstacle,
)
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.model_kinds import KINDS, Kind
from regime_assets.library.policies.own_policy import OwnPolicyFit, fit_own
from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.settings import OwnPolicySettings, PolicySettings
from regime_assets.library.policies.training import PolicyFit, assess_policy, train_policy
from regime_assets.library.regimes.regime_model import (
    Infer,
    RegimeFit,
    RegimeModel,
    RegimePath,
    fit_regimes,
    observations,
    predecessor_obstacle,
)
from regime_assets.library.regimes.stability import assess_stability, compare_regimes
from regime_assets.library.trading.decided import weight_columns
from regime_assets.library.trading.portfolio import Portfolio
from regime_assets.library.trading.scoring import FILL_DELAY
from regime_assets.library.trading.tape import MarketTape
from regime_assets.library.universe.gate_settings import StabilitySettings

if TYPE_CHECKING:
    from regime_assets.library.encoders.fitted_encoder import FittedEncoder

SeedOf = Callable[[str], int]
"""The seed of one fit from the name of its asset."""

FitT = TypeVar("FitT")


class NotAcceptedError(Exception):
    """A session has no accepted model of a kind, so that nothing can stand on it; the message says why."""


@dataclass(frozen=True)
class Ancestor:
    """An accepted model of an earlier session.

    Attributes:
        session: the last session that it has seen.
        model: as `ModelStore` has it of its kind.
        sha256: its hash where it is stored; empty in memory.
    """

    session: date
    model: Any
    sha256: str = ""


@dataclass(frozen=True)
class Fitted(Generic[FitT]):
    """A fitted model with its verdict.

    Attributes:
        kind: which of the session's models.
        session: the last session that it has seen.
        fit: the model (`fit.model`) with its figures and, of some kinds, its curves.
        seed: of the fit.
        parent: what it started from; None when it began anew.
        outcomes: the rules that it was held against.
        training: what it was fitted on.
        path: what the regimes say of the window, for the kinds that have one.
        notes: what a reader must know of how it came about, such as an ancestor that could not be used.
    """

    kind: Kind
    session: date
    fit: FitT
    seed: int
    parent: Ancestor | None
    outcomes: tuple[RuleOutcome, ...]
    training: TrainingSet
    path: RegimePath | None = None
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether no blocking rule failed."""
        return accepted(self.outcomes)

    @property
    def refusal(self) -> str:
        """Why it is not accepted; empty when it is."""
        return refusal(self.outcomes)


class ModelStore(Protocol):
    """Where fitted models are kept, by kind: `FittedEncoder`, `Encoder`, `RegimeModel` and `Policy`."""

    def ancestor(self, kind: Kind, before: date) -> tuple[Ancestor | None, tuple[str, ...]]:
        """The newest accepted model of a session before, and what was passed over to find it, one note each."""
        ...

    def accepted(self, kind: Kind, session: date) -> Any:
        """The session's own model.

        Raises:
            NotAcceptedError: there is none, or it was not accepted.
        """
        ...

    def path(self, session: date) -> RegimePath:
        """What the session's own regimes say of its window.

        Raises:
            NotAcceptedError: as `accepted`.
        """
        ...

    def keep(self, fitted: Fitted[Any]) -> None:
        """Keep a model with its verdict."""
        ...


@dataclass(frozen=True)
class SessionFit:
    """One session's fits: what all of them share.

    Attributes:
        session: the last session that is seen.
        training: what is fitted on.
        design: every setting.
        models: where ancestors come from and models go to.
        seed_of: the seeds by asset.
        full_retrain: VAE and policy start from scratch; the regimes keep their identity (`fit_regimes`).
        stability: what a refit of the regimes may change.
        infer: what a model says of features; by a memory of a run, or anew.
    """

    session: date
    training: TrainingSet
    design: Design
    models: ModelStore
    seed_of: SeedOf
    full_retrain: bool
    stability: StabilitySettings
    infer: Infer = RegimeModel.infer


@dataclass(frozen=True)
class FittedModels:
    """The models that decide: what reads the regime, and what sets the exposure."""

    regimes: RegimeModel
    policy: Policy


def fit_model(kind: Kind, at: SessionFit) -> Fitted[Any]:
    """Fit one of the session's models and keep it.

    Raises:
        NotAcceptedError: what it stands on was not accepted.
    """
    fitted = _FITS[kind](at)
    at.models.keep(fitted)
    return fitted


def fit_session(at: SessionFit, *, keep_policy: bool = False) -> tuple[FittedModels | None, str]:
    """Fit all models of a session.

    Args:
        at: the session.
        keep_policy: leave the last accepted policy as it is, where there is one.

    Returns:
        The models that decide, and an empty text; or None and what was refused, with the reason.
    """
    kept, _ = at.models.ancestor("rl_policy", at.session) if keep_policy else (None, ())
    for kind in KINDS:
        if kind == "rl_policy" and kept is not None:
            return FittedModels(at.models.accepted("gmm", at.session), kept.model), ""
        fitted = fit_model(kind, at)
        if not fitted.accepted:
            return None, f"{kind} of {at.session} was not accepted: {fitted.refusal}"
    return FittedModels(at.models.accepted("gmm", at.session), at.models.accepted("rl_policy", at.session)), ""


def build_tape(
    training: TrainingSet,
    path: RegimePath,
    settings: PolicySettings | OwnPolicySettings,
    portfolio: Portfolio | None = None,
) -> MarketTape:
    """What a trading episode plays: the regimes' path beside the returns of the same sessions.

    A portfolio's sleeves are fitted here, on the window: they are those of the policy until its next refit.
    """
    returns = training.traded_returns.to_numpy(dtype="float64")
    base, sleeves = (training.base_weights, None) if portfolio is None else portfolio.fitted(returns, path.states)
    return MarketTape(
        observations=observations(path, training.features if settings.observes == "features" else None),
        rule_exposure=path.rule_exposure,
        returns=returns if training.cash is None else returns - training.cash[:, None],
        base_weights=base,
        sample_weight=training.sample_weight,
        sleeves=sleeves,
        charges=None if portfolio is None else portfolio.charges,
    )


def decide(
    models: FittedModels,
    features: pd.DataFrame,
    first: int,
    symbols: Sequence[str],
    infer: Infer = RegimeModel.infer,
) -> pd.DataFrame:
    """What the models decide on the sessions of rows [first, T), from those rows and earlier ones.

    Args:
        features: (T, F); the rows before `first` bring the regime filter and the policy's position up to date, as
            they do when a bundle is served.
        symbols: (N,) what is traded, in the order of the policy's base weights.
        infer: what a model says of features.

    Returns:
        Frame as `decisions`.
    """
    return decisions(models.policy, infer(models.regimes, features), features, first, symbols)


def decisions(
    policy: Policy, path: RegimePath, features: pd.DataFrame, first: int, symbols: Sequence[str]
) -> pd.DataFrame:
    """What a policy decides on the sessions of rows [first, T) of a path and the features (T, F) behind it.

    Returns:
        Frame with a row a session: regime, risk_off (posterior of the most turbulent regime), rule_exposure,
        policy_exposure, reconstruction_error, and the weights of both by instrument (`trading.decided`).
    """
    observed = observations(path, features if policy.reads_features else None)
    weights = policy.decide(observed, path.rule_exposure)[first:]
    rule = policy.action.weights(policy.action.at_rule(path.rule_exposure))[first:]
    return pd.DataFrame(
        {
            "regime": path.states[first:],
            "risk_off": path.posteriors[first:, -1],
            "rule_exposure": path.rule_exposure[first:],  # the regime's own measure, 0 to 1
            "policy_exposure": policy.action.exposure(weights),
            "reconstruction_error": path.reconstruction_error[first:],
            **weight_columns(rule, "rule", symbols),
            **weight_columns(weights, "policy", symbols),
        },
        index=path.sessions[first:],
    )


def _fit_vae(at: SessionFit) -> Fitted[EncoderFit]:
    use, settings, features = at.design.encoder.use, at.design.encoder_settings, at.training.features
    parent, notes = _parent(at, "vae", lambda model: warm_start_obstacle(model, features, use, settings))
    seed = at.seed_of("vae")
    returns = at.training.traded_returns.to_numpy(dtype="float64")
    fit = fit_encoder(
        features,
        at.training.sample_weight,
        use,
        settings,
        seed,
        previous=parent.model if parent else None,
        full_retrain=at.full_retrain,
        ahead=ahead_returns(returns, settings.predicts, FILL_DELAY) if settings.predicts else None,
    )
    used = parent if fit.warm_started else None
    return Fitted("vae", at.session, fit, seed, used, assess_encoder(fit, settings), at.training, notes=notes)


def _fit_latents(at: SessionFit) -> Fitted[Encoding]:
    vae: FittedEncoder = at.models.accepted("vae", at.session)
    parent, notes = _parent(at, "latents", lambda reference: axes_obstacle(reference, vae))
    fit = encode_window(vae, parent.model if parent else None, at.training.features)
    return Fitted("latents", at.session, fit, 0, parent, assess_encoding(fit), at.training, notes=notes)


def _fit_regimes(at: SessionFit) -> Fitted[RegimeFit]:
    encoder: Encoder = at.models.accepted("latents", at.session)
    use, settings = at.design.regimes.use, at.design.regime_settings

    def obstacle(model: RegimeModel) -> str:
        # A refit that is held back entirely serves its predecessor, autoencoder and all: it must be of this shape.
        encoder_use, encoder_settings = at.design.encoder.use, at.design.encoder_settings
        shape = warm_start_obstacle(model.vae, at.training.features, encoder_use, encoder_settings)
        return shape or predecessor_obstacle(model, use, settings)

    parent, notes = _parent(at, "gmm", obstacle)
    previous: RegimeModel | None = parent.model if parent else None
    seed = at.seed_of("gmm")
    fit = fit_regimes(
        encoder,
        at.training.features,
        at.training.market_returns.to_numpy(),
        at.training.sample_weight,
        use,
        settings,
        seed,
        previous,
        at.training.known_sessions,
    )
    path, stability = at.infer(fit.model, at.training.features), None
    if previous is not None:
        before = path if previous is fit.model else at.infer(previous, at.training.features)
        stability = compare_regimes(previous, fit.model, at.training.features, path, before)
    outcomes = assess_stability(fit, stability, at.stability)
    return Fitted("gmm", at.session, fit, seed, parent, outcomes, at.training, path, notes)


def _fit_policy(at: SessionFit) -> Fitted[PolicyFit] | Fitted[OwnPolicyFit]:
    path = at.models.path(at.session)
    parent, notes = at.models.ancestor("rl_policy", at.session)
    seed, settings = at.seed_of("rl_policy"), at.design.policy.settings
    tape = build_tape(at.training, path, settings, at.design.portfolio)
    if at.design.policy.own:
        own, judged = fit_own(at.design.policy.use, tape, settings, seed, parent.model if parent else None)
        started = parent if own.warm_started else None
        return Fitted("rl_policy", at.session, own, seed, started, judged, at.training, path, notes)
    encoder = at.design.encoder_settings
    unlearned = validation_split(at.training.sessions, encoder)[0] if encoder.predicts else None
    fit = train_policy(
        tape,
        settings,
        seed,
        parent.model if parent else None,
        full_retrain=at.full_retrain,
        evidence_from=unlearned,
    )
    if parent and not fit.warm_started and not at.full_retrain and settings.family in ("rollouts", "levels"):
        notes = (*notes, _without(at, "rl_policy", parent, fit.cold_reason))
    used, outcomes = parent if fit.warm_started else None, assess_policy(fit, tape, settings)
    return Fitted("rl_policy", at.session, fit, seed, used, outcomes, at.training, path, notes)


def _parent(at: SessionFit, kind: Kind, obstacle: Callable[[Any], str]) -> tuple[Ancestor | None, tuple[str, ...]]:
    """The ancestor to start from, unless something about it does not fit any more; then none, and a note why."""
    found, notes = at.models.ancestor(kind, at.session)
    if found is not None and (why := obstacle(found.model)):
        return None, (*notes, _without(at, kind, found, why))
    return found, notes


def _without(at: SessionFit, kind: Kind, found: Ancestor, why: str) -> str:
    return f"{kind} of {at.session} begins without a predecessor: that of {found.session} does not fit, {why}"


_FITS: dict[Kind, Callable[[SessionFit], Fitted[Any]]] = {
    "vae": _fit_vae,
    "latents": _fit_latents,
    "gmm": _fit_regimes,
    "rl_policy": _fit_policy,
}
