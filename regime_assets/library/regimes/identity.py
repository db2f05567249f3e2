"""A bound on what one refit may change, so that a regime is tomorrow what it was today.

A refit whose states differ from its predecessor's on too many sessions of the last year is moved back towards the
predecessor: means, covariances, weights and penalty on the line between the two, half as far each time, until enough
sessions agree. What is left of the way is not lost; the next refits start from there and go on. Regimes that cannot be
moved part of the way (`Blending`) are taken or left. Where even the predecessor's own regimes disagree, because the
encoder below them changed, the predecessor stays as a whole.

This makes agreement between consecutive refits a property of the method and no evidence of a good model: how often the
bound acts, and how far a refit went, is shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.regimes.segmentation import Blending, Regimes
from regime_assets.library.regimes.settings import IdentitySettings

Array = NDArray[np.float64]
COMPARED_SESSIONS = 252  # one year


@dataclass(frozen=True)
class Update:
    """What became of a refit.

    Attributes:
        regimes: with the agreement that was asked for; None where the predecessor has to stay as a whole.
        step: share of the way from the predecessor's parameters to the fitted ones; 1 where the bound did not act.
    """

    regimes: Regimes | None
    step: float


def bounded_update(
    fitted: Regimes,
    rows: Array,
    previous: Regimes,
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
    before = previous.filter(previous_rows).states[-COMPARED_SESSIONS:]
    halved = settings.halvings + 1 if isinstance(previous, Blending) else 1
    steps = (0.0,) if exchanged else (*(0.5**halving for halving in range(halved)), 0.0)
    for step in steps:
        candidate = _between(previous, fitted, step)
        if (candidate.filter(rows).states[-COMPARED_SESSIONS:] == before).mean() >= settings.floor:
            return Update(candidate, step)
    return Update(None, 0.0)


def _between(previous: Regimes, fitted: Regimes, step: float) -> Regimes:
    """Regimes on the way from the predecessor's (step 0) to the fitted ones (step 1)."""
    if step == 1.0:
        return fitted
    if isinstance(previous, Blending) and isinstance(fitted, type(previous)):
        return previous.toward(fitted, step)
    return previous
