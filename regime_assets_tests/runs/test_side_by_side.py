"""Both sides of a run have a process of their own: what they do at once, in which order, and how they end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.resources import DataHome
from regime_assets.runs.executor import run_executor
from regime_assets.runs.side_by_side import SIDE_TAG, has_cores
from regime_assets_tests.runs.test_ended_runs import is_alive

pytestmark = pytest.mark.skipif(not has_cores(2), reason="on one core, steps are executed one after another")

POOL = "duckdb_tiny"
MEETING_SECONDS, END_SECONDS = 30.0, 30.0
FOLDER, SIDE = "MEETING_FOLDER", "TROUBLED_SIDE"


def step(side: str, name: str, priority: int = 0) -> dg.OpDefinition:
    """A step that tells its process, and then meets with what the environment has for its side."""

    @dg.op(
        name=f"{side}_{name}",
        ins={"start": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        pool=f"{POOL}_{side}",
        tags={SIDE_TAG: side, "dagster/priority": str(priority)},
        required_resource_keys={"data"},
    )
    def work() -> None:
        folder = Path(os.environ[FOLDER])
        (folder / f"{side}_{name}").write_text(f"{os.getpid()} {time.monotonic()}")
        if name != "fit":
            return
        other = folder / f"{'long' if side == 'short' else 'short'}_fit"
        trouble = os.environ.get("TROUBLE", "") if os.environ.get(SIDE) == side else ""
        deadline = time.monotonic() + MEETING_SECONDS
        while not other.exists():
            assert time.monotonic() < deadline, "the other side does not work at the same time"
            time.sleep(0.01)
        if trouble == "raises":
            raise ValueError(f"{side} cannot be fitted")
        if trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "hangs":
            time.sleep(600)

    return work


@dg.op(out=dg.Out(dg.Nothing), pool=POOL, required_resource_keys={"data"})
def prices() -> None:
    (Path(os.environ[FOLDER]) / "prices").write_text(f"{os.getpid()} {time.monotonic()}")


@dg.job(executor_def=run_executor, resource_defs={"data": DataHome()})
def two_sides() -> None:
    begun = prices()
    for side in ("short", "long"):
        step(side, "judge", -1)(step(side, "fit")(begun))
    step("short", "signal", -2)(begun)


RUN = """
import sys, dagster as dg
from dagster._utils.interrupts import capture_interrupts
from regime_assets.runs import warm_runs
from regime_assets_tests.runs.test_side_by_side import two_sides
warm_runs.PRELOADED = "json"
with dg.DagsterInstance.get() as instance, capture_interrupts():
    done = dg.execute_job(dg.reconstructable(two_sides), instance, raise_on_error=False)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = Home(tmp_path / "home")
    for name, value in prepare_dagster_home(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(HOME_VARIABLE, str(home.root))
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture
def instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(folder / "home" / "dagster")) as instance:
        yield instance


def started(side: str = "", trouble: str = "") -> subprocess.Popen[bytes]:
    environment = {**os.environ, SIDE: side, "TROUBLE": trouble}
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", RUN], env=environment)


def told(folder: Path) -> dict[str, tuple[int, float]]:
    """Step → its process and when it began, by a clock that all processes of a machine share."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return {path.name: (int(path.read_text().split()[0]), float(path.read_text().split()[1])) for path in files}


def failures(instance: dg.DagsterInstance) -> dict[str, str]:
    """Step → why it failed in the only run."""
    (run,) = instance.get_runs()
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    found = [event.dagster_event for event in events if event.dagster_event is not None]
    return {str(event.step_key): str(event.step_failure_data.error) for event in found}


def held_slots(instance: dg.DagsterInstance) -> int:
    log = instance.event_log_storage
    return sum(log.get_concurrency_info(key).active_slot_count for key in log.get_concurrency_keys())


def until_started(folder: Path, name: str) -> None:
    deadline = time.monotonic() + MEETING_SECONDS
    while not (folder / name).exists() or not (folder / name).read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_side_has_a_process_and_both_work_at_the_same_time(folder: Path, instance: dg.DagsterInstance) -> None:
    assert started().wait() == 0
    (run,) = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.SUCCESS, "the fits met, each in a process of its own"
    processes = {name: process for name, (process, _) in told(folder).items()}
    assert processes["short_fit"] == processes["short_judge"] == processes["short_signal"]
    assert processes["long_fit"] == processes["long_judge"] == processes["prices"], (
        "what has no side is the first one's"
    )
    assert processes["long_fit"] != processes["short_fit"]
    assert held_slots(instance) == 0


def test_a_lower_priority_waits_for_both_sides(folder: Path) -> None:
    assert started().wait() == 0
    began = {name: at for name, (_, at) in told(folder).items()}
    assert began["short_signal"] > max(began["short_judge"], began["long_judge"]), "although it waits for prices alone"
    assert min(began["short_judge"], began["long_judge"]) > max(began["short_fit"], began["long_fit"])


def test_what_fails_on_one_side_stops_only_what_depends_on_it(folder: Path, instance: dg.DagsterInstance) -> None:
    assert started("short", "raises").wait() == 0
    (run,) = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert set(failures(instance)) == {"short_fit"}
    assert "short cannot be fitted" in failures(instance)["short_fit"]
    assert {"long_judge", "short_signal"} < set(told(folder))
    assert "short_judge" not in told(folder)


def test_a_step_whose_process_is_killed_fails_and_the_rest_goes_on(folder: Path, instance: dg.DagsterInstance) -> None:
    assert started("short", "dies").wait() == 0
    assert set(failures(instance)) == {"short_fit"}
    assert "killed by signal 9" in failures(instance)["short_fit"]
    assert {"long_judge", "short_signal"} < set(told(folder)), "the signal in another process of its side"
    assert held_slots(instance) == 0


def test_a_signal_ends_the_steps_of_both_sides(folder: Path, instance: dg.DagsterInstance) -> None:
    running = started("short", "hangs")
    until_started(folder, "long_fit")
    until_started(folder, "short_fit")
    time.sleep(1.0)
    running.send_signal(signal.SIGTERM)
    running.wait(timeout=END_SECONDS)
    assert list(failures(instance)) == ["short_fit"]
    assert "short_signal" not in told(folder)
    assert held_slots(instance) == 0, "the next run need not wait"
    assert not any(is_alive(process) for process, _ in told(folder).values())


def test_the_processes_of_a_killed_run_end_with_it(folder: Path) -> None:
    running = started("long", "hangs")
    until_started(folder, "long_fit")
    running.kill()
    running.wait()
    deadline = time.monotonic() + END_SECONDS
    while any(is_alive(process) for process, _ in told(folder).values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
