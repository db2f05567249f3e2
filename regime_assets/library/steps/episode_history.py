"""The drift episodes of one horizon so far, from the states that each session's drift report stored."""

from __future__ import annotations

from datetime import date

import pandas as pd

from regime_assets.library.steps.drift_report import TABLE
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace

COLUMNS = ("episode", "opened", "last_session", "sessions", "state", "largest")


def episode_history(workspace: Workspace, horizon: Horizon, session: date) -> pd.DataFrame:
    """One row an episode, newest first: when it opened and was last seen, how long, how far the distances went."""
    if not workspace.database.has_table(TABLE):
        return pd.DataFrame(columns=list(COLUMNS))
    sql = f"""
        SELECT episode_id AS episode, min(as_of)::DATE AS opened, max(as_of)::DATE AS last_session,
               count(*) AS sessions, bool_or(refitted) AS refitted, max(largest) AS largest,
               max(as_of)::DATE = ?::DATE AS is_open
        FROM {TABLE} WHERE universe = ? AND horizon = ? AND as_of <= ? AND episode_id IS NOT NULL
        GROUP BY episode_id ORDER BY opened DESC"""
    rows = workspace.database.query(sql, [session, workspace.universe.name, horizon, session])
    retrained = rows["refitted"].map({True: "retrained", False: "waits for a retrain"})
    rows["state"] = retrained.where(rows["is_open"].astype(bool), "ended")
    for name in ("opened", "last_session"):
        rows[name] = pd.to_datetime(rows[name]).dt.strftime("%Y-%m-%d")
    return rows[list(COLUMNS)]
