"""A warm run under a real daemon that is killed or cancelled ends, says how, and gives its slot back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import Home

POOL = "duckdb_tiny"
START_SECONDS, END_SECONDS = 120.0, 60.0
FINISHED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS}

LOCATION = f"""
import os, sys, time
from pathlib import Path
import dagster as dg
import regime_assets.runs.warm_runs as warm
from regime_assets.resources import DataHome
from regime_assets.runs.executor import run_executor

warm.PRELOADED = "imported_before"
warm.fork_runs_in_code_server()
folder = Path(os.environ["REGIME_ASSETS_HOME"])

@dg.op(pool="{POOL}", required_resource_keys={{"data"}})
def works_long(context):
    warm_run = "imported_before" in sys.modules
    (folder / f"started-{{context.run.tags['asked']}}").write_text(f"{{os.getpid()}} {{warm_run}} {{context.run_id}}")
    time.sleep(600)

@dg.job(executor_def=run_executor, resource_defs={{"data": DataHome()}})
def long_work():
    works_long()

@dg.sensor(job=long_work, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def asked(context):
    for file in sorted(folder.glob("ask-*")):
        yield dg.RunRequest(file.name, tags={{"asked": file.name.removeprefix("ask-")}})

defs = dg.Definitions(jobs=[long_work], sensors=[asked])
"""


class Daemon:
    """A data folder with its daemon, and one job that takes ten minutes."""

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self._home, self.instance = home, instance

    def start(self, name: str) -> tuple[int, str]:
        """Ask for a run; give its process and its identifier once it works."""
        (self._home.root / f"ask-{name}").touch()
        started = self._home.root / f"started-{name}"
        until(lambda: started.exists() and len(started.read_text().split()) == 3, START_SECONDS)
        process, is_warm, run_id = started.read_text().split()
        assert is_warm == "True", "the run is a fork of what has imported everything"
        return int(process), run_id

    def ended(self, run_id: str) -> dg.DagsterRunStatus:
        """How a run ended, once its slot is free again."""
        until(lambda: self._run(run_id).status in FINISHED, END_SECONDS)
        until(lambda: not self.instance.event_log_storage.get_concurrency_info(POOL).active_slot_count, END_SECONDS)
        return self._run(run_id).status

    def _run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.2)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = Home(tmp_path_factory.mktemp("home"))
    (home.root / "imported_before.py").write_text("")
    (home.root / "long_work.py").write_text(LOCATION)
    environment = prepare_dagster_home(home)
    environment["PYTHONPATH"] = f"{home.root}:{environment.get('PYTHONPATH', '.')}"
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "long_work"]
        with dg.DagsterInstance.get() as instance:  # makes its files before the daemon looks
            running = subprocess.Popen(command, env=environment)
            try:
                yield Daemon(home, instance)
            finally:
                running.terminate()
                running.wait(timeout=60)


def test_a_run_that_was_killed_fails_within_a_minute_and_gives_its_slot_back(daemon: Daemon) -> None:
    process, run_id = daemon.start("killed")
    os.kill(process, signal.SIGKILL)
    assert daemon.ended(run_id) == dg.DagsterRunStatus.FAILURE


def test_a_run_that_is_cancelled_ends_with_its_process_and_gives_its_slot_back(daemon: Daemon) -> None:
    process, run_id = daemon.start("cancelled")
    coordinator = daemon.instance.run_coordinator
    assert coordinator is not None
    assert coordinator.cancel_run(run_id), "as the UI does it"
    assert daemon.ended(run_id) == dg.DagsterRunStatus.CANCELED
    until(lambda: not is_alive(process), END_SECONDS)
