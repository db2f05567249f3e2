"""A walk-forward that is killed half-way and run again ends in the bits of one that never stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.library.artifact import ArtifactError
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.research.long_walk import HistorySettings, carry_out, open_run, walk_history
from regime_assets.library.research.walk_store import RUNS, SEGMENTS, walk_folder
from regime_assets.library.universe import load_universe
from regime_assets.library.upkeep.retention import Keep, retain
from regime_assets.library.walk import WalkForwardError
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2012-01-03
first_partition: 2015-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
"""
LAST = date(2016, 3, 31)
SETTINGS = HistorySettings(date(2016, 1, 4), LAST, refit_every=10, policy_every=20, full_retrain_every=40)
REFITS = 7
KILLED_BEFORE = 5


def quick_chain(folder: Path) -> Workspace:
    """A small universe whose models are fitted within tenths of a second."""
    workspace = Workspace(load_universe(folder / "tiny.yaml"), Home(folder / "home"))
    workspace.__dict__["design"] = small_design()
    return workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    workspace = quick_chain(tmp_path)
    fetched = SampleSource().fetch(workspace.universe.instruments, workspace.universe.history_start, LAST)
    workspace.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), workspace.calendar)
    return tmp_path


def refits(workspace: Workspace, settings: HistorySettings = SETTINGS) -> tuple[pd.DataFrame, list[int]]:
    """The track, and the numbers of the refits that were carried out for it."""
    carried_out: list[int] = []
    track = carry_out(
        open_run(workspace, "short", settings), lambda number, _total, _session: carried_out.append(number)
    )
    return track, carried_out


def killed_half_way(folder: Path) -> Iterator[str]:
    """Run in a process of its own that is killed with four segments stored; yields what it printed."""
    command = [sys.executable, "-m", __name__, str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield line.strip()
            if line.strip() == str(KILLED_BEFORE):
                os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_killed_and_run_again_equals_a_run_that_never_stopped(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert list(killed_half_way(folder))[-1] == str(KILLED_BEFORE)
    track, carried_out = refits(quick_chain(folder))
    assert carried_out == list(range(KILLED_BEFORE, REFITS + 1)), "what was stored is not fitted again"

    workspace = quick_chain(folder)
    whole = Workspace(workspace.universe, Home(tmp_path_factory.mktemp("whole")))
    whole.__dict__["design"] = workspace.design
    fetched = SampleSource().fetch(workspace.universe.instruments, workspace.universe.history_start, LAST)
    whole.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), whole.calendar)
    uninterrupted, all_of_them = refits(whole)
    assert all_of_them == list(range(1, REFITS + 1))
    pd.testing.assert_frame_equal(track, uninterrupted, check_exact=True)
    stored, reference = (
        open_run(one, "short", SETTINGS).segments().iloc[-1][["regimes_sha256", "policy_sha256"]]
        for one in (workspace, whole)
    )
    assert list(stored) == list(reference), "the last models are the same to the bit"


def test_a_finished_run_is_compared_and_reported_without_a_refit(folder: Path) -> None:
    workspace = quick_chain(folder)
    refits(workspace)
    carried_out: list[int] = []
    result = walk_history(workspace, "short", SETTINGS, lambda number, *_: carried_out.append(number))
    assert carried_out == []
    assert list(result.table["strategy"])[:3] == ["learned policy", "regime rule", "buy & hold"]
    assert len(result.table) == 8
    assert "out of sample" in result.report.read_text()
    kept = open_run(workspace, "short", SETTINGS).folder
    assert len(list(kept.iterdir())) == 1, "only the newest models are kept"


def test_other_settings_are_another_run(folder: Path) -> None:
    workspace = quick_chain(folder)
    short = HistorySettings(date(2016, 3, 1), LAST, refit_every=20)
    refits(workspace, short)
    _, carried_out = refits(workspace, HistorySettings(date(2016, 3, 1), LAST, refit_every=15))
    assert carried_out == [1, 2]


def test_models_that_were_tampered_with_are_not_continued_from(folder: Path) -> None:
    workspace = quick_chain(folder)
    settings = HistorySettings(date(2016, 3, 1), LAST, refit_every=20)
    refits(workspace, settings)
    run = open_run(workspace, "short", settings)
    document = next(run.folder.glob("*/policy/document.json"))
    document.write_text(document.read_text().replace('"kind"', '"kinds"'))
    with pytest.raises(ArtifactError):
        carry_out(run, lambda *_: None)


def test_a_first_session_without_history_before_it_is_refused(folder: Path) -> None:
    with pytest.raises(WalkForwardError, match="252 sessions to train on, 0 of embargo"):
        open_run(quick_chain(folder), "short", HistorySettings(date(2012, 6, 1), LAST))


def test_retention_keeps_the_walk_forwards_that_were_asked_for_last(folder: Path) -> None:
    workspace = quick_chain(folder)
    for cadence in (15, 20, 30):
        refits(workspace, HistorySettings(date(2016, 3, 1), LAST, refit_every=cadence))
    runs = workspace.database.query(f"SELECT run FROM {RUNS} ORDER BY asked_at")["run"].tolist()
    told = [str(each) for each in retain(workspace, Keep(walk_forwards=1))]
    assert "tiny.short: walk-forwards: 2" in told
    assert workspace.database.query(f"SELECT DISTINCT run FROM {SEGMENTS}")["run"].tolist() == [runs[2]]
    assert [walk_folder(workspace, "short", run).exists() for run in runs] == [False, False, True]
    _, carried_out = refits(workspace, HistorySettings(date(2016, 3, 1), LAST, refit_every=15))
    assert carried_out == [1, 2], "a forgotten one starts anew"


def test_a_home_without_walk_forwards_has_none_to_forget(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    workspace = Workspace(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "empty"))
    assert {each.count for each in retain(workspace, Keep(walk_forwards=0))} == {0}


if __name__ == "__main__":

    def announce(number: int, _total: int, _session: date) -> None:
        print(number, flush=True)
        if number == KILLED_BEFORE:
            time.sleep(60)

    carry_out(open_run(quick_chain(Path(sys.argv[1])), "short", SETTINGS), announce)
