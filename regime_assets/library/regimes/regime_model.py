"""From features to regimes: VAE, alignment, mixture and persistence composed into one model that is served as one.

Everything here that reads features is pure NumPy; `fit_regimes` fits what stands after the VAE.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts, below, prefixed
from regime_assets.library.encoders.alignment import Alignment
from regime_assets.library.encoders.encoding import Encoder, encode_window
from regime_assets.library.encoders.mlp_vae import Vae
from regime_assets.library.regimes.identity import Segmentation, bounded_update
from regime_assets.library.regimes.jump_regimes import fit_jump_regimes
from regime_assets.library.regimes.mixture import Mixture
from regime_assets.library.regimes.mixture_fitting import MixtureFit, fit_mixture, mixture_figures
from regime_assets.library.regimes.persistence import (
    SESSIONS_PER_YEAR,
    Filtered,
    Persistence,
    PersistenceFit,
    count_switches,
    fit_persistence,
    persistence_figures,
)
from regime_assets.library.regimes.settings import Coordinates, IdentitySettings, MixtureSettings, PersistenceSettings
from regime_assets.library.regimes.stability import Stability, assess_stability, compare_regimes
from regime_assets.library.universe.gate_settings import StabilitySettings

__all__ = [
    "RegimeFit",
    "RegimeModel",
    "RegimePath",
    "Stability",
    "StabilitySettings",
    "assess_stability",
    "compare_regimes",
    "coordinates_of",
    "fit_regimes",
    "observation_names",
    "observations",
    "predecessor_obstacle",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RegimePath:
    """What the model says of T sessions, each from that session and earlier ones.

    Attributes:
        sessions: (T,).
        names: (K,) of the regimes, calmest first.
        latents: (T, L) on the aligned axes.
        posteriors: (T, K) filtered.
        states: (T,) the most probable regime, 0 the calmest.
        reconstruction_error: (T,) of the VAE, mean squared in observation sigmas.
        rule_exposure: (T,) 1 in the calmest regime, 0 in the most turbulent, linear between.
    """

    sessions: pd.DatetimeIndex
    names: tuple[str, ...]
    latents: Array
    posteriors: Array
    states: NDArray[np.int64]
    reconstruction_error: Array
    rule_exposure: Array

    @property
    def switches_per_year(self) -> float:
        """How often the state changes."""
        return count_switches(self.states) * SESSIONS_PER_YEAR / len(self.states)


@dataclass(frozen=True)
class RegimeModel:
    """The model that reads the regime."""

    vae: Vae
    alignment: Alignment
    mixture: Mixture
    persistence: Persistence

    @property
    def encoder(self) -> Encoder:
        """The VAE with its alignment."""
        return Encoder(self.vae, self.alignment)

    def infer(self, features: pd.DataFrame) -> RegimePath:
        """The regimes of (T, F) features.

        The filter starts undecided at the first row: give it the sessions before those that matter (a window).
        """
        latents = self.encoder.encode(features)
        filtered = self._filter(features)
        return RegimePath(
            sessions=pd.DatetimeIndex(features.index),
            names=self.mixture.names,
            latents=latents,
            posteriors=filtered.posteriors,
            states=filtered.states,
            reconstruction_error=self.vae.reconstruction_error(features),
            rule_exposure=1.0 - filtered.states / (self.mixture.n_regimes - 1),
        )

    def to_parts(self) -> Parts:
        """All four models taken apart, each below its own name."""
        arrays: dict[str, NDArray[Any]] = {}
        document: dict[str, Any] = {}
        for name in ("vae", "alignment", "mixture", "persistence"):
            parts: Parts = getattr(self, name).to_parts()
            arrays |= prefixed(name, parts.arrays)
            document[name] = parts.document
        return Parts(arrays, document)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The model that `to_parts` took apart."""

        def part(name: str) -> Parts:
            return Parts(below(name, parts.arrays), parts.document[name])

        return cls(
            Vae.from_parts(part("vae")),
            Alignment.from_parts(part("alignment")),
            Mixture.from_parts(part("mixture")),
            Persistence.from_parts(part("persistence")),
        )

    def _filter(self, features: pd.DataFrame) -> Filtered:
        rows = coordinates_of(self.encoder, features, self.mixture.coordinates)
        return self.persistence.filter(self.mixture.log_likelihoods(rows))


def coordinates_of(encoder: Encoder, features: pd.DataFrame, coordinates: Coordinates) -> Array:
    """What the mixture reads: denoised features (T, F) in their own units, or aligned latents (T, L)."""
    return encoder.vae.denoise(features) if coordinates == "decoded" else encoder.encode(features)


def observations(path: RegimePath, features: pd.DataFrame | None = None) -> NDArray[np.float32]:
    """What a policy sees of each session, (T, L + K + 1): latents, posteriors, the rule's exposure.

    Args:
        path: of the regimes.
        features: (T, F) that the path was inferred from, for a policy that reads them too; behind the other columns.
    """
    seen = [path.latents, path.posteriors, path.rule_exposure]
    if features is not None:
        seen.append(features.to_numpy(dtype=np.float64))
    return np.column_stack(seen).astype(np.float32)


def observation_names(path: RegimePath) -> tuple[str, ...]:
    """Names of the columns of `observations`."""
    latents = (f"z{i}" for i in range(path.latents.shape[1]))
    return (*latents, *(f"probability_{name}" for name in path.names), "rule_exposure")


@dataclass(frozen=True)
class RegimeFit:
    """A fitted regime model.

    Attributes:
        model: with the VAE that was given, or the predecessor as it was.
        mixture, persistence: the fits of these parts, before the bound on what a refit may change.
        figures: of both, together with the alignment's residual and, with a predecessor, update_step (share of the way
            to the fitted regimes that was gone) and predecessor_kept (1 where nothing of the refit was taken).
    """

    model: RegimeModel
    mixture: MixtureFit
    persistence: PersistenceFit
    figures: dict[str, float]


def fit_regimes(
    encoder: Encoder | Vae,
    features: pd.DataFrame,
    market_returns: Array,
    sample_weight: Array,
    mixture_settings: MixtureSettings,
    persistence_settings: PersistenceSettings,
    seed: int,
    previous: RegimeModel | None,
    identity_settings: IdentitySettings,
) -> RegimeFit:
    """Fit mixture and persistence on what the encoder makes of a window, no farther from `previous` than is allowed.

    A full retrain is one of the autoencoder: also then the regimes begin at the predecessor's. Expectation maximisation
    from there takes few steps to what the data say, while a cold start may end elsewhere and costs the regimes' names.

    Args:
        encoder: the aligned VAE; a VAE alone is aligned to `previous` here.
        features: (T, F) of the window.
        market_returns: (T,) simple returns of the market on the same sessions.
        sample_weight: (T,) recency weights with mean 1.
        mixture_settings, persistence_settings: see there.
        seed: of the mixture's starts.
        previous: the last accepted model: start of the mixture, identity of the regimes, penalty of a switch.
        identity_settings: bound on what changes between `previous` and the result.
    """
    if isinstance(encoder, Vae):
        reference = previous.encoder if previous else None
        encoder = Encoder(encoder, encode_window(encoder, reference, features).model)
    rows = coordinates_of(encoder, features, mixture_settings.coordinates)
    sessions = pd.DatetimeIndex(features.index)
    if mixture_settings.mode == "jump":
        mixture, persistence = fit_jump_regimes(
            rows,
            market_returns,
            sample_weight,
            mixture_settings,
            persistence_settings,
            previous=(previous.mixture, previous.persistence) if previous else None,
        )
    else:
        mixture = fit_mixture(
            rows,
            market_returns,
            sample_weight,
            mixture_settings,
            seed,
            previous=previous.mixture if previous else None,
            new_rows=_unseen(sessions, previous.mixture.fitted_through) if previous else None,
        )
        persistence = fit_persistence(
            mixture.model.log_likelihoods(rows), persistence_settings, previous.persistence if previous else None
        )
    mixture = replace(mixture, model=replace(mixture.model, fitted_through=f"{sessions[-1]:%Y-%m-%d}"))
    model = RegimeModel(encoder.vae, encoder.alignment, mixture.model, persistence.model)
    figures = mixture.figures | persistence.figures | {"alignment_residual": encoder.alignment.residual}
    if previous is not None:
        update = bounded_update(
            Segmentation(mixture.model, persistence.model),
            rows,
            Segmentation(previous.mixture, previous.persistence),
            coordinates_of(previous.encoder, features, previous.mixture.coordinates),
            identity_settings,
            exchanged=mixture.figures["relabelled"] == 1.0,
        )
        if update.segmentation is None:
            model, rows = previous, coordinates_of(previous.encoder, features, previous.mixture.coordinates)
        else:
            model = replace(model, mixture=update.segmentation.mixture, persistence=update.segmentation.persistence)
        if update.step < 1.0:
            figures |= mixture_figures(model.mixture, rows, market_returns, sample_weight)
            figures |= persistence_figures(model.persistence, model.mixture.log_likelihoods(rows))
        figures |= {"update_step": update.step, "predecessor_kept": float(model is previous)}
    return RegimeFit(model, mixture, persistence, figures)


def predecessor_obstacle(previous: RegimeModel, settings: MixtureSettings) -> str:
    """Why regimes under these settings cannot begin at `previous`; empty when they can."""
    mixture = previous.mixture
    if mixture.n_regimes != settings.n_regimes:
        return f"it has {mixture.n_regimes} regimes and {settings.n_regimes} are asked for"
    if mixture.coordinates != settings.coordinates:
        return f"its regimes lie in {mixture.coordinates} coordinates and not in {settings.coordinates} ones"
    return ""


def _unseen(sessions: pd.DatetimeIndex, fitted_through: str) -> int:
    return int((sessions > pd.Timestamp(fitted_through)).sum())
