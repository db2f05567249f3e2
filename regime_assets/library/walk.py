"""Refit dates march through history; every session is decided by the newest model that existed before its return.

A model refitted on sessions up to and including R decides the sessions from R to the one before the next refit. What
the decision of session s earns lies after s (`FILL_DELAY`), so no decision is scored on data that its model has seen.
An embargo leaves more sessions out between the two. What a fit holds out for itself, it purges itself.
A refit needs nothing but the models before it and its position, so that a run can go on from any stored segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.design import Design
from regime_assets.library.determinism import derive_seed
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.market.window import Expanding, Rolling, window_weights
from regime_assets.library.recipe import FittedModels, decide, refit


class WalkForwardError(Exception):
    """The history does not hold what the walk-forward needs, or a cadence is none."""


@dataclass(frozen=True)
class WalkForwardSettings:
    """How history is replayed. All counts are sessions.

    Attributes:
        sessions: how many of the newest sessions are decided out of sample.
        refit_every: between two refits of VAE and regimes.
        minimum_training: that the first model is trained on at least.
        policy_every: between two refits of the policy, which wait for the next refit; 0 with every refit.
        full_retrain_every: between two refits of everything from scratch; 0 for the first refit only.
        embargo: before a refit session, itself included, that the refit does not train on (López de Prado 2018, ch. 7).
    """

    sessions: int = 504
    refit_every: int = 63
    minimum_training: int = 200
    policy_every: int = 0
    full_retrain_every: int = 0
    embargo: int = 0

    def __post_init__(self) -> None:
        for name, least in (("refit_every", 1), ("policy_every", 0), ("full_retrain_every", 0), ("embargo", 0)):
            if getattr(self, name) < least:
                raise WalkForwardError(f"{name} is {getattr(self, name)}, must be at least {least}")


@dataclass(frozen=True)
class Step:
    """One refit of the schedule.

    Attributes:
        number: from 1 on; `total` in all.
        position: row of the refit session, the first that is decided.
        newest: row of the last session that is trained on, the refit session itself without an embargo.
        stop: row behind the last decided session.
        full_retrain: everything starts from scratch.
        policy: the policy is refitted too.
    """

    number: int
    total: int
    position: int
    newest: int
    stop: int
    full_retrain: bool
    policy: bool


@dataclass(frozen=True)
class Segment:
    """What one refit decided, and the models that the next one continues from.

    Attributes:
        session: the refit session.
        decided: `decide`'s columns and `model_session`, index `session`.
    """

    step: Step
    session: pd.Timestamp
    models: FittedModels
    decided: pd.DataFrame


def schedule(total: int, settings: WalkForwardSettings) -> tuple[Step, ...]:
    """Every refit of a walk-forward over `total` sessions of history, in order.

    Raises:
        WalkForwardError: fewer than `minimum_training` sessions and the embargo precede the first decision.
    """
    least = settings.minimum_training + settings.embargo
    start = total - min(settings.sessions, total - least)
    if start >= total:
        raise WalkForwardError(f"{total} sessions of history, {least} precede the first decision")
    positions = list(range(start, total, settings.refit_every))
    steps: list[Step] = []
    retrained = trained = start
    for number, position in enumerate(positions, start=1):
        full = number == 1 or 0 < settings.full_retrain_every <= position - retrained
        policy = full or position - trained >= settings.policy_every
        retrained, trained = (position if full else retrained), (position if policy else trained)
        stop = positions[number] if number < len(positions) else total
        steps.append(Step(number, len(positions), position, position - settings.embargo, stop, full, policy))
    return tuple(steps)


def replay(
    training: TrainingSet,
    shape: Rolling | Expanding,
    design: Design,
    steps: tuple[Step, ...],
    seed_name: tuple[str, ...],
    models: FittedModels | None = None,
    on_refit: Callable[[int, int, pd.Timestamp], None] | None = None,
) -> Iterator[Segment]:
    """Carry out `steps` one after the other.

    Args:
        training, shape, design, seed_name, on_refit: as `walk_forward`.
        steps: the schedule, or what is left of it.
        models: those of the step before the first of `steps`; None at the start.
    """
    for step in steps:
        session = training.sessions[step.position]
        if on_refit:
            on_refit(step.number, step.total, session)
        first, weights = shape_rows(training.sessions[: step.newest + 1], shape)
        seen = training.slice(first, step.newest + 1, weights)
        day = session.date().isoformat()
        models = refit(
            seen,
            models,
            design,
            lambda asset, day=day: derive_seed(*seed_name, day, asset),
            full_retrain=step.full_retrain,
            keep_policy=not step.policy,
        )
        symbols = [str(symbol) for symbol in training.traded_returns.columns]
        decided = decide(models, training.features.iloc[first : step.stop], step.position - first, symbols)
        decided = decided.assign(model_session=training.sessions[step.newest]).rename_axis("session")
        yield Segment(step, session, models, decided)


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
    steps = schedule(len(training.sessions), settings)
    segments = replay(training, shape, design, steps, seed_name, on_refit=on_refit)
    return pd.concat([segment.decided for segment in segments])


def shape_rows(sessions: pd.DatetimeIndex, shape: Rolling | Expanding) -> tuple[int, NDArray[np.float64]]:
    """The first row inside the window that ends with the last of `sessions`, and the weights from there on."""
    first = 0
    if isinstance(shape, Rolling):
        after = sessions[-1] - pd.Timedelta(days=shape.calendar_days)
        first = int(sessions.searchsorted(after, side="right"))
    return first, window_weights(shape, len(sessions) - first)
