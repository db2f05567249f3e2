"""The out-of-sample track of one horizon, carried on to a session."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from regime_assets.library.cadence import begins_period
from regime_assets.library.evaluation.out_of_sample import last_decided, read_track, store_stretch
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.recipe import NotAcceptedError, decide, decisions
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.steps.raw_prices import Log
from regime_assets.library.universe import Horizon
from regime_assets.library.walk import WalkForwardSettings, fixed_schedule, replay
from regime_assets.library.workspace import Workspace


def extend_track(workspace: Workspace, horizon: Horizon, session: date, history: TrainingSet, log: Log) -> pd.DataFrame:
    """Store what the design's track gains with `session` and return the whole track as of it.

    The first session of a track is preceded by a walk-forward; sessions that were never materialized since the track's
    end are decided by the newest models that had been accepted before them, as they would have been live.

    Args:
        history: features and returns from the universe's start to `session`, as known as of it.
    """
    database, name, design = workspace.database, workspace.universe.name, workspace.design.hash_for(horizon)
    with database.at_once():  # a table that is not there yet is looked for first
        ended = last_decided(database, name, horizon, workspace.calendar.previous(session), design)
    stretch = (
        _first_stretch(workspace, horizon, history, log)
        if ended is None
        else _missed(workspace, horizon, session, ended)
    )
    key = workspace.key(horizon, session)
    with database.held():
        own = _own(workspace, horizon, session)
        store_stretch(database, key, design, pd.concat([part for part in (stretch, own) if not part.empty]))
        return read_track(database, name, horizon, session, design)


def _first_stretch(workspace: Workspace, horizon: Horizon, history: TrainingSet, log: Log) -> pd.DataFrame:
    """The walk-forward up to the session before the history's last one, refitted on dates that are fixed beforehand.

    So the record of a session is the same whenever the universe was run first. Full retrains come as often as live.
    """
    chosen = workspace.universe.walk_forward
    settings = WalkForwardSettings(sessions=chosen.sessions, refit_every=chosen.refit_every)
    past = history.slice(0, len(history.sessions) - 1, np.ones(len(history.sessions) - 1))  # each refit weights anew
    refit, calendar = workspace.universe.refit, workspace.calendar
    steps = fixed_schedule(
        past.sessions,
        settings,
        lambda at, before: begins_period(refit.full_retrain, at.date(), before.date(), calendar),
    )
    log(f"walk-forward over {settings.sessions} sessions before the first materialized one")
    decided: list[pd.DataFrame] = []
    for segment in replay(
        past,
        workspace.window_shape(horizon),
        workspace.design,
        steps,
        (workspace.universe.name, horizon),
        on_refit=lambda number, total, at: log(f"walk-forward: refit {number} of {total}, as of {at:%Y-%m-%d}"),
        stability=workspace.universe.stability,
    ):
        if segment.refused:
            log(f"walk-forward: {segment.refused}; the last accepted models go on")
        decided.append(segment.decided)
    return pd.concat(decided).iloc[-settings.sessions :]


def _own(workspace: Workspace, horizon: Horizon, session: date) -> pd.DataFrame:
    """The decision of the session itself, by its own models, or by the newest accepted ones where one was refused."""
    store, day = LineageModels(workspace.lineage(horizon)), pd.DatetimeIndex([pd.Timestamp(session)])
    try:
        models = store.deciding(session)
    except NotAcceptedError:
        return _by_newest(workspace, horizon, session, day, before=session)
    path = store.path(session)
    features = workspace.training_set(horizon, session).features
    decided = decisions(models.policy, path, features, len(path.sessions) - 1, workspace.universe.held)
    return decided.assign(model_session=pd.Timestamp(session)).rename_axis("session")


def _missed(workspace: Workspace, horizon: Horizon, session: date, ended: date) -> pd.DataFrame:
    """The sessions between the track's end and `session`, by the models that existed."""
    missed = [day for day in workspace.calendar.sessions(ended, session) if ended < day < session]
    if not missed:
        return pd.DataFrame()
    return _by_newest(workspace, horizon, session, pd.DatetimeIndex(pd.to_datetime(missed)), before=missed[0])


def _by_newest(
    workspace: Workspace, horizon: Horizon, as_of: date, sessions: pd.DatetimeIndex, *, before: date
) -> pd.DataFrame:
    """What the newest complete models of a session before decide on `sessions`, from the window of `as_of`."""
    newest = LineageModels(workspace.lineage(horizon)).complete(workspace.calendar.previous(before))
    if newest is None:
        return pd.DataFrame()
    fitted, models = newest
    features = workspace.training_set(horizon, as_of).features
    first = int(features.index.get_indexer(sessions[:1])[0])
    decided = decide(models, features, first, workspace.universe.held).loc[sessions]
    return decided.assign(model_session=pd.Timestamp(fitted)).rename_axis("session")
