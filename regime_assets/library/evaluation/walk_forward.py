"""Refit dates march through history; every session is decided by the newest model that existed before its return.

A model refitted on sessions up to and including R decides the sessions from R to the one before the next refit. What
the decision of session s earns lies after s (`FILL_DELAY`), so no decision is scored on data that its model has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.design import Design
from regime_assets.library.market.window import Expanding, Rolling, window_weights
from regime_assets.library.models.determinism import derive_seed
from regime_assets.library.models.refit import FittedModels, decide, refit
from regime_assets.library.models.training_set import TrainingSet


class WalkForwardError(Exception):
    """The history does not hold what the walk-forward needs."""


@dataclass(frozen=True)
class WalkForwardSettings:
    """How history is replayed.

    Attributes:
        sessions: how many of the newest sessions are decided out of sample.
        refit_every: sessions between two refits.
        minimum_training: sessions that the first model is trained on at least.
    """

    sessions: int = 504
    refit_every: int = 63
    minimum_training: int = 200


def walk_forward(
    training: TrainingSet,
    shape: Rolling | Expanding,
    design: Design,
    settings: WalkForwardSettings,
    seed_name: tuple[str, ...],
    on_refit: Callable[[int, int, pd.Timestamp], None] | None = None,
) -> pd.DataFrame:
    """Decide the last `settings.sessions` sessions of `training`, each by a model fitted before.

    Args:
        training: history under any weights; each refit sees the part of it that `shape` selects as of its date.
        shape: rolling or expanding window.
        seed_name: what the seeds derive from, besides refit date and asset.
        on_refit: called with (number, total, refit session) before each refit, for progress.

    Returns:
        One row a session, index `session`: `decide`'s columns and `model_session`, the newest session that the
        deciding model has seen.

    Raises:
        WalkForwardError: fewer than `minimum_training` sessions precede the first decision.
    """
    total = len(training.sessions)
    start = total - min(settings.sessions, total - settings.minimum_training)
    if start >= total:
        raise WalkForwardError(f"{total} sessions of history, {settings.minimum_training} precede the first decision")
    refits = list(range(start, total, settings.refit_every))
    models: FittedModels | None = None
    segments: list[pd.DataFrame] = []
    for number, position in enumerate(refits, start=1):
        session = training.sessions[position]
        if on_refit:
            on_refit(number, len(refits), session)
        day = session.date().isoformat()
        first, weights = shape_rows(training.sessions[: position + 1], shape)
        models = refit(
            training.slice(first, position + 1, weights),
            models,
            design,
            lambda asset, day=day: derive_seed(*seed_name, day, asset),
            full_retrain=models is None,
        )
        stop = refits[number] if number < len(refits) else total
        decided = decide(models, training.features.iloc[first:stop], position - first)
        decided["model_session"] = session
        segments.append(decided)
    return pd.concat(segments).rename_axis("session")


def shape_rows(sessions: pd.DatetimeIndex, shape: Rolling | Expanding) -> tuple[int, NDArray[np.float64]]:
    """The first row inside the window that ends with the last of `sessions`, and the weights from there on."""
    first = 0
    if isinstance(shape, Rolling):
        after = sessions[-1] - pd.Timedelta(days=shape.calendar_days)
        first = int(sessions.searchsorted(after, side="right"))
    return first, window_weights(shape, len(sessions) - first)
