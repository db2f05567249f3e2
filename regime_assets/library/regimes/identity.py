"""A bound on what one refit may change, so that a regime is tomorrow what it was today.

A refit whose states differ from its predecessor's on too many sessions of the last year is moved back towards the
predecessor: means, covariances, weights and penalty on the line between the two, half as far each time, until enough
sessions agree. What is left of the way is not lost; the next refits start from there and go on. Where even the
predecessor's own regimes disagree, because the autoencoder below them changed, the predecessor stays as a whole.

This makes agreement between consecutive refits a property of the method and no evidence of a good model: how often the
bound acts, and how far a refit went, is shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.regimes.mixture import Mixture
from regime_assets.library.regimes.persistence import Persistence
from regime_assets.library.regimes.settings import IdentitySettings

Array = NDArray[np.float64]
COMPARED_SESSIONS = 252  # one year


@dataclass(frozen=True)
class Segmentation:
    """What turns coordinates into states."""

    mixture: Mixture
    persistence: Persistence

    def states(self, rows: Array) -> NDArray[np.int64]:
        """Filtered states (T,) of rows (T, D)."""
        return self.persistence.filter(self.mixture.log_likelihoods(rows)).states


@dataclass(frozen=True)
class Update:
    """What became of a refit.

    Attributes:
        segmentation: with the agreement that was asked for; None where the predecessor has to stay as a whole.
        step: share of the way from the predecessor's parameters to the fitted ones; 1 where the bound did not act.
    """

    segmentation: Segmentation | None
    step: float


def bounded_update(
    fitted: Segmentation,
    rows: Array,
    previous: Segmentation,
    previous_rows: Array,
    settings: IdentitySettings,
    *,
    exchanged: bool,
) -> Update:
    """The fitted regimes, or the farthest of the halved ways to them that keeps enough of the last year's states.

    Args:
        fitted: the refit's regimes.
        rows: (T, D) the window in the refit's coordinates.
        previous: the predecessor's regimes.
        previous_rows: (T, D) the same sessions in the predecessor's coordinates.
        settings: the bound.
        exchanged: whether regimes have exchanged their names. Half way between them they are the same regime, so that
            only the predecessor's parameters are tried.
    """
    before = previous.states(previous_rows)[-COMPARED_SESSIONS:]
    steps = (0.0,) if exchanged else (*(0.5**halved for halved in range(settings.halvings + 1)), 0.0)
    for step in steps:
        candidate = between(previous, fitted, step)
        if (candidate.states(rows)[-COMPARED_SESSIONS:] == before).mean() >= settings.floor:
            return Update(candidate, step)
    return Update(None, 0.0)


def between(previous: Segmentation, fitted: Segmentation, step: float) -> Segmentation:
    """Regimes on the way from the predecessor's (step 0) to the fitted ones (step 1)."""
    if step == 1.0:
        return fitted

    def mixed(start: Array, end: Array) -> Array:
        return start + step * (end - start)

    old, new = previous.mixture, fitted.mixture
    mixture = replace(
        new,
        means=mixed(old.means, new.means),
        covariances=mixed(old.covariances, new.covariances),
        weights=mixed(old.weights, new.weights),
    )
    penalty = previous.persistence.penalty ** (1 - step) * fitted.persistence.penalty**step
    return Segmentation(mixture, replace(fitted.persistence, penalty=penalty))
