"""The newest sessions at a glance: what is held, how the models did out of sample, and where the reports lie."""

from __future__ import annotations

import json

import pandas as pd

from regime_assets.library.steps.judgement import TABLE as JUDGEMENTS
from regime_assets.library.workspace import Workspace

SHOWN_SESSIONS = 5


def status_rows(workspace: Workspace) -> pd.DataFrame:
    """One row a session and horizon, oldest first; empty when nothing was materialized."""
    if not workspace.database.has_table(JUDGEMENTS) or not workspace.database.has_table("deployments"):
        return pd.DataFrame()
    sql = f"""
        SELECT j.as_of AS session, j.horizon, d.regime, d.exposure, d.weights, d.model_version, j.lane, j.outcome,
            j.serves, j.figures
        FROM {JUDGEMENTS} j LEFT JOIN (
            SELECT universe, horizon, session, {_newest("regime", "exposure", "weights", "model_version")}
            FROM deployments GROUP BY universe, horizon, session
        ) d ON d.universe = j.universe AND d.horizon = j.horizon AND d.session = j.as_of
        WHERE j.universe = ? ORDER BY j.as_of DESC, j.horizon LIMIT {2 * SHOWN_SESSIONS}
    """
    rows = workspace.database.query(sql, [workspace.universe.name]).iloc[::-1]
    return pd.DataFrame([_shown(workspace, {str(k): v for k, v in row.items()}) for row in rows.to_dict("records")])


def _shown(workspace: Workspace, row: dict[str, object]) -> dict[str, str]:
    figures = json.loads(str(row["figures"]))
    session = pd.Timestamp(str(row["session"])).date()
    horizon = "short" if row["horizon"] == "short" else "long"
    report = workspace.home.report(workspace.universe.name, horizon, "backtest", session)
    weights: dict[str, float] = json.loads(row["weights"]) if isinstance(row["weights"], str) else {}
    return {
        "session": session.isoformat(),
        "horizon": horizon,
        "regime": str(row["regime"]),
        "weights": ", ".join(f"{symbol} {weight:.0%}" for symbol, weight in weights.items()),
        "Sharpe (b&h)": f"{_number(figures['sharpe'])} ({_number(figures['buy_and_hold_sharpe'])})",
        "drawdown (b&h)": f"{_share(figures['max_drawdown'])} ({_share(figures['buy_and_hold_max_drawdown'])})",
        "gate": str(row["outcome"]),
        "report": str(report.relative_to(workspace.home.root)),
    }


def _newest(*columns: str) -> str:
    return ", ".join(f"arg_max({column}, decided_at) AS {column}" for column in columns)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0%}"
