"""A run whose process was killed ends, says so and holds nobody; one that waits can be ended by a signal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.resources import DataHome
from regime_assets.runs.dead_runs import end_dead_runs
from regime_assets.runs.executor import run_executor
from regime_assets.runs.launcher import LeasedRunLauncher

POOL = "duckdb_tiny"
WAITING_SECONDS = 60


@dg.op(pool=POOL, required_resource_keys={"data"})
def write() -> None:
    """Killed within the step while it holds the pool, if the environment says so."""
    if os.environ.get("DIE"):
        os.kill(os.getpid(), signal.SIGKILL)


@dg.job(executor_def=run_executor, resource_defs={"data": DataHome()})
def pooled() -> None:
    write()


RUN = """
import sys, dagster as dg
from dagster._utils.interrupts import capture_interrupts
from regime_assets_tests.runs.test_dead_runs import pooled
with dg.DagsterInstance.get() as instance, capture_interrupts():
    done = dg.execute_job(dg.reconstructable(pooled), instance, raise_on_error=False)
    print(done.success)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    from regime_assets.instance import prepare_dagster_home

    home = Home(tmp_path)
    for name, value in prepare_dagster_home(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(HOME_VARIABLE, str(home.root))
    return home


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        yield instance


def started(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", RUN], env={**os.environ, **environment})


def test_a_killed_run_is_found_and_gives_its_slot_back(home: Home, instance: dg.DagsterInstance) -> None:
    assert started(DIE="1").wait() == -signal.SIGKILL
    (run,) = instance.get_runs()
    slots = instance.event_log_storage.get_concurrency_info
    assert run.status == dg.DagsterRunStatus.STARTED, "nobody was there to say that it failed"
    assert slots(POOL).active_slot_count == 1
    assert isinstance(instance.run_launcher, LeasedRunLauncher)
    assert "is gone: it was killed" in str(instance.run_launcher.check_run_worker_health(run).msg)
    assert slots(POOL).active_slot_count == 0
    (told,) = end_dead_runs(instance, home)
    assert "of pooled: process" in told
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.FAILURE
    assert list(end_dead_runs(instance, home)) == []
    assert started().wait() == 0
    assert next(iter(instance.get_runs())).status == dg.DagsterRunStatus.SUCCESS


def test_a_waiting_run_ends_at_a_signal(instance: dg.DagsterInstance) -> None:
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    claimed = instance.event_log_storage.claim_concurrency_slot(POOL, "another run", "write")
    assert claimed.is_claimed
    waiting = started()
    deadline = time.monotonic() + WAITING_SECONDS
    while not instance.event_log_storage.get_concurrency_info(POOL).pending_step_count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    waiting.send_signal(signal.SIGTERM)
    waiting.wait(timeout=20)
    assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
