"""A champion that is live for half a year, for the tests of what is watched."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd

from regime_assets.library.evaluation.out_of_sample import store_stretch
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.production.deployments import Deployment, DeploymentLog
from regime_assets.library.production.signal import Signal
from regime_assets.library.steps.drift_report import TABLE as DRIFT_TABLE
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2012-01-03
first_partition: 2015-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
"""
LIVE = (date(2017, 1, 3), date(2017, 6, 30))


def live_chain(tmp_path: Path) -> Workspace:
    """A universe with prices to the end of 2018 and a track of two years at full exposure."""
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    workspace = Workspace(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "home"))
    source = SampleSource()
    fetched = source.fetch(workspace.universe.instruments, workspace.universe.history_start, date(2018, 12, 31))
    workspace.market.ingest(fetched, "sample", datetime.now(UTC), workspace.calendar)
    sessions = pd.DatetimeIndex(pd.to_datetime(list(workspace.calendar.sessions(date(2015, 1, 2), date(2016, 12, 30)))))
    stretch = pd.DataFrame(
        {"regime": 0, "risk_off": 0.1, "rule_exposure": 1.0, "policy_exposure": 1.0, "reconstruction_error": 0.5},
        index=sessions.rename("session"),
    ).assign(model_session=sessions[0])
    store_stretch(workspace.database, workspace.key("short", LIVE[0]), workspace.design.hash_for("short"), stretch)
    return workspace


def serve(workspace: Workspace, exposures: dict[date, float]) -> None:
    """Log these exposures as what was answered."""
    log = DeploymentLog(workspace.database)
    for session, exposure in exposures.items():
        signal = Signal(session, "calm", {"calm": 1.0}, exposure, {"SP500": exposure}, (0.0,), 0.1)
        log.record(Deployment("tiny", "short", 1, "0" * 64, "0" * 64, {"f": 1.0}, signal, datetime.now(UTC), "test"))


def no_drift(workspace: Workspace, session: date) -> None:
    """Store a calm drift report."""
    row = {
        "status": "calm",
        "episode_id": None,
        "opened": None,
        "sessions_since": None,
        "refresh_requested": False,
        "refitted": False,
        "exceeded": 0,
        "recovered": 0,
        "cool_down": 0,
        "back_off": 10,
    }
    frame = pd.DataFrame([row]).astype({"episode_id": "string", "opened": "string", "sessions_since": "float64"})
    workspace.database.replace_partition(DRIFT_TABLE, workspace.key("short", session), frame)


def exposures(workspace: Workspace, *, unlucky: bool) -> dict[date, float]:
    """Fully invested; the unlucky champion is invested before falls only."""
    sessions = workspace.calendar.sessions(*LIVE)
    returns = workspace.history("short", date(2018, 12, 31)).market_returns
    following = {day: returns.iloc[returns.index.get_loc(pd.Timestamp(day)) + 2] for day in sessions}
    return {day: float(following[day] < 0) if unlucky else 1.0 for day in sessions}
