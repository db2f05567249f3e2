"""One refit of all models on one training set: what an asset run does over several steps, in one call.

The walk-forward engine and the proofs use it; the assets call the same functions one step at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from regime_assets.library.design import Design
from regime_assets.library.encoders.mlp_vae_training import fit_vae
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.training import train_policy
from regime_assets.library.regimes.regime_model import RegimeModel, RegimePath, fit_regimes, observations
from regime_assets.library.trading.decided import weight_columns
from regime_assets.library.trading.tape import MarketTape

SeedOf = Callable[[str], int]
"""The seed of one fit from the name of its asset."""


@dataclass(frozen=True)
class FittedModels:
    """The models that decide: what reads the regime, and what sets the exposure."""

    regimes: RegimeModel
    policy: Policy


def build_tape(training: TrainingSet, path: RegimePath) -> MarketTape:
    """What a trading episode plays: the regimes' path beside the returns of the same sessions."""
    return MarketTape(
        observations=observations(path),
        rule_exposure=path.rule_exposure,
        returns=training.traded_returns.to_numpy(dtype="float64"),
        base_weights=training.base_weights,
        sample_weight=training.sample_weight,
    )


def refit(
    training: TrainingSet,
    previous: FittedModels | None,
    design: Design,
    seed_of: SeedOf,
    *,
    full_retrain: bool,
    keep_policy: bool = False,
) -> FittedModels:
    """Refit VAE, regimes and policy, each from its previous state where there is one.

    Args:
        training: what to fit on.
        previous: the models before.
        design: every setting.
        seed_of: the seeds by asset.
        full_retrain: VAE and policy start from scratch; the regimes keep their identity (`fit_regimes`).
        keep_policy: leave the previous policy as it was, where there is one.
    """
    before = previous.regimes if previous else None
    vae = fit_vae(
        training.features,
        training.sample_weight,
        design.vae,
        seed_of("vae"),
        previous=before.vae if before else None,
        full_retrain=full_retrain,
    )
    regimes = fit_regimes(
        vae.model,
        training.features,
        training.market_returns.to_numpy(),
        training.sample_weight,
        design.mixture,
        design.persistence,
        seed_of("gmm"),
        before,
        design.identity,
    )
    kept = previous.policy if previous else None
    if kept is not None and keep_policy:
        return FittedModels(regimes.model, kept)
    tape = build_tape(training, regimes.model.infer(training.features))
    policy = train_policy(tape, design.policy, seed_of("rl_policy"), kept, full_retrain=full_retrain)
    return FittedModels(regimes.model, policy.model)


def decide(models: FittedModels, features: pd.DataFrame, first: int, symbols: Sequence[str]) -> pd.DataFrame:
    """What the models decide on the sessions of rows [first, T), from those rows and earlier ones.

    Args:
        features: (T, F); the rows before `first` bring the regime filter and the policy's position up to date, as
            they do when a bundle is served.
        symbols: (N,) what is traded, in the order of the policy's base weights.

    Returns:
        Frame with a row a session: regime, risk_off (posterior of the most turbulent regime), rule_exposure,
        policy_exposure, reconstruction_error, and the weights of both by instrument (`trading.decided`).
    """
    path = models.regimes.infer(features)
    weights = models.policy.decide(observations(path), path.rule_exposure)[first:]
    action = models.policy.action
    rule = action.weights(action.at_rule(path.rule_exposure))[first:]
    return pd.DataFrame(
        {
            "regime": path.states[first:],
            "risk_off": path.posteriors[first:, -1],
            "rule_exposure": path.rule_exposure[first:],
            "policy_exposure": weights.sum(axis=1),
            "reconstruction_error": path.reconstruction_error[first:],
            **weight_columns(rule, "rule", symbols),
            **weight_columns(weights, "policy", symbols),
        },
        index=path.sessions[first:],
    )
