"""After days without power: missed sessions run one by one, oldest first, and data that fails pauses them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from regime_assets.assets.lane import Lane
from regime_assets.jobs import daily_job, operator_jobs, signal_job
from regime_assets.library.clock import clock
from regime_assets.library.database import Database
from regime_assets.library.market.calendar import load_calendar
from regime_assets.library.universe import load_universe
from regime_assets.partitions import session_partitions
from regime_assets.runs.dead_runs import NEVER_STARTED
from regime_assets.sensors.catch_up import SENSOR_GRACE, daily_schedule, daily_sensor, due_sessions
from regime_assets.sensors.watched import Watched

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2015-01-02
first_partition: 2019-01-02
symbols: [AAPL, MSFT, JPM]
traded: [SP500]
schedule: {catch_up_sessions: 5}
"""
NEW_YORK = ZoneInfo("America/New_York")
LANES = [("short",), ("long",)]


class Machine:
    """One universe on one instance, with a clock that the test sets."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        (folder / "tiny.yaml").write_text(UNIVERSE)
        universe = load_universe(folder / "tiny.yaml")
        self.calendar = load_calendar("XNYS", universe.history_start, folder)
        self.lane = Lane(universe, session_partitions(universe, self.calendar))
        self.now = datetime(2022, 12, 29, 1, 0, tzinfo=NEW_YORK)
        self.instance = instance

    def tick(self) -> dg.RunRequest | str:
        """The request, or why there is none; the sensor is made anew each time, as after a restart."""
        jobs = daily_job(self.lane), signal_job(self.lane), operator_jobs(self.lane)[0]
        watched = Watched(self.lane, (), lambda: self.calendar, *jobs)
        with clock.at(self.now):
            result = daily_sensor([watched])(dg.build_sensor_context(instance=self.instance))
        assert isinstance(result, dg.SensorResult)
        if not result.run_requests:
            assert isinstance(result.skip_reason, dg.SkipReason)
            return result.skip_reason.skip_message or ""
        (request,) = result.run_requests
        return request

    def scheduled(self) -> dg.RunRequest | str:
        """What the schedule's tick at this time asks for, or why it asks for nothing."""
        schedule = daily_schedule(self.lane, lambda: self.calendar)
        context = dg.build_schedule_context(instance=self.instance, scheduled_execution_time=self.now)
        result = schedule(context)
        if isinstance(result, dg.SkipReason):
            return result.skip_message or ""
        assert isinstance(result, dg.RunRequest)
        return result

    def request(self) -> tuple[str, str]:
        """Job and session of the request that the tick makes."""
        result = self.tick()
        assert isinstance(result, dg.RunRequest), result
        return str(result.job_name), str(result.partition_key)

    def materialize(self, session: str, *path: str) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization(["tiny", *path], partition=session))

    def run(self, failing: str | None = None) -> str:
        """Carry out what the tick asks for; `failing` is the step that fails. Returns the session."""
        result = self.tick()
        assert isinstance(result, dg.RunRequest), result

        @dg.op(name=f"tiny__{failing}" if failing else "tiny__daily_signal")
        def step() -> None:
            if failing:
                raise ValueError("broken")

        @dg.job(name=result.job_name)
        def job() -> None:
            step()

        session = str(result.partition_key)
        tags = {**result.tags, "dagster/partition": session}
        job.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)
        if failing != "raw_prices":
            for lane in LANES:
                self.materialize(session, *lane, "validated_window")
        if not failing:
            self.materialize(session, "daily_signal")
        return session


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with dg.instance_for_test() as instance:
        yield Machine(tmp_path, instance)


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        (datetime(2022, 12, 24, 0, 29, tzinfo=NEW_YORK), date(2022, 12, 22)),
        (datetime(2022, 12, 24, 0, 30, tzinfo=NEW_YORK), date(2022, 12, 23)),
        (datetime(2022, 12, 24, 5, 30, tzinfo=UTC), date(2022, 12, 23)),
        (datetime(2022, 12, 27, 12, 0, tzinfo=NEW_YORK), date(2022, 12, 23)),
        (datetime(2022, 12, 28, 0, 30, tzinfo=NEW_YORK), date(2022, 12, 27)),
    ],
)
def test_a_session_is_due_after_the_exchanges_midnight(machine: Machine, now: datetime, newest: date) -> None:
    assert due_sessions(machine.lane, machine.calendar, now)[-1] == newest


@pytest.mark.parametrize(
    ("due_at", "session"),
    [
        (datetime(2022, 3, 12, 5, 30, tzinfo=UTC), date(2022, 3, 11)),  # the last night of winter time
        (datetime(2022, 3, 15, 4, 30, tzinfo=UTC), date(2022, 3, 14)),  # the first one of summer time
        (datetime(2022, 11, 5, 4, 30, tzinfo=UTC), date(2022, 11, 4)),
        (datetime(2022, 11, 8, 5, 30, tzinfo=UTC), date(2022, 11, 7)),
    ],
)
def test_the_hour_of_summer_time_moves_no_session(machine: Machine, due_at: datetime, session: date) -> None:
    assert due_sessions(machine.lane, machine.calendar, due_at)[-1] == session
    assert due_sessions(machine.lane, machine.calendar, due_at - timedelta(minutes=1))[-1] < session


@pytest.mark.parametrize("night", [date(2022, 3, 13), date(2022, 11, 6)])
@pytest.mark.parametrize("at", ["00:30", "01:30", "02:30"])
def test_what_was_due_stays_due_through_the_night_in_which_the_hour_changes(
    tmp_path: Path, night: date, at: str
) -> None:
    """A market that never closes, asked every ten minutes; 02:30 is left out in spring, 01:30 comes twice in autumn."""
    text = UNIVERSE.replace("{catch_up_sessions: 5}", f'{{catch_up_sessions: 5, at: "{at}"}}')
    (tmp_path / "tiny.yaml").write_text(text)
    universe = load_universe(tmp_path / "tiny.yaml")
    calendar = load_calendar("24/7", universe.history_start, tmp_path)
    new_yorks = replace(calendar, timezone="America/New_York")
    lane = Lane(universe, session_partitions(universe, calendar))
    begin = datetime.combine(night, time(), tzinfo=NEW_YORK).astimezone(UTC)
    newest = [due_sessions(lane, new_yorks, begin + timedelta(minutes=10 * step))[-1] for step in range(6 * 6)]
    assert newest == sorted(newest)
    assert (newest[0], newest[-1]) == (night - timedelta(days=2), night - timedelta(days=1))


def test_a_clock_that_was_ahead_costs_no_session_when_it_is_right_again(machine: Machine) -> None:
    machine.now = datetime(2022, 12, 22, 9, 0, tzinfo=NEW_YORK)
    assert machine.run() == "2022-12-21"
    machine.now = datetime(2022, 12, 24, 9, 0, tzinfo=NEW_YORK)  # two days ahead: no source has these bars yet
    assert machine.run(failing="raw_prices") == "2022-12-22"
    assert str(machine.tick()).startswith("paused at 2022-12-22")
    machine.now = datetime(2022, 12, 22, 12, 0, tzinfo=NEW_YORK)
    assert machine.tick() == "every session up to 2022-12-21 is done"
    machine.now = datetime(2022, 12, 28, 9, 0, tzinfo=NEW_YORK)
    assert [machine.run() for _ in range(3)] == ["2022-12-22", "2022-12-23", "2022-12-27"]


def test_a_machine_that_slept_over_its_schedule_makes_up_for_it_and_a_clock_set_back_asks_for_nothing_twice(
    machine: Machine,
) -> None:
    machine.now = datetime(2022, 11, 4, 12, 0, tzinfo=NEW_YORK)
    assert machine.run() == "2022-11-03"
    machine.now = datetime(2022, 11, 8, 9, 0, tzinfo=NEW_YORK)  # after a weekend on which summer time ended
    assert [machine.run(), machine.run()] == ["2022-11-04", "2022-11-07"]
    machine.now = datetime(2022, 11, 7, 23, 0, tzinfo=NEW_YORK)
    assert machine.tick() == "every session up to 2022-11-04 is done"
    machine.now = datetime(2022, 11, 9, 9, 0, tzinfo=NEW_YORK)
    assert machine.request() == ("tiny_daily", "2022-11-08")


def test_a_new_universe_begins_with_the_newest_session(machine: Machine) -> None:
    assert machine.request() == ("tiny_daily", "2022-12-28")


def test_missed_sessions_are_made_up_for_oldest_first_each_after_the_other(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    done = [machine.run() for _ in range(3)]
    assert done == ["2022-12-23", "2022-12-27", "2022-12-28"]
    assert machine.tick() == "every session up to 2022-12-28 is done"


def test_the_schedule_asks_for_the_session_that_has_just_ended_in_the_exchanges_time(machine: Machine) -> None:
    schedule = daily_schedule(machine.lane, lambda: machine.calendar)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 0 * * *", "America/New_York")
    machine.now = datetime(2022, 12, 29, 0, 30, tzinfo=NEW_YORK)
    machine.materialize("2022-12-27", "daily_signal")
    asked = machine.scheduled()
    assert isinstance(asked, dg.RunRequest)
    assert asked.partition_key == "2022-12-28"
    assert machine.tick() == "every session up to 2022-12-27 is done", "the sensor leaves it some minutes"
    machine.now += SENSOR_GRACE
    assert machine.request() == ("tiny_daily", "2022-12-28")
    machine.run()
    assert machine.scheduled() == "every session up to 2022-12-28 is done"


def test_the_schedule_begins_with_the_oldest_missed_session_and_leaves_the_rest_to_the_sensor(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    asked = machine.scheduled()
    assert isinstance(asked, dg.RunRequest)
    assert asked.partition_key == "2022-12-23"
    machine.run(failing="long__vae")
    assert machine.scheduled() == "the daily sensor lets the champion answer for 2022-12-23"
    assert [machine.run() for _ in range(3)] == ["2022-12-23", "2022-12-27", "2022-12-28"]


def test_nothing_is_asked_for_while_a_run_of_the_universe_goes_on(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")

    @dg.job(name="tiny_daily")
    def job() -> None: ...

    run = machine.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "2022-12-23"}
    )
    assert machine.tick() == f"2022-12-23 is under way (run {run.run_id})"


def test_a_run_that_was_made_and_never_started_is_ended_and_holds_nothing_up(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.materialize("2022-12-22", "daily_signal")

    @dg.job(name="tiny_daily")
    def job() -> None: ...

    run = machine.instance.create_run_for_job(job, tags={"dagster/partition": "2022-12-23"})
    assert machine.tick() == f"2022-12-23 is under way (run {run.run_id})", "it may be started yet"
    later = datetime.now(UTC) + NEVER_STARTED + timedelta(seconds=5)
    monkeypatch.setattr(type(clock), "system_now", lambda _: later)
    assert machine.request() == ("tiny_daily", "2022-12-23")
    assert [ended.status for ended in machine.instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


def test_a_walk_forward_holds_up_no_session(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")

    def started(*names: str) -> None:
        selection = frozenset(dg.AssetKey(["tiny", "long", name]) for name in names)
        run = dg.DagsterRun("__ASSET_JOB", asset_selection=selection, status=dg.DagsterRunStatus.STARTED)
        machine.instance.add_run(run)

    started("walk_forward")
    assert machine.request() == ("tiny_daily", "2022-12-23")
    started("walk_forward", "vae")
    assert "is under way" in str(machine.tick())


def test_asking_again_before_the_run_exists_uses_the_same_run_key(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    first, second = machine.tick(), machine.tick()
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert first.run_key == second.run_key, "Dagster runs a run key once"


def test_only_the_newest_missed_sessions_are_made_up_for(machine: Machine) -> None:
    machine.materialize("2022-06-01", "daily_signal")
    assert machine.request() == ("tiny_daily", "2022-12-21")


def test_data_that_fails_pauses_and_the_tick_names_it(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    machine.run(failing="raw_prices")
    for _ in range(3):
        message = machine.tick()
        assert isinstance(message, str)
        assert message.startswith("paused at 2022-12-23: tiny/raw_prices failed (run ")


def test_it_goes_on_when_the_asset_is_repaired(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    machine.run(failing="raw_prices")
    assert isinstance(machine.tick(), str)
    machine.materialize("2022-12-23", "raw_prices")
    assert [machine.run() for _ in range(3)] == ["2022-12-23", "2022-12-27", "2022-12-28"]


def test_a_repair_that_fails_again_pauses_again(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    machine.run(failing="raw_prices")
    machine.materialize("2022-12-23", "raw_prices")
    machine.run(failing="raw_prices")
    assert isinstance(machine.tick(), str)


def test_what_failed_gets_one_more_try_when_another_session_has_ended(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    machine.run(failing="raw_prices")
    machine.now += timedelta(days=1)
    assert machine.run(failing="raw_prices") == "2022-12-23"
    assert isinstance(machine.tick(), str)


def test_a_refit_that_fails_leaves_the_answer_to_the_champion_and_goes_on(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    machine.run(failing="long__vae")
    assert machine.request() == ("tiny_signal", "2022-12-23")
    machine.run()
    assert machine.request() == ("tiny_daily", "2022-12-27")


def test_a_champion_that_cannot_answer_pauses(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    machine.run(failing="long__vae")
    machine.run(failing="daily_signal")
    message = machine.tick()
    assert isinstance(message, str)
    assert "paused at 2022-12-23: tiny/long/vae, tiny/daily_signal failed" in message


def test_a_run_that_dagster_tries_again_is_waited_for(machine: Machine) -> None:
    machine.materialize("2022-12-22", "daily_signal")
    machine.run(failing="raw_prices")
    (run,) = machine.instance.get_runs()
    machine.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    message = machine.tick()
    assert isinstance(message, str)
    assert "is tried again by itself" in message


def test_where_the_data_ends_it_says_so(machine: Machine) -> None:
    ending = machine.lane.universe.model_copy(update={"last_partition": date(2022, 12, 28)})
    machine.lane = Lane(ending, machine.lane.partitions)
    machine.now = datetime(2026, 11, 20, 1, 0, tzinfo=NEW_YORK)
    machine.materialize("2022-12-28", "daily_signal")
    assert machine.tick() == "every session up to 2022-12-28 is done, where the data of tiny ends"


def test_a_tick_never_opens_the_database(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Database) -> None:
        raise AssertionError(f"{self.path} was opened")

    monkeypatch.setattr(Database, "connect", refuse)
    assert machine.request() == ("tiny_daily", "2022-12-28")
