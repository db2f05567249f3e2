"""The out-of-sample track of the design that serves: the record that live returns and the morning page go by."""

from __future__ import annotations

from datetime import date

import pandas as pd

from regime_assets.library.evaluation.out_of_sample import read_track
from regime_assets.library.production.names import model_name
from regime_assets.library.steps.declared_design import present_hash
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace


def read_served_track(workspace: Workspace, horizon: Horizon, session: date) -> pd.DataFrame:
    """The track of the champion's design as of a session; of the universe's own design while nothing serves."""
    design = served_design(workspace, horizon, session)
    return read_track(workspace.database, workspace.universe.name, horizon, session, design)


def served_design(workspace: Workspace, horizon: Horizon, session: date) -> str:
    """The present hash of the champion's design as of a session; of the universe's own while nothing serves."""
    champion = workspace.registry.champion_as_of(model_name(workspace.universe.name, horizon), session)
    stored = champion.tags.get("settings_hash") if champion else None
    return present_hash(workspace, horizon, stored) if stored else workspace.design.hash_for(horizon)
