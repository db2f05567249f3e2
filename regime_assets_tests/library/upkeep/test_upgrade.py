"""A real data folder of the first format, made by its own code: two sessions of a small universe, moved since."""

import sqlite3
import tarfile
from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb
import pytest

from regime_assets.library.home import Home
from regime_assets.library.production.champion_pointer import read_pointer
from regime_assets.library.production.promotion_journal import Aliases
from regime_assets.library.steps.answer_replay import replay
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.upkeep.data_format import open_data_folder
from regime_assets.library.upkeep.legacy_journal import legacy_moves
from regime_assets.library.workspace import Workspace

needs_its_duckdb = pytest.mark.skipif(duckdb.__version__ < "2", reason="the folder was written by DuckDB 2")
pytestmark = needs_its_duckdb
ARCHIVE = Path(__file__).parent / "folder-of-format-1.tar.xz"
UNIVERSE = """\
name: tiny
source: {kind: files, options: {folder: prices, fields: [close]}}
history_start: 2014-01-02
first_partition: 2018-01-02
last_partition: 2019-01-31
symbols: [AAPL, JPM, KO, XOM, PFE]
traded: [SP500]
"""
SESSIONS = (date(2018, 12, 18), date(2018, 12, 19))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("another place")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root / "renamed", filter="data")
    (root / "tiny.yaml").write_text(UNIVERSE)
    return Workspace(load_universe(root / "tiny.yaml"), open_data_folder(Home(root / "renamed")))


def test_what_served_is_answered_again_to_the_bit(workspace: Workspace) -> None:
    for horizon in HORIZONS:
        for session in SESSIONS:
            assert replay(workspace, horizon, session).differences == ()


def test_who_served_when_is_known_and_mlflow_says_the_same(workspace: Workspace) -> None:
    for horizon in HORIZONS:
        name = f"tiny.{horizon}"
        champion, pointer = (
            workspace.registry.champion(name),
            read_pointer(workspace.home.mlflow_artifacts, name),
        )
        assert champion is not None
        assert pointer is not None
        assert champion.version == pointer.version == 2
        moves = workspace.registry.history(name)
        assert [(move.session, move.before, move.after.champion) for move in moves] == [
            (SESSIONS[0], Aliases(None, None), 1),
            (SESSIONS[1], Aliases(1, None), 2),
        ]
        first = workspace.registry.champion_as_of(name, SESSIONS[0])
        assert first is not None
        assert first.version == 1
        assert workspace.registry.reconcile(name) == []


def test_artifacts_are_found_where_the_folder_is_now_and_no_path_is_absolute(workspace: Workspace) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(workspace.home.mlflow_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'regime_assets'")
    run = next(path.parents[1].name for path in workspace.home.mlflow_artifacts.glob("*/artifacts/curves.json"))
    assert client.get_run(run).info.artifact_uri == f"data-folder:///{run}/artifacts"
    assert [found.path for found in client.list_artifacts(run)] == ["curves.json"]
    fresh = client.create_run(experiment.experiment_id)
    client.log_text(fresh.info.run_id, "here", "note.txt")
    assert (workspace.home.mlflow_artifacts / fresh.info.run_id / "artifacts" / "note.txt").read_text() == "here"
    with closing(sqlite3.connect(workspace.home.root / "mlflow.db")) as store:
        named = [line for line in store.iterdump() if "file:" in line or "'/" in line]
    assert [line for line in named if "mlflow.source.name" not in line] == [], "but for the program that made a run"


def test_what_was_there_is_kept(workspace: Workspace) -> None:
    kept = workspace.home.root / "backups" / "before-format-2"
    names = {"mlflow.db", "regime_assets.duckdb", "tiny.long.promotions.jsonl", "tiny.short.promotions.jsonl"}
    assert names <= {path.name for path in kept.iterdir()}


def test_damaged_lines_of_an_old_journal_cost_their_moves_only(tmp_path: Path, workspace: Workspace) -> None:
    journal = workspace.home.root / "backups" / "before-format-2" / "tiny.short.promotions.jsonl"
    lines = journal.read_text().splitlines()
    damaged = tmp_path / "journal"
    damaged.write_text("\n".join(["7", '{"no": "event"}', *lines[:2], lines[2][:40]]))
    assert [move.after.champion for move in legacy_moves(damaged)] == [1]
