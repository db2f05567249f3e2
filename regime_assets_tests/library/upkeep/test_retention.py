"""What is old goes, what is needed stays, and a dry run says the same without doing it."""

import os
import tarfile
import time
from datetime import date

import pytest

from regime_assets.library.home import Home
from regime_assets.library.universe import load_universe
from regime_assets.library.upkeep.data_format import open_data_folder
from regime_assets.library.upkeep.retention import Keep, kept_sessions, retain
from regime_assets.library.workspace import NotMaterializedError, Workspace
from regime_assets_tests.library.upkeep.test_upgrade import ARCHIVE, SESSIONS, UNIVERSE, needs_its_duckdb

OLD = Keep(versions=1, walk_forwards=0, sessions=0)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two sessions of a real folder, of which the first is also the first of its month, and a report of each."""
    root = tmp_path_factory.mktemp("retention")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root / "data", filter="data")
    (root / "tiny.yaml").write_text(UNIVERSE)
    workspace = Workspace(load_universe(root / "tiny.yaml"), open_data_folder(Home(root / "data")))
    for session in SESSIONS:
        report = workspace.home.report("tiny", "short", "drift", session)
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text("x" * 1000)
    for name, age in ((".killed.html-0123456789ab", 2), (".under-way.html-0123456789ab", 0)):
        staged = workspace.home.reports / name
        staged.write_text("half")
        os.utime(staged, (time.time() - age * 86_400,) * 2)
    return workspace


def test_the_newest_and_the_first_of_each_month_are_kept() -> None:
    days = [date(2022, 3, 1), date(2022, 3, 2), date(2022, 4, 4), date(2022, 4, 5), date(2022, 4, 6)]
    assert kept_sessions(days, 1) == {date(2022, 3, 1), date(2022, 4, 4), date(2022, 4, 6)}
    assert kept_sessions([], 5) == frozenset()


@needs_its_duckdb
def test_a_dry_run_says_what_would_go_and_leaves_it(workspace: Workspace) -> None:
    told = {str(each) for each in retain(workspace, OLD, dry_run=True) if each.count}
    assert told == {
        "tiny.short: reports: 1, 0.0 MB",
        "tiny.short: windows: 1",
        "tiny.long: windows: 1",
        "remains of killed writes: 1, 0.0 MB",
    }
    assert workspace.home.report("tiny", "short", "drift", SESSIONS[1]).exists()
    assert len(workspace.training_set("short", SESSIONS[1]).features) > 0


@needs_its_duckdb
def test_what_serves_and_may_serve_again_stays(workspace: Workspace) -> None:
    retain(workspace, OLD)
    assert [path.name for path in workspace.home.reports.rglob("*.html")] == ["2018-12-18-drift.html"]
    assert len(workspace.training_set("short", SESSIONS[0]).features) > 0
    with pytest.raises(NotMaterializedError):
        workspace.training_set("short", SESSIONS[1])
    assert [stored.version for stored in workspace.registry.versions("tiny.short")] == [1, 2]
    assert [path.name for path in workspace.home.reports.glob(".*")] == [".under-way.html-0123456789ab"]
    assert {each.count for each in retain(workspace, OLD)} == {0}
