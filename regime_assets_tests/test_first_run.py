"""What the first run refuses, and how it puts errors into words."""

import threading
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from regime_assets.definitions import SHIPPED_UNIVERSES
from regime_assets.first_run import FirstRunError, alone, chosen_sessions, first_run
from regime_assets.library.file_lock import file_lock
from regime_assets.library.home import Home
from regime_assets.library.lease import hold_lease
from regime_assets.library.steps.raw_prices import RejectedDataError
from regime_assets.library.universe import load_universes
from regime_assets.runs.plain_errors import plain_message, plain_text
from regime_assets_tests.chain_run import opened

(UNIVERSE,) = load_universes([SHIPPED_UNIVERSES]).loaded


@pytest.mark.parametrize(
    ("first", "sessions", "said"),
    [
        (date(2009, 5, 1), 3, "it has those from 2010-01-04 to 2022-12-28"),
        (date(2023, 1, 3), 3, "it has those from 2010-01-04 to 2022-12-28"),
        (date(2022, 12, 27), 3, "has 2 sessions from 2022-12-27 on, 3 were asked for. Ask for fewer."),
    ],
)
def test_sessions_that_a_universe_does_not_have_are_refused_with_those_that_it_has(
    tmp_path: Path, first: date, sessions: int, said: str
) -> None:
    with pytest.raises(FirstRunError, match=said):
        first_run(Home(tmp_path), UNIVERSE, sessions, first, print)
    assert not Home(tmp_path).database(UNIVERSE.name).exists()


def test_a_finished_universe_keeps_sessions_behind_the_first_run_to_be_materialized_by_hand(tmp_path: Path) -> None:
    chosen = chosen_sessions(UNIVERSE, Home(tmp_path), 3, None)
    assert chosen == (date(2022, 12, 16), date(2022, 12, 19), date(2022, 12, 20))


def test_a_first_partition_without_history_before_it_is_told_with_its_line_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = (SHIPPED_UNIVERSES / "us_large_cap.yaml").read_text()
    early = shipped.replace("first_partition: 2010-01-04", "first_partition: 1995-06-01")
    (tmp_path / "us_large_cap.yaml").write_text(early)
    monkeypatch.setenv("REGIME_ASSETS_UNIVERSES", str(tmp_path))
    line = early.splitlines().index("first_partition: 1995-06-01") + 1
    universe = load_universes([tmp_path]).loaded[0]
    with pytest.raises(FirstRunError, match=f"us_large_cap.yaml:{line}: .*the first possible one is 1997"):
        first_run(Home(tmp_path), universe, 1, date(1995, 6, 1), print)
    assert not Home(tmp_path).database(universe.name).exists()


def test_errors_are_told_without_the_names_of_modules() -> None:
    assert plain_message(dg.Failure("KO lacks a bar")) == "KO lacks a bar"
    assert plain_message(FirstRunError("ask for fewer")) == "ask for fewer"
    assert plain_message(KeyError("x")) == "KeyError: 'x'"
    own = f"{RejectedDataError.__module__}.RejectedDataError: KO: lacks 2020-01-02\n"
    assert plain_text(own) == "KO: lacks 2020-01-02"
    assert plain_text("dagster._core.definitions.events.Failure: KO lacks a bar") == "KO lacks a bar"
    assert plain_text("duckdb.duckdb.IOException: IO Error: locked") == "IOException: IO Error: locked"


def test_a_session_waits_for_another_process_that_runs_one_of_the_universe(tmp_path: Path) -> None:
    home, said = Home(tmp_path), list[str]()
    lock = home.locks / f"{UNIVERSE.name}.session-run.lock"
    with opened(home) as instance:
        with file_lock(lock, 1.0):
            other = threading.Thread(target=lambda: enter(home, instance, said))
            other.start()
            other.join(0.3)
            assert said == [f"waits: another process runs a session of {UNIVERSE.name}"]
        other.join(10.0)
        assert said[1:] == ["entered"]


@pytest.mark.parametrize(("job", "waits"), [("daily", True), ("signal", True), ("retention", False)])
def test_a_session_waits_for_a_living_run_of_the_daemon(tmp_path: Path, job: str, waits: bool) -> None:
    home, said = Home(tmp_path), list[str]()
    with opened(home) as instance:
        started = dg.DagsterRunStatus.STARTED
        create_run_for_test(instance, job_name=f"{UNIVERSE.name}_daily", status=started)  # its process is not known
        run = create_run_for_test(instance, job_name=f"{UNIVERSE.name}_{job}", status=started)
        hold_lease(home.run_lease(run.run_id))
        other = threading.Thread(target=lambda: enter(home, instance, said))
        other.start()
        if waits:
            other.join(0.3)
            assert said == [f"waits: run {run.run_id} of {UNIVERSE.name} is under way"]
            instance.report_run_canceled(run)
        other.join(10.0)
    assert said[-1] == "entered"


def enter(home: Home, instance: dg.DagsterInstance, said: list[str]) -> None:
    with alone(home, UNIVERSE, instance, said.append):
        said.append("entered")
