"""The real graph on real prices: two data folders, of which one already knows a different future.

Both are materialized by Dagster for the same two sessions: one with all steps in one process, the other with a process
for each horizon. Whatever differs between them afterwards has looked ahead, or is not reproducible.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from regime_assets.definitions import build_definitions
from regime_assets.figure_units import unit_of
from regime_assets.library import tables
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.production.names import model_name
from regime_assets.library.report.failures import recorded_failures
from regime_assets.library.report.morning_files import published_mornings
from regime_assets.library.steps.morning import morning
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.workspace import Workspace
from regime_assets.runs.side_by_side import has_cores
from regime_assets_tests.chain_run import materialize, opened

pytestmark = pytest.mark.xdist_group("end_to_end")

TRADED = "SP500"
SYMBOLS = ["AAPL", "JPM", "KO", "XOM", "PFE"]
MOST_ATTACHED = 250  # files of a session of two horizons: 161 with the sample universe, 559 once

SESSIONS = ("2018-12-18", "2018-12-19")
NEXT_SESSION = "2018-12-20"
LATER_SESSION = "2019-01-04"
KINDS = ("vae", "latents", "gmm", "rl_policy")

UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
history_start: 2014-01-02
first_partition: 2018-01-02
last_partition: 2019-01-31
symbols: [{symbols}]
traded: [SP500]
walk_forward: {{sessions: 126, refit_every: 63}}
"""


@dataclass(frozen=True)
class Folder:
    """A data folder with the files that its universe reads."""

    home: Home
    universes: Path
    prices: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(load_universe(self.universes / "tiny.yaml"), self.home)


def prices() -> pd.DataFrame:
    fetched = SampleSource().fetch([*SYMBOLS, "SP500"], date(2014, 1, 2), date(2019, 1, 31))
    return fetched.bars.pivot(index="session", columns="symbol", values="close")


def prepared(root: Path, closes: pd.DataFrame) -> Folder:
    folder = Folder(Home(root / "home"), root / "universes", root / "prices")
    folder.universes.mkdir(parents=True)
    folder.prices.mkdir()
    text = UNIVERSE.format(folder=folder.prices, symbols=", ".join(SYMBOLS))
    (folder.universes / "tiny.yaml").write_text(text)
    for symbol, series in closes.items():
        series.rename("close").to_csv(folder.prices / f"{symbol}.csv")
    return folder


def run(folder: Folder, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-m", "regime_assets_tests.chain_run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, str(folder.home.root), str(folder.universes), *arguments], env=environment)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Folder, Folder]:
    closes = prices()
    after = closes.index > pd.Timestamp(SESSIONS[-1])
    other = closes.copy()
    shape = other[after].shape
    other[after] *= 1 + 0.03 * np.random.default_rng(1).uniform(-1, 1, shape)
    plain = prepared(tmp_path_factory.mktemp("plain"), closes)
    knowing = prepared(tmp_path_factory.mktemp("knowing"), other)
    processes = [run(plain, *SESSIONS), run(knowing, "--side-by-side", "--prices-up-to", LATER_SESSION, *SESSIONS)]
    assert [process.wait() for process in processes] == [0, 0]
    return plain, knowing


def fingerprint(workspace: Workspace) -> dict[str, object]:
    """Everything that a session's assets decided, by name."""
    found: dict[str, object] = {}
    for horizon in HORIZONS:
        for session in map(date.fromisoformat, SESSIONS):
            found[f"{horizon} {session} window"] = workspace.training_set(horizon, session).data_hash
            for kind in KINDS:
                found[f"{horizon} {session} {kind}"] = workspace.lineage(horizon).require(kind, session).sha256
        for version in workspace.registry.versions(model_name("tiny", horizon)):
            found[f"{horizon} bundle {version.session}"] = version.sha256
    for table in ("decisions", "daily_signal", "judgements", "drift_report", "regime_path", "live_performance"):
        rows = workspace.database.query(f"SELECT * FROM {table} ORDER BY ALL")
        found[table] = rows.to_json(double_precision=15)
    return found


def test_a_session_attaches_its_database_a_bounded_number_of_times(folders: tuple[Folder, Folder]) -> None:
    counted = json.loads((folders[0].universes.with_name("counted.json")).read_text())
    assert 0 < counted["attached"][SESSIONS[-1]] <= MOST_ATTACHED


def test_evidently_is_imported_where_its_tables_are_written_and_nowhere_else(folders: tuple[Folder, Folder]) -> None:
    counted = json.loads((folders[0].universes.with_name("counted.json")).read_text())
    written = list(folders[0].home.root.rglob("*-drift_tables.html"))
    assert ("evidently" in counted["modules"]) == bool(written)


def test_every_stored_table_and_column_is_described(folders: tuple[Folder, Folder]) -> None:
    home = folders[0].home
    for path in (home.database("tiny"), home.ledger):
        stored = DatabaseFile(path).query("SELECT table_name, column_name FROM information_schema.columns")
        for name, rows in stored[stored["table_name"] != "schema_version"].groupby("table_name"):
            assert tables.undescribed(str(name), rows["column_name"]) == []


def test_a_different_future_changes_nothing_that_was_decided_before(folders: tuple[Folder, Folder]) -> None:
    plain, knowing = (fingerprint(folder.workspace) for folder in folders)
    assert [name for name in plain if plain[name] != knowing[name]] == []
    stored = folders[1].workspace.market.newest_sessions()
    assert min(stored.values()) >= date.fromisoformat(LATER_SESSION), "the future was there to be seen"


def test_the_second_folder_was_materialized_by_a_process_for_each_horizon(folders: tuple[Folder, Folder]) -> None:
    with opened(folders[1].home) as instance:
        newest = next(iter(instance.get_runs(limit=1)))
        told = [event.user_message for event in instance.all_logs(newest.run_id)]
    assert any("side by side" in message for message in told) == has_cores(2)


def test_the_second_session_starts_from_the_accepted_models_of_the_first(folders: tuple[Folder, Folder]) -> None:
    workspace = folders[0].workspace
    for horizon in HORIZONS:
        lineage = workspace.lineage(horizon)
        for kind in ("vae", "gmm"):
            first, second = (lineage.require(kind, date.fromisoformat(session)) for session in SESSIONS)
            assert not first.warm_started
            assert second.warm_started
            assert second.parent == first.sha256
        policies = [lineage.require("rl_policy", date.fromisoformat(session)) for session in SESSIONS]
        assert not any(policy.warm_started for policy in policies), "it starts from its rule every time"


def test_the_first_champion_serves_and_its_answer_is_logged(folders: tuple[Folder, Folder]) -> None:
    workspace = folders[0].workspace
    for horizon in HORIZONS:
        assert workspace.registry.champion(model_name("tiny", horizon)) is not None
    found = morning(workspace)
    assert [answer.session.isoformat() for answer in found.recent] == [SESSIONS[1], SESSIONS[0]]
    assert all(set(answer.verdicts) == {"short", "long"} for answer in found.recent)
    assert "SP500" in found.weights


def test_the_page_of_the_morning_is_written_with_the_answer(folders: tuple[Folder, Folder]) -> None:
    workspace = folders[0].workspace
    (published,) = published_mornings(workspace.home)
    found = morning(workspace)
    assert (published.session, published.horizons, published.recent) == (found.session, found.horizons, found.recent)
    assert [horizon.live is not None for horizon in found.horizons] == [True, True]
    page = (workspace.home.pages / f"{SESSIONS[-1]}.html").read_text()
    assert f"The market is {found.regime}" in page
    assert "<script" not in page


def test_every_check_was_evaluated_and_none_blocked(folders: tuple[Folder, Folder]) -> None:
    home = folders[0].home
    with opened(home) as instance:
        records = instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION), limit=1000
        )
    evaluations = [record.event_log_entry.asset_check_evaluation for record in records]
    assert len({(e.asset_key, e.check_name) for e in evaluations if e}) > 60
    assert [e for e in evaluations if e and not e.passed and e.severity == dg.AssetCheckSeverity.ERROR] == []


def test_every_figure_of_an_asset_has_a_unit(folders: tuple[Folder, Folder]) -> None:
    numbers = (dg.FloatMetadataValue, dg.IntMetadataValue)
    with opened(folders[0].home) as instance:
        keys = instance.all_asset_keys()
        records = [record for key in keys for record in instance.fetch_materializations(key, 1).records]
    shown = [record.asset_materialization.metadata for record in records]
    named = {name for metadata in shown for name, value in metadata.items() if isinstance(value, numbers)}
    assert len(named) > 80
    assert sorted(name for name in named if not unit_of(name)) == []


def test_reports_and_tracking_are_complete(folders: tuple[Folder, Folder]) -> None:
    from mlflow import MlflowClient

    home = folders[0].home
    for horizon in HORIZONS:
        for kind in ("backtest", "drift"):
            report = home.report("tiny", horizon, kind, date.fromisoformat(SESSIONS[-1]))
            assert "</html>" in report.read_text()
    client = MlflowClient(tracking_uri=home.mlflow_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'regime_assets'")
    runs = client.search_runs([experiment.experiment_id])
    assert {tracked.info.status for tracked in runs} == {"FINISHED"}
    fits = [tracked for tracked in runs if "mlflow.parentRunId" in tracked.data.tags]
    assert {(fit.data.tags["kind"], fit.data.tags["session"]) for fit in fits} == {
        (kind, session) for kind in ("vae", "latents", "gmm", "rl_policy") for session in SESSIONS
    }
    refits = [tracked for tracked in runs if tracked not in fits]
    assert {tracked.info.run_name for tracked in refits} == {f"tiny {session}" for session in SESSIONS}
    assert {tracked.data.params["sessions"] for tracked in refits} == set(SESSIONS)
    assert "short.vae.reconstruction" in refits[0].data.metrics


def test_materializing_a_session_again_gives_the_same_bits(folders: tuple[Folder, Folder]) -> None:
    folder = folders[0]
    before = fingerprint(folder.workspace)
    assert materialize(folder.home, folder.universes, "tiny_daily", SESSIONS[-1]).success
    after = fingerprint(folder.workspace)
    assert [name for name in before if before[name] != after[name]] == []


def test_a_session_without_what_is_traded_fails_by_name_and_changes_nothing(folders: tuple[Folder, Folder]) -> None:
    from mlflow import MlflowClient

    folder = folders[0]
    path = folder.prices / f"{TRADED}.csv"
    whole = path.read_text()
    path.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith(NEXT_SESSION)))
    before = fingerprint(folder.workspace)
    try:
        result = materialize(folder.home, folder.universes, "tiny_daily", NEXT_SESSION)
    finally:
        path.write_text(whole)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "tiny__raw_prices"
    assert TRADED in str(failure.step_failure_data.error)
    assert NEXT_SESSION in str(failure.step_failure_data.error)
    (failed,) = recorded_failures(folder.home, "tiny")
    assert (failed.session.isoformat(), failed.what) == (NEXT_SESSION, "tiny/raw_prices failed")
    assert TRADED in failed.why
    assert "What failed" in (folder.home.pages / "index.html").read_text()
    assert fingerprint(folder.workspace) == before
    assert set(folder.workspace.market.newest_sessions().values()) == {date.fromisoformat(SESSIONS[-1])}
    quarantined = folder.workspace.quarantine.history()
    assert list(quarantined["symbol"]) == [TRADED]
    client = MlflowClient(tracking_uri=folder.home.mlflow_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'regime_assets'")
    newest = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"], max_results=1)[0]
    assert newest.info.status == "FAILED", "a failed run is not left open or called finished"


def test_an_operator_rolls_back_from_a_job(folders: tuple[Folder, Folder]) -> None:
    folder, name = folders[1], model_name("tiny", "short")
    before = folder.workspace.registry.champion(name)
    previous = folder.workspace.registry.previous(name)
    assert before is not None
    assert previous is not None, "two sessions were promoted"
    definitions = build_definitions(folder.home, folder.universes)
    config = {"ops": {"tiny_roll_back_champion": {"config": {"horizon": "short", "reason": "it broke"}}}}
    result = definitions.resolve_job_def("tiny_roll_back").execute_in_process(run_config=config)
    assert result.success
    now = folder.workspace.registry.champion(name)
    assert now is not None
    assert now.version == previous.version
    assert folder.workspace.registry.history(name)[-1].reason == "it broke"
