"""Dagster's storage over kept connections writes what Dagster's own writes, and each reads what the other one wrote."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import serialize_value

from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import Home
from regime_assets.runs.sqlite_storage import (
    FILES_KEPT,
    EventLog,
    KeptEngines,
    KeptSqliteStorage,
    RecordsError,
    Runs,
    Ticks,
)

RULES = ("first", "second", "third")
KEY = dg.AssetKey("prices")
RANGE = {"dagster/asset_partition_range_start": "2024-06-24", "dagster/asset_partition_range_end": "2024-06-25"}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


SESSIONS = dg.DailyPartitionsDefinition("2024-06-24", exclusions=[datetime(2024, 7, day) for day in range(1, 32)])


@dg.asset(
    partitions_def=SESSIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec(name, asset="prices", partitions_def=SESSIONS) for name in RULES],
)
def prices(context: dg.AssetExecutionContext) -> Iterator[Any]:
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": 7}, partition_key=key)
    yield dg.MaterializeResult()
    for name in RULES:
        yield dg.AssetCheckResult(check_name=name, passed=name != "second")


JOB = dg.Definitions([prices], jobs=[dg.define_asset_job("both", [prices])]).resolve_job_def("both")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    for name, value in prepare_dagster_home(Home(tmp_path)).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def other(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with Dagster's own storage."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path / "other")) as instance:
        yield instance


def history(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory, "history")


def run(instance: dg.DagsterInstance) -> str:
    done = JOB.execute_in_process(instance=instance, tags=RANGE, run_config=QUIET)
    assert done.success
    return done.run_id


def written(instance: dg.DagsterInstance, run_id: str) -> dict[str, list[Any]]:
    """What lies in a run's file and in those for all, without moments."""
    files = {"run": history(instance) / "runs" / f"{run_id}.db", "index": history(instance) / "runs" / "index.db"}
    event = "dagster_event_type, step_key, asset_key, partition, run_id = ?"
    check = "asset_key, check_name, partition, execution_status, evaluation_event_storage_id, run_id = ?"
    questions = {
        "made": ("run", "SELECT type, name, sql FROM sqlite_master WHERE ? <> '' ORDER BY name"),
        "version": ("run", "SELECT version_num FROM alembic_version WHERE ? <> ''"),
        "events": ("run", f"SELECT {event} FROM event_logs ORDER BY id"),
        "indexed": ("index", f"SELECT {event} FROM event_logs ORDER BY id"),
        "checks": ("index", f"SELECT {check} FROM asset_check_executions ORDER BY id"),
        "assets": ("index", "SELECT asset_key, last_run_id = ? FROM asset_keys"),
    }
    answers: dict[str, list[Any]] = {}
    for name, (file, sql) in questions.items():
        with closing(sqlite3.connect(files[file])) as connection:
            answers[name] = connection.execute(sql, [run_id]).fetchall()
    return answers


def made(rows: dict[str, list[Any]]) -> list[tuple[str, str, str]]:
    """A file's tables and indices, however their statements are set."""
    return [(kind, name, "".join((sql or "").split())) for kind, name, sql in rows.pop("made")]


def test_a_data_folder_has_it(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.event_log_storage, EventLog)
    assert isinstance(instance.run_storage, Runs)
    assert isinstance(instance.schedule_storage, Ticks)
    assert instance.root_directory == os.environ["DAGSTER_HOME"]


def test_a_run_leaves_the_rows_and_tables_that_it_leaves_in_dagsters_own(
    instance: dg.DagsterInstance, other: dg.DagsterInstance
) -> None:
    ours, theirs = written(instance, run(instance)), written(other, run(other))
    assert made(ours) == made(theirs)
    # A batch is in the order in which Dagster sorts it; rows of one run are the same set in both.
    assert {name: sorted(map(repr, rows)) for name, rows in ours.items()} == {
        name: sorted(map(repr, rows)) for name, rows in theirs.items()
    }


def test_either_goes_on_where_the_other_one_stopped(instance: dg.DagsterInstance, other: dg.DagsterInstance) -> None:
    first = run(other)
    ours = KeptSqliteStorage.from_local(other.root_directory)
    assert [e.message for e in ours.event_log_storage.get_logs_for_run(first)] == [
        e.message for e in other.all_logs(first)
    ]
    second = run(instance)
    theirs = DagsterSqliteStorage.from_local(instance.root_directory)
    assert len(theirs.event_log_storage.get_logs_for_run(second)) == len(instance.all_logs(second))
    assert theirs.event_log_storage.get_materialized_partitions(KEY) == {"2024-06-24", "2024-06-25"}
    (kept,) = theirs.run_storage.get_runs()
    assert (kept.run_id, kept.status) == (second, dg.DagsterRunStatus.SUCCESS)


def test_a_check_that_is_planned_names_its_partitions_and_not_the_whole_calendar(
    instance: dg.DagsterInstance, other: dg.DagsterInstance
) -> None:
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    ours, theirs = (kept.all_logs(run(kept), of_type=kind) for kept in (instance, other))
    for own, dagsters in zip(ours, theirs, strict=True):
        (keys, same) = (e.get_dagster_event().asset_check_planned_data.partitions_subset for e in (own, dagsters))
        assert set(keys.get_partition_keys()) == set(same.get_partition_keys()) == {"2024-06-24", "2024-06-25"}
        assert len(serialize_value(own)) < len(serialize_value(dagsters)) / 2


def test_a_batch_is_stored_whole_or_not_at_all(instance: dg.DagsterInstance) -> None:
    log, events = instance.event_log_storage, instance.all_logs(run(instance))
    event: Any = events[0]._replace(run_id="another")
    with pytest.raises(AttributeError):
        log.store_event_batch([event, "none"])  # type: ignore[list-item]
    assert not log.get_logs_for_run("another")
    log.store_event_batch([event, event])
    assert len(log.get_logs_for_run("another")) == 2


def test_who_watches_a_run_hears_of_its_events_while_its_file_stays_open(instance: dg.DagsterInstance) -> None:
    heard, came = [], threading.Event()
    event: Any = instance.all_logs(run(instance))[0]._replace(run_id="watched")
    instance.event_log_storage.store_event(event)

    def hear(entry: dg.EventLogEntry, cursor: str) -> None:
        heard.append((entry.run_id, cursor))
        came.set()

    instance.watch_event_logs("watched", None, hear)
    instance.event_log_storage.store_event(event)
    assert came.wait(timeout=30)
    instance.end_watch_event_logs("watched", hear)
    assert {run_id for run_id, _ in heard} == {"watched"}


def test_a_fork_opens_files_of_its_own(tmp_path: Path) -> None:
    engines, url = KeptEngines(), f"sqlite:///{tmp_path / 'one.db'}"
    with engines.of(url).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (process INTEGER)")
    parents = engines.of(url)
    child = os.fork()
    if not child:
        with engines.of(url).begin() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (?)", (os.getpid(),))
        os._exit(0 if engines.of(url) is not parents else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert engines.of(url) is parents
    with engines.of(url).begin() as connection:
        assert connection.exec_driver_sql("SELECT process FROM t").scalar() == child


def test_a_file_that_was_put_in_the_place_of_another_one_is_the_one_that_is_read(tmp_path: Path) -> None:
    engines, place = KeptEngines(), tmp_path / "one.db"
    for name, value in (("before", 1), ("after", 2)):
        with closing(sqlite3.connect(tmp_path / name)) as connection, connection:
            connection.execute(f"CREATE TABLE t AS SELECT {value} AS v")
    for name, value in (("before", 1), ("after", 2)):
        shutil.move(tmp_path / name, place)
        with engines.of(f"sqlite:///{place}").begin() as connection:
            assert connection.exec_driver_sql("SELECT v FROM t").scalar() == value


def test_files_that_were_not_used_for_long_are_closed(tmp_path: Path) -> None:
    engines, places = KeptEngines(), [tmp_path / f"{n}.db" for n in range(FILES_KEPT + 3)]
    for place in places:
        with engines.of(f"sqlite:///{place}").begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t AS SELECT 1")
    open_now = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert {place for place in places if str(place.resolve()) in open_now} == set(places[3:])
    engines.close()
    assert not any(os.path.realpath(f"/proc/self/fd/{fd}") == str(places[-1]) for fd in os.listdir("/proc/self/fd"))


def test_the_newest_materialization_is_read_once_and_again_after_another_process_wrote_one(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    of_dagster = SqliteEventLogStorage.fetch_materializations

    def counted(self: SqliteEventLogStorage, *arguments: Any) -> Any:
        read.append(arguments)
        return of_dagster(self, *arguments)

    monkeypatch.setattr(SqliteEventLogStorage, "fetch_materializations", counted)

    def newest(session: str) -> list[int]:
        wanted = dg.AssetRecordsFilter(KEY, asset_partitions=[session])
        return [found.storage_id for found in instance.fetch_materializations(wanted, limit=1).records]

    def materialize(by: dg.DagsterInstance, session: str) -> None:
        by.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=session))

    assert newest("2024-06-24") == []
    materialize(instance, "2024-06-24")
    first = newest("2024-06-24")
    materialize(instance, "2024-06-25")
    assert newest("2024-06-24") == first != []
    assert len(read) == 2
    with dg.DagsterInstance.get() as elsewhere:
        materialize(elsewhere, "2024-06-24")
    assert newest("2024-06-24") > first
    assert newest("2024-06-25") != newest("2024-06-24")


@pytest.mark.parametrize("file", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_a_file_that_was_cut_is_named_with_what_to_do(tmp_path: Path, file: str) -> None:
    KeptSqliteStorage.from_local(str(tmp_path)).dispose()
    os.truncate(tmp_path / file, (tmp_path / file).stat().st_size // 2)
    with pytest.raises(RecordsError, match=rf"{tmp_path / file}: damaged .*regime-assets restore.*move the file"):
        KeptSqliteStorage.from_local(str(tmp_path))


def test_a_file_that_is_damaged_while_it_is_open_is_named_too(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    engines = KeptEngines()
    with engines.of(f"sqlite:///{file}").begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t AS SELECT randomblob(9) x")
    engines.close()
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(RecordsError, match="damaged"), engines.of(f"sqlite:///{file}").begin() as connection:
        connection.exec_driver_sql("SELECT * FROM t")
