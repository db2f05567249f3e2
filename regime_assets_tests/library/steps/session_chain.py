"""The steps of a session's assets on a small universe, in the order of one run a session, or of one run over a range.

Dagster carries out a range asset by asset: all sessions of one, then all sessions of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.production.names import model_name
from regime_assets.library.steps.backtest_report import backtest
from regime_assets.library.steps.daily_signal import NoChampionError, serve
from regime_assets.library.steps.fits import fit
from regime_assets.library.steps.promotion import register_and_promote
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.window_reads import WindowReads
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2015-01-02
first_partition: 2016-01-04
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
walk_forward: {sessions: 66, refit_every: 66}
gate: {turnover_limit: 100, drawdown_limit: .9}
"""
QUICK = small_design(policy={"algorithm": "ppo"})
LAST = date(2017, 6, 30)


def small_workspace(folder: Path, name: str) -> Workspace:
    """A universe with prices whose models are fitted within tenths of a second, in a home of that name."""
    (folder / "tiny.yaml").write_text(UNIVERSE)
    workspace = Workspace(load_universe(folder / "tiny.yaml"), Home(folder / name), WindowReads())
    workspace.__dict__["design"] = QUICK
    fetched = SampleSource().fetch(workspace.universe.instruments, workspace.universe.history_start, LAST)
    workspace.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), workspace.calendar)
    return workspace


def run_range(workspace: Workspace, sessions: Sequence[date]) -> list[str]:
    """One run over sessions, asset by asset; what `daily_signal` skipped."""
    for horizon in HORIZONS:
        for session in sessions:
            validate_window(workspace, horizon, session)
        for kind in KINDS:
            for session in sessions:
                fit(workspace, horizon, session, kind)
        for session in sessions:
            backtest(workspace, horizon, session, lambda _: None)
        for session in sessions:
            register_and_promote(workspace, horizon, session, None)
    skipped: list[str] = []
    for session in sessions:
        try:
            serve(workspace, session)
        except NoChampionError as nothing:
            skipped.append(str(nothing))
    return skipped


def fingerprint(workspace: Workspace) -> dict[str, object]:
    """Everything that the sessions decided: models, bundles, champions, answers."""
    found: dict[str, object] = {}
    for horizon in HORIZONS:
        name = model_name("tiny", horizon)
        for version in workspace.registry.versions(name):
            found[f"{name} {version.version}"] = (version.session, version.sha256, dict(version.tags))
        for alias in ("champion", "previous", "challenger"):
            served = getattr(workspace.registry, alias)(name)
            found[f"{name} {alias}"] = served and served.version
        found[f"{name} moves"] = [(m.session, m.before, m.after, m.reason) for m in workspace.registry.history(name)]
    for table, order in (
        ("models", "ALL"),
        ("decisions", "ALL"),
        ("judgements", "ALL"),
        ("rule_outcomes", "ALL"),
        ("daily_signal", "ALL"),
    ):
        rows = workspace.database.query(f"SELECT * FROM {table} ORDER BY {order}")
        found[table] = rows.to_json(double_precision=15)
    sql = "SELECT horizon, session, model_version, bundle_sha256, signal FROM deployments ORDER BY ALL"
    columns = workspace.database.query("SELECT * FROM deployments LIMIT 0").columns
    kept = [column for column in columns if column != "decided_at"]
    sql = f"SELECT {', '.join(kept)} FROM deployments ORDER BY ALL"
    found["deployments"] = workspace.database.query(sql).to_json(double_precision=15)
    return found
