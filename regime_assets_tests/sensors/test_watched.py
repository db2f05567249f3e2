"""One tick over all universes: what it leaves out, and that one universe's trouble stops no other one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)

from regime_assets.assets.drift_report import EPISODE_METADATA
from regime_assets.definitions import build_definitions
from regime_assets.library.clock import clock
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.report.failures import recorded_failures
from regime_assets.library.universe import load_universe
from regime_assets.sensors.watched import ALWAYS, NOTHING_NEW, Answer, Watched, watching_sensor
from regime_assets.universe_definitions import universe_chain

UNIVERSE = """\
name: {name}
source: {{kind: sample}}
history_start: 2015-01-02
first_partition: 2019-01-02
symbols: [AAPL, MSFT, JPM]
traded: [SP500]
"""
NOON = datetime(2022, 12, 29, 17, 0, tzinfo=UTC)


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(UNIVERSE.format(name=name))
    with clock.at(NOON):
        return build_definitions(Home(tmp_path), tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


class Looks:
    """One sensor's ticks, each with the cursor of the one before."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, name: str) -> None:
        self.definitions, self.instance, self.name = definitions, instance, name
        self.cursor: str | None = None

    def look(self, at: datetime = NOON) -> list[str] | str:
        """The run keys that are asked for, or why there are none."""
        context = dg.build_sensor_context(self.instance, self.cursor, definitions=self.definitions)
        with clock.at(at):
            tick = self.definitions.resolve_sensor_def(self.name).evaluate_tick(context)
        self.cursor = tick.cursor
        return [str(request.run_key) for request in tick.run_requests or ()] or str(tick.skip_message)


def materialize(instance: dg.DagsterInstance, key: str, session: str, metadata: dict[str, str] | None = None) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(key.split("/"), partition=session, metadata=metadata))


def stop(instance: dg.DagsterInstance, definitions: dg.Definitions, schedule: str) -> None:
    location = RegisteredCodeLocationOrigin("regime_assets")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, definitions.get_repository_def().name), schedule)
    data = ScheduleInstigatorData("30 0 * * *")
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.STOPPED, data))


def test_one_tick_asks_for_what_every_universe_needs(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    assert Looks(definitions, instance, "daily_sensor").look() == [
        "daily:one:2022-12-28@2022-12-28",
        "daily:two:2022-12-28@2022-12-28",
    ]


def test_a_tick_that_finds_no_new_event_looks_no_further_until_the_next_turn(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    for name in ("one", "two"):
        materialize(instance, f"{name}/daily_signal", "2022-12-28")
    daily = Looks(definitions, instance, "daily_sensor")
    assert daily.look() == "one: every session up to 2022-12-28 is done\ntwo: every session up to 2022-12-28 is done"
    assert daily.look(NOON + timedelta(hours=12)) == NOTHING_NEW
    assert daily.look(NOON + timedelta(hours=13)) == [
        "daily:one:2022-12-29@2022-12-29",
        "daily:two:2022-12-29@2022-12-29",
    ]


def test_an_event_is_looked_at_whenever_it_comes(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    watch = Looks(definitions, instance, "drift_sensor")
    assert watch.look() == "one: no drift episode is open\ntwo: no drift episode is open"
    assert watch.look() == NOTHING_NEW
    materialize(instance, "two/short/drift_report", "2022-12-28", {EPISODE_METADATA: "drift-2022-12-28"})
    assert watch.look() == ["drift:two:short:drift-2022-12-28"]
    assert watch.look() == ["drift:two:short:drift-2022-12-28"], "until its run is there"


def test_a_universe_that_is_added_is_looked_at_although_nothing_happened(
    definitions: dg.Definitions, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    watch = Looks(definitions, instance, "drift_sensor")
    watch.look()
    (tmp_path / "three.yaml").write_text(UNIVERSE.format(name="three"))
    watch.definitions = build_definitions(Home(tmp_path), tmp_path)
    assert "three: no drift episode is open" in watch.look()


def test_a_universe_whose_schedule_was_stopped_is_left_alone(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    daily = Looks(definitions, instance, "daily_sensor")
    stop(instance, definitions, "one_daily_schedule")
    assert daily.look() == ["daily:two:2022-12-28@2022-12-28"]
    stop(instance, definitions, "two_daily_schedule")
    assert daily.look() == "one: one_daily_schedule is stopped\ntwo: two_daily_schedule is stopped"


def test_what_one_universe_raises_is_kept_and_stops_no_other_one(
    definitions: dg.Definitions,  # noqa: ARG001 - writes the files
    instance: dg.DagsterInstance,
    tmp_path: Path,
) -> None:
    trouble, request = [OSError("its calendar is gone")], dg.RunRequest(run_key="asked", job_name="two_daily")
    files = [load_universe(tmp_path / f"{name}.yaml") for name in ("one", "two")]
    watched = [universe_chain(universe, Home(tmp_path)).watched for universe in files]

    def ask(_: dg.DagsterInstance, universe: Watched) -> Answer:
        if universe.name == "one" and trouble:
            raise trouble[0]
        return Answer((request,) if universe.name == "two" and trouble else (), "nothing", ALWAYS)

    sensor = watching_sensor("watch", watched, [each.daily for each in watched], ask, "")

    def look() -> dg.SensorResult:
        result = sensor(dg.build_sensor_context(instance))
        assert isinstance(result, dg.SensorResult)
        return result

    assert look().run_requests == [request]
    (failure,) = recorded_failures(Home(tmp_path), "one")
    assert failure.what == "watch failed"
    assert "its calendar is gone" in failure.why
    trouble.clear()
    assert not look().run_requests
    assert recorded_failures(Home(tmp_path), "one") == ()
