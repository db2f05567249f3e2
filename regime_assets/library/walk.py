"""Refit dates march through history; every session is decided by the newest model that existed before its return.

A model refitted on sessions up to and including R decides the sessions from R to the one before the next refit. What
the decision of session s earns lies after s (`FILL_DELAY`), so no decision is scored on data that its model has seen.
An embargo leaves more sessions out between the two. What a fit holds out for itself, it purges itself.
A refit that is not accepted costs its segment nothing but the refit: the last accepted models decide. A refit needs
nothing but what the one before it handed on and its position, so that a run can go on from any stored segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.design import Design
from regime_assets.library.determinism import derive_seed
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.market.window import Expanding, Rolling, window_weights
from regime_assets.library.memory_models import MemoryModels
from regime_assets.library.model_kinds import Kind
from regime_assets.library.recipe import Ancestor, FittedModels, SessionFit, decide, fit_session
from regime_assets.library.universe.gate_settings import StabilitySettings

SHIPPED_STABILITY = StabilitySettings()


class WalkForwardError(Exception):
    """The history does not hold what the walk-forward needs, no refit was accepted, or a cadence is none."""


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
        anew: nothing is started from, as if there were no models yet.
    """

    number: int
    total: int
    position: int
    newest: int
    stop: int
    full_retrain: bool
    policy: bool
    anew: bool = False


@dataclass(frozen=True)
class Carried:
    """What a refit hands on to the next one.

    Attributes:
        models: the last accepted set, which decides.
        session: the newest session that these models have seen.
        ancestors: the newest accepted model of each kind, from which the next refit starts.
    """

    models: FittedModels
    session: date
    ancestors: Mapping[Kind, Ancestor]


@dataclass(frozen=True)
class Segment:
    """What was decided from one refit on, and what the next one continues from.

    Attributes:
        session: the refit session.
        carried: what goes on.
        decided: `decide`'s columns and `model_session`, index `session`.
        refused: what of the refit was not accepted, and why; empty when all was.
    """

    step: Step
    session: pd.Timestamp
    carried: Carried
    decided: pd.DataFrame
    refused: str

    @property
    def models(self) -> FittedModels:
        """The models that decided."""
        return self.carried.models


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


def fixed_schedule(
    sessions: pd.DatetimeIndex,
    settings: WalkForwardSettings,
    is_full: Callable[[pd.Timestamp, pd.Timestamp], bool],
) -> tuple[Step, ...]:
    """The refits behind the last `settings.sessions` of a history, on dates that do not depend on where it ends.

    Refits lie on every `refit_every`-th session since the history's start. So that a session's models do not depend on
    where the replay begins either, everything begins anew at every so-manieth of them, `settings.sessions` apart, and
    the replay begins at the last such session before the first that is decided. The first steps may decide sessions
    before those that are asked for.

    Args:
        sessions: (T,) of history, whose first one is the same whenever it is read.
        settings: counts; the cadences of policy and full retrains are not read.
        is_full: whether a refit after another one is a full retrain, by their sessions.

    Raises:
        WalkForwardError: no date of the grid has `minimum_training` sessions before it.
    """
    total, every = len(sessions), settings.refit_every
    least = -(-settings.minimum_training // every) * every
    if least >= total:
        raise WalkForwardError(f"{total} sessions of history, {least} precede the first decision")
    apart = -(-settings.sessions // every) * every
    wanted = max(total - settings.sessions, least)
    begin = max(wanted // apart * apart, least)
    positions = list(range(begin, total, every))
    steps: list[Step] = []
    for number, position in enumerate(positions, start=1):
        anew = number == 1 or position % apart == 0
        full = anew or is_full(sessions[position], sessions[positions[number - 2]])
        stop = positions[number] if number < len(positions) else total
        steps.append(Step(number, len(positions), position, position, stop, full, True, anew))
    return tuple(steps)


def replay(
    training: TrainingSet,
    shape: Rolling | Expanding,
    design: Design,
    steps: tuple[Step, ...],
    seed_name: tuple[str, ...],
    carried: Carried | None = None,
    on_refit: Callable[[int, int, pd.Timestamp], None] | None = None,
    stability: StabilitySettings = SHIPPED_STABILITY,
) -> Iterator[Segment]:
    """Carry out `steps` one after the other; those before the first accepted refit decide nothing.

    Args:
        training, shape, design, seed_name, on_refit, stability: as `walk_forward`.
        steps: the schedule, or what is left of it.
        carried: what the step before the first of `steps` handed on; None at the start.

    Raises:
        WalkForwardError: no refit of the schedule was accepted.
    """
    store, refused = MemoryModels(carried.ancestors if carried else None), ""
    for step in steps:
        session = training.sessions[step.position]
        if on_refit:
            on_refit(step.number, step.total, session)
        if step.anew:
            store = MemoryModels()
        first, weights = shape_rows(training.sessions[: step.newest + 1], shape)
        seen = training.slice(first, step.newest + 1, weights)
        if isinstance(shape, Rolling):
            seen = replace(seen, known_sessions=None)  # it is as young on its last day as on its first
        newest, day = training.sessions[step.newest].date(), session.date().isoformat()
        fit = SessionFit(
            session=newest,
            training=seen,
            design=design,
            models=store,
            seed_of=lambda asset, day=day: derive_seed(*seed_name, day, asset),
            full_retrain=step.full_retrain,
            stability=stability,
        )
        models, refused = fit_session(fit, keep_policy=not step.policy)
        if models is not None:
            carried = Carried(models, newest, store.newest)
        elif carried is not None:
            carried = Carried(carried.models, carried.session, store.newest)
        if carried is not None:
            symbols, rows = list(map(str, training.traded_returns.columns)), training.features.iloc[first : step.stop]
            decided = decide(carried.models, rows, step.position - first, symbols)
            decided = decided.assign(model_session=pd.Timestamp(carried.session)).rename_axis("session")
            yield Segment(step, session, carried, decided, refused)
    if carried is None:
        raise WalkForwardError(f"no refit was accepted; the last one: {refused}")


def walk_forward(
    training: TrainingSet,
    shape: Rolling | Expanding,
    design: Design,
    settings: WalkForwardSettings,
    seed_name: tuple[str, ...],
    on_refit: Callable[[int, int, pd.Timestamp], None] | None = None,
    stability: StabilitySettings = SHIPPED_STABILITY,
) -> pd.DataFrame:
    """Decide the last `settings.sessions` sessions of `training`, each by a model fitted before.

    Args:
        training: history under any weights; each refit sees the part of it that `shape` selects as of its date.
        shape: rolling or expanding window.
        seed_name: what the seeds derive from, besides refit date and asset.
        on_refit: called with (number, total, refit session) before each refit, for progress.
        stability: what a refit of the regimes may change.

    Returns:
        One row a session, index `session`: `decide`'s columns and `model_session`, the newest session that the
        deciding model has seen.

    Raises:
        WalkForwardError: fewer than `minimum_training` sessions precede the first decision, or no refit was accepted.
    """
    steps = schedule(len(training.sessions), settings)
    segments = replay(training, shape, design, steps, seed_name, on_refit=on_refit, stability=stability)
    return pd.concat([segment.decided for segment in segments])


def shape_rows(sessions: pd.DatetimeIndex, shape: Rolling | Expanding) -> tuple[int, NDArray[np.float64]]:
    """The first row inside the window that ends with the last of `sessions`, and the weights from there on."""
    first = 0
    if isinstance(shape, Rolling):
        after = sessions[-1] - pd.Timedelta(days=shape.calendar_days)
        first = int(sessions.searchsorted(after, side="right"))
    return first, window_weights(shape, len(sessions) - first)
