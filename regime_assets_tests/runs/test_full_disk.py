"""A disk that takes no more of a run's events: the run ends, what Dagster stored stays, and the next run succeeds."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.runs.dead_runs import end_dead_runs
from regime_assets_tests.runs.test_dead_runs import POOL, RUN


@pytest.mark.parametrize("room", [0, 40_000])
def test_a_run_whose_events_find_no_room_is_ended_and_the_next_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    home = Home(tmp_path)
    for name, value in (prepare_dagster_home(home) | {HOME_VARIABLE: str(home.root)}).items():
        monkeypatch.setenv(name, value)
    assert run_with(None) == 0
    largest = max(path.stat().st_size for path in home.dagster.rglob("*") if path.is_file())
    assert run_with(largest + room) != 0, "there was room"
    for store in home.dagster.rglob("*.db"):
        with sqlite3.connect(store) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    monkeypatch.setattr("regime_assets.runs.dead_runs.NEVER_STARTED", timedelta(0))  # not to wait for it
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        list(end_dead_runs(instance, home))
        ended = [run.status for run in instance.get_runs()]
        assert dg.DagsterRunStatus.SUCCESS in ended
        assert set(ended) <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
        assert instance.event_log_storage.get_concurrency_info(POOL).active_slot_count == 0
    assert run_with(None) == 0


def run_with(limit: int | None) -> int:
    """Run `pooled` in a process that may write no file beyond a size, as on a full disk; its exit code."""

    def bounded() -> None:
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-W", "ignore", "-c", f"{RUN}\nsys.exit(0 if done.success else 1)"]
    return subprocess.run(command, env=os.environ, preexec_fn=bounded, capture_output=True, check=False).returncode
