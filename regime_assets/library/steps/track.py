"""The out-of-sample track of one horizon, carried on to a session."""

from __future__ import annotations

from datetime import date

import pandas as pd

from regime_assets.library.evaluation.out_of_sample import read_track, store_stretch
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.recipe import decide
from regime_assets.library.steps.fits import load_models
from regime_assets.library.steps.raw_prices import Log
from regime_assets.library.universe import Horizon
from regime_assets.library.walk import WalkForwardSettings, walk_forward
from regime_assets.library.workspace import Workspace


def extend_track(workspace: Workspace, horizon: Horizon, session: date, history: TrainingSet, log: Log) -> pd.DataFrame:
    """Store what the track gains with `session` and return the whole track as of it.

    The first session of a track is preceded by a walk-forward; sessions that were never materialized since the track's
    end are decided by the newest models that had been accepted before them, as they would have been live.

    Args:
        history: features and returns from the universe's start to `session`, as known as of it.
    """
    before = read_track(workspace.database, workspace.universe.name, horizon, workspace.calendar.previous(session))
    stretch = (
        _first_stretch(workspace, horizon, history, log)
        if before.empty
        else _missed(workspace, horizon, session, before)
    )
    own = _decided(workspace, horizon, session, pd.DatetimeIndex([pd.Timestamp(session)]), model=session)
    key = workspace.key(horizon, session)
    store_stretch(workspace.database, key, pd.concat([part for part in (stretch, own) if not part.empty]))
    return read_track(workspace.database, workspace.universe.name, horizon, session)


def _first_stretch(workspace: Workspace, horizon: Horizon, history: TrainingSet, log: Log) -> pd.DataFrame:
    """The walk-forward up to the session before the history's last one."""
    chosen = workspace.universe.walk_forward
    settings = WalkForwardSettings(sessions=chosen.sessions, refit_every=chosen.refit_every)
    past = history.slice(0, len(history.sessions) - 1, history.sample_weight[:-1])
    log(f"walk-forward over {settings.sessions} sessions before the first materialized one")
    return walk_forward(
        past,
        workspace.window_shape(horizon),
        workspace.design,
        settings,
        (workspace.universe.name, horizon),
        on_refit=lambda number, total, at: log(f"walk-forward: refit {number} of {total}, as of {at:%Y-%m-%d}"),
    )


def _missed(workspace: Workspace, horizon: Horizon, session: date, before: pd.DataFrame) -> pd.DataFrame:
    """The sessions between the track's end and `session`, by the models that existed."""
    ended = before.index[-1].date()
    missed = [day for day in workspace.calendar.sessions(ended, session) if ended < day < session]
    if not missed:
        return before.iloc[:0]
    newest = workspace.lineage(horizon).latest_accepted("rl_policy", before=missed[0])
    if newest is None:
        return before.iloc[:0]
    return _decided(workspace, horizon, session, pd.DatetimeIndex(pd.to_datetime(missed)), model=newest.session)


def _decided(
    workspace: Workspace, horizon: Horizon, as_of: date, sessions: pd.DatetimeIndex, *, model: date
) -> pd.DataFrame:
    """What the models of session `model` decide on `sessions`, from the window of `as_of`."""
    features = workspace.training_set(horizon, as_of).features
    first = int(features.index.get_indexer(sessions[:1])[0])
    models = load_models(workspace.lineage(horizon), model)
    decided = decide(models, features, first, workspace.universe.held).loc[sessions]
    return decided.assign(model_session=pd.Timestamp(model)).rename_axis("session")
