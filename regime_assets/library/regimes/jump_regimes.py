"""Regimes as a jump model sees them: a centre each and the penalty of a switch, fitted together.

The centres are the means of a path that may not switch at will, so that a border case of a single session moves them
less than it moves a mixture's components. As a mixture they are equally likely Gaussians that share the window's
variances: the differences of their log densities are those of the jump model's losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.determinism import single_threaded
from regime_assets.library.regimes.jump_model import JumpFit, fit_jump_model, online_states, spread_starts
from regime_assets.library.regimes.mixture import Mixture, regime_names
from regime_assets.library.regimes.mixture_fitting import (
    MixtureFit,
    Sample,
    identified,
    require_fittable,
    standardise,
)
from regime_assets.library.regimes.mixture_regimes import as_regimes
from regime_assets.library.regimes.persistence import (
    Persistence,
    PersistenceFit,
    count_switches,
    is_near_target,
    penalties,
    persistence_figures,
    target_distance,
)
from regime_assets.library.regimes.segmentation import FittedRegimes, FitWindow, Segmentation
from regime_assets.library.regimes.settings import JumpSettings

Array = NDArray[np.float64]


class JumpRegimes:
    """The component `jump`."""

    Settings: ClassVar = JumpSettings
    version: ClassVar[int] = 1
    from_parts = staticmethod(Segmentation.from_parts)

    @staticmethod
    def fit(window: FitWindow, settings: JumpSettings, seed: int, previous: Segmentation | None) -> FittedRegimes:  # noqa: ARG004 (nothing is drawn)
        """As `RegimeComponent`."""
        mixture, persistence = fit_jump_regimes(
            window.rows,
            window.market_returns,
            window.sample_weight,
            settings,
            previous=(previous.mixture, previous.persistence) if previous else None,
        )
        return as_regimes(mixture, persistence, window)


@dataclass(frozen=True)
class _Choice:
    """Centres under one penalty: how many online switches they make, and the smallest state's share of the path."""

    fit: JumpFit
    penalty: float
    switches: int
    smaller: float


def fit_jump_regimes(
    rows: Array,
    market_returns: Array,
    sample_weight: Array,
    settings: JumpSettings,
    *,
    previous: tuple[Mixture, Persistence] | None,
) -> tuple[MixtureFit, PersistenceFit]:
    """Fit centres and penalty to a window.

    The previous penalty stays while its online states switch about as often as wanted; otherwise every candidate is
    fitted and the one nearest to the target is taken, among those that leave both regimes enough sessions.

    Args:
        rows: (T, D) coordinates by ascending session.
        market_returns: (T,) of the same sessions.
        sample_weight: (T,) recency weights with mean 1; of the scale of the coordinates and of the regimes' risk.
        settings: the number of regimes, their floor and relabelling, and the target of switches.
        previous: the last accepted regimes in the same coordinates; a start, the penalty, and the regimes' identity.

    Raises:
        MixtureError: rows as in `fit_mixture`.
    """
    before, persistence = previous[0] if previous else None, settings.persistence
    require_fittable(rows, settings, before)
    with single_threaded():
        sample = standardise(rows, sample_weight)
        starts = [(before.means - sample.centre) / sample.scale] if before else []
        chosen = _warm(sample, starts, settings, previous[1].penalty) if previous else None
        kept = chosen is not None
        if chosen is None:
            starts += spread_starts(sample.rows, _risk(sample, market_returns), settings.n_regimes)
            chosen = _choose(sample, starts, settings)
        mixture = Mixture(
            names=regime_names(settings.n_regimes),
            means=chosen.fit.centres * sample.scale + sample.centre,
            covariances=np.stack([np.diag(np.square(sample.scale))] * settings.n_regimes),
            weights=np.full(settings.n_regimes, 1.0 / settings.n_regimes),
            coordinates=settings.coordinates,
        )
        value = -chosen.fit.loss / len(rows)
        fit = identified((mixture, 0, value), rows, market_returns, sample_weight, settings, previous=before)
        model = Persistence(chosen.penalty, persistence.evidence_weight, settings.n_regimes)
        figures = persistence_figures(model, fit.model.log_likelihoods(rows), settings.sessions_per_year)
        figures |= {"kept": float(kept)}
    cold = {"cold": float(before is None)}
    return MixtureFit(fit.model, fit.figures | cold, fit.permutation), PersistenceFit(model, figures)


def _warm(sample: Sample, starts: list[Array], settings: JumpSettings, penalty: float) -> _Choice | None:
    """The fit under the previous penalty, where it still does."""
    found = _fit(sample, starts, penalty)
    near = is_near_target(found.switches, len(sample.rows), settings.persistence, settings.sessions_per_year)
    return found if near and found.smaller >= settings.component_floor else None


def _choose(sample: Sample, starts: list[Array], settings: JumpSettings) -> _Choice:
    found = [_fit(sample, starts, float(penalty)) for penalty in penalties(settings.persistence)]
    enough = [one for one in found if one.smaller >= settings.component_floor]
    # Where no penalty leaves enough, the fullest one goes to the rule that refuses a starved regime.
    allowed = enough or [max(found, key=lambda one: one.smaller)]

    def distance(one: _Choice) -> float:
        return target_distance(one.switches, len(sample.rows), settings.persistence, settings.sessions_per_year)

    return min(allowed, key=distance)


def _fit(sample: Sample, starts: list[Array], penalty: float) -> _Choice:
    fit = fit_jump_model(sample.rows, penalty, starts)
    switches = count_switches(online_states(sample.rows, fit.centres, penalty))
    shares = np.bincount(fit.states, minlength=len(fit.centres)) / len(fit.states)
    return _Choice(fit, penalty, switches, float(shares.min()))


def _risk(sample: Sample, market_returns: Array) -> Array:
    """(T,) the coordinates' main direction, turned so that losses rise along it."""
    main = sample.rows @ np.linalg.eigh(np.atleast_2d(np.cov(sample.rows, rowvar=False)))[1][:, -1]
    losses = np.square(np.minimum(market_returns, 0.0))
    return main if np.cov(main, losses)[0, 1] >= 0 else -main
