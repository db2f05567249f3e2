"""From features to regimes: encoder, alignment and regimes composed into one model that is served as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts, below, prefixed
from regime_assets.library.components import load_component
from regime_assets.library.encoders.alignment import Alignment
from regime_assets.library.encoders.encoding import Encoder, encode_window
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.regimes.identity import bounded_update
from regime_assets.library.regimes.segmentation import FittedRegimes, FitWindow, Regimes, describe
from regime_assets.library.regimes.settings import Coordinates, RegimeSettings

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
        rule_exposure: (T,) 1 in the calmest regime, 0 in the most turbulent, linear between; nearer to 1 by what a
            young model does not follow.
    """

    sessions: pd.DatetimeIndex
    names: tuple[str, ...]
    latents: Array
    posteriors: Array
    states: NDArray[np.int64]
    reconstruction_error: Array
    rule_exposure: Array

    def read_only(self) -> Self:
        """The same path, which no reader of it can change for the next one."""
        for array in (self.latents, self.posteriors, self.states, self.reconstruction_error, self.rule_exposure):
            array.flags.writeable = False
        return self


@dataclass(frozen=True)
class RegimeModel:
    """The model that reads the regime.

    Attributes:
        vae: the encoder.
        alignment: of its latents.
        use: the component that fitted the regimes, as the universe file names it.
        coordinates: what the regimes read.
        regimes: the fitted ones.
        followed: share of what the regimes say that the rule follows; below 1 while the line is young.
    """

    vae: FittedEncoder
    alignment: Alignment
    use: str
    coordinates: Coordinates
    regimes: Regimes
    followed: float = 1.0

    @property
    def encoder(self) -> Encoder:
        """The encoder with its alignment."""
        return Encoder(self.vae, self.alignment)

    @property
    def names(self) -> tuple[str, ...]:
        """(K,) of the regimes, calmest first."""
        return self.regimes.names

    def infer(self, features: pd.DataFrame) -> RegimePath:
        """The regimes of (T, F) features.

        The filter starts undecided at the first row: give it the sessions before those that matter (a window).
        """
        reading = self.vae.read(features)
        latents = self.alignment.apply(reading.latents)
        filtered = self.regimes.filter(reading.denoised if self.coordinates == "decoded" else latents)
        return RegimePath(
            sessions=pd.DatetimeIndex(features.index),
            names=self.names,
            latents=latents,
            posteriors=filtered.posteriors,
            states=filtered.states,
            reconstruction_error=reading.reconstruction_error,
            rule_exposure=1.0 - self.followed * (filtered.states / (len(self.names) - 1)),
        )

    def to_parts(self) -> Parts:
        """Encoder, alignment and regimes taken apart, each below its own name."""
        arrays: dict[str, NDArray[Any]] = {}
        document: dict[str, Any] = {"use": self.use, "coordinates": self.coordinates}
        for name in ("vae", "alignment", "regimes"):
            parts: Parts = getattr(self, name).to_parts()
            arrays |= prefixed(name, parts.arrays)
            document[name] = parts.document
        if self.followed < 1.0:
            document["followed"] = self.followed
        return Parts(arrays, document)

    def named_parts(self) -> Parts:
        """The regimes alone, with the component that reads them back: for where the encoder is stored beside them."""
        parts = self.regimes.to_parts()
        young = {"followed": self.followed} if self.followed < 1.0 else {}
        document = {"use": self.use, "coordinates": self.coordinates, "regimes": parts.document} | young
        return Parts(parts.arrays, document)

    @classmethod
    def from_named(cls, encoder: Encoder, parts: Parts) -> Self:
        """The model whose regimes `named_parts` took apart, on its encoder."""
        use = str(parts.document["use"])
        regimes = load_component("regimes", use).from_parts(Parts(parts.arrays, parts.document["regimes"]))
        followed = float(parts.document.get("followed", 1.0))
        return cls(encoder.vae, encoder.alignment, use, parts.document["coordinates"], regimes, followed)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The model that `to_parts` took apart."""

        def part(name: str) -> Parts:
            return Parts(below(name, parts.arrays), parts.document[name])

        encoder = Encoder(FittedEncoder.from_parts(part("vae")), Alignment.from_parts(part("alignment")))
        return cls.from_named(encoder, Parts(part("regimes").arrays, parts.document))


Infer = Callable[[RegimeModel, pd.DataFrame], RegimePath]
"""What says of features (T, F) what `RegimeModel.infer` says of them, perhaps from memory."""


def coordinates_of(encoder: Encoder, features: pd.DataFrame, coordinates: Coordinates) -> Array:
    """What the regimes read: denoised features (T, F) in their own units, or aligned latents (T, L)."""
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


@dataclass(frozen=True)
class RegimeFit:
    """A fitted regime model.

    Attributes:
        model: with the encoder that was given, or the predecessor as it was.
        fitted: what the component answered, before the bound on what a refit may change.
        figures: of the fit and of the model on the window (`describe`), the alignment's residual and, with a
            predecessor, update_step (share of the way to the fitted regimes that was gone) and predecessor_kept (1
            where nothing of the refit was taken).
    """

    model: RegimeModel
    fitted: FittedRegimes
    figures: dict[str, float]


def fit_regimes(
    encoder: Encoder | FittedEncoder,
    features: pd.DataFrame,
    market_returns: Array,
    sample_weight: Array,
    use: str,
    settings: RegimeSettings,
    seed: int,
    previous: RegimeModel | None,
    known_sessions: int | None = None,
) -> RegimeFit:
    """Fit regimes on what the encoder makes of a window, no farther from `previous` than is allowed.

    A full retrain is one of the encoder: also then the regimes begin at the predecessor's. Expectation maximisation
    from there takes few steps to what the data say, while a cold start may end elsewhere and costs the regimes' names.

    Args:
        encoder: the aligned encoder; one without its alignment is aligned to `previous` here.
        features: (T, F) of the window.
        market_returns: (T,) simple returns of the market on the same sessions.
        sample_weight: (T,) recency weights with mean 1.
        use: the component that fits the regimes.
        settings: its settings.
        seed: of what it draws.
        previous: the last accepted model: start of the regimes and of their identity; see `predecessor_obstacle`.
        known_sessions: of the line's history up to the window's end; None where its length says nothing.
    """
    if isinstance(encoder, FittedEncoder):
        reference = previous.encoder if previous else None
        encoder = Encoder(encoder, encode_window(encoder, reference, features).model)
    rows = coordinates_of(encoder, features, settings.coordinates)
    sessions = pd.DatetimeIndex(features.index)
    window = FitWindow(sessions, rows, market_returns, sample_weight, settings.sessions_per_year)
    before = previous.regimes if previous else None
    fitted: FittedRegimes = load_component("regimes", use).fit(window, settings, seed, before)
    model = RegimeModel(encoder.vae, encoder.alignment, use, settings.coordinates, fitted.regimes)
    bound: dict[str, float] = {}
    if previous is not None:
        previous_rows = coordinates_of(previous.encoder, features, previous.coordinates)
        update = bounded_update(
            fitted.regimes, rows, previous.regimes, previous_rows, settings.identity, exchanged=fitted.exchanged
        )
        if update.regimes is None:
            model, window = previous, replace(window, rows=previous_rows)
        else:
            model = replace(model, regimes=update.regimes)
        bound = {"update_step": update.step, "predecessor_kept": float(model is previous)}
    seen = describe(model.regimes, window)
    figures = seen | fitted.figures if model.regimes is fitted.regimes else fitted.figures | seen
    followed = followed_share(settings, known_sessions)
    if followed < 1.0:
        bound["followed"] = followed
    model = model if model.followed == followed else replace(model, followed=followed)
    return RegimeFit(model, fitted, figures | {"alignment_residual": encoder.alignment.residual} | bound)


def followed_share(settings: RegimeSettings, known_sessions: int | None) -> float:
    """What the rule of a line follows of its regimes: half up to `young_years`, all from a year later on.

    The year between lets a refreshed model differ little from yesterday's, as the gate demands.
    """
    if settings.young_years == 0.0 or known_sessions is None:
        return 1.0
    beyond = known_sessions / settings.sessions_per_year - settings.young_years
    return 0.5 + 0.5 * min(1.0, max(0.0, beyond))


def young_words(followed: float) -> str:
    """What a rule that follows its regimes by a share does, in words."""
    return (
        f"its rule follows the regimes by {followed:.0%} and holds the market with the rest, whatever they say "
        "(young_years of the regimes)"
    )


def predecessor_obstacle(previous: RegimeModel, use: str, settings: RegimeSettings) -> str:
    """Why regimes under these settings cannot begin at `previous`; empty when they can."""
    if previous.use != use:
        return f"its regimes are of {previous.use} and not of {use}"
    if len(previous.names) != settings.n_regimes:
        return f"it has {len(previous.names)} regimes and {settings.n_regimes} are asked for"
    if previous.coordinates != settings.coordinates:
        return f"its regimes lie in {previous.coordinates} coordinates and not in {settings.coordinates} ones"
    return ""
