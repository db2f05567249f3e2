"""Dagster's SQLite storage, which keeps what it otherwise makes anew for every row: engines, connections, statements.

Dagster's own opens the file for each row that it reads or writes, with an SQLAlchemy engine that compiles every
statement again, and closes it, at which SQLite copies its log into the file. The run of one session writes some four
hundred rows. Files, tables and rows are the same here, but for what the plan of a check carries (`_with_keys`):
either storage reads what the other one wrote.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool
from watchdog.observers import Observer

from regime_assets.library.home import RESTORE

if TYPE_CHECKING:
    from dagster._core.event_api import EventRecordsResult
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection, Engine
    from watchdog.events import FileSystemEvent

FILES_KEPT = 16
"""Files that a process keeps open. Every run has one of its own; the one that was used longest ago is closed."""

BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = "1000"
"""Events that Dagster hands over at a time where it has many of a kind, such as all that a run intends to make."""


VERSIONS = (
    "alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""The table in which Alembic keeps the version of a file's tables."""


_MATERIALIZED = (
    "SELECT max(id), count(*) FROM event_logs WHERE asset_key = ? AND dagster_event_type = ? AND partition = ?"
)
"""What tells whether a partition's materializations are still those that they were."""


class RecordsError(Exception):
    """A file of Dagster's is damaged or cannot be written; the message names it and says what to do."""


def _look_at(file: Path) -> None:
    """Refuse a file that was cut or is no database, before anything is asked of it."""
    if file.exists() and file.stat().st_size:
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as store:
                store.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            _refuse(str(file), error)


def _refuse(file: str, error: BaseException | None) -> None:
    if "readonly database" in str(error) or "unable to open database file" in str(error):
        raise RecordsError(f"{file}: cannot be written ({error}): let this user write to the file and its folder")
    if "malformed" in str(error) or "not a database" in str(error):
        raise RecordsError(
            f"{file}: damaged ({error}). {RESTORE.capitalize()}, or move the file away, and what Dagster recorded in "
            "it is gone: models, tables and what serves do not rest on it"
        )


class KeptEngines:
    """The engines of SQLite files with their idle connections, for one process.

    Args:
        synchronous: when SQLite waits for the disk. `FULL`: at each commit. `NORMAL`: when it copies its log into the
            file, so that a machine that loses power may lose the last commits, and never a part of one.
    """

    def __init__(self, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> None:
        self._synchronous = synchronous
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._engines: OrderedDict[str, tuple[int | None, Engine]] = OrderedDict()
        self._of_other_processes: list[object] = []

    def of(self, url: str) -> Engine:
        """The engine of a file, by its URL; another one once the file was replaced by another one."""
        file = make_url(url).database or ""
        inode = os.stat(file).st_ino if os.path.exists(file) else None
        with self._lock:
            self._leave_to_the_parent()
            known, engine = self._engines.get(file, (None, None))
            if engine is not None and known not in (None, inode):
                engine.dispose()
                engine = None
            if engine is None:
                arguments = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
                engine = create_engine(url, poolclass=QueuePool, max_overflow=-1, connect_args=arguments)
                event.listen(engine, "connect", self._prepare)
                event.listen(engine, "handle_error", lambda context: _refuse(file, context.original_exception))
            self._engines[file] = (inode, engine)
            self._engines.move_to_end(file)
            while len(self._engines) > FILES_KEPT:
                _, (_, unused) = self._engines.popitem(last=False)
                unused.dispose()
            return engine

    def _prepare(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    def close(self) -> None:
        """Close the files; who asks again opens them again."""
        with self._lock:
            self._leave_to_the_parent()
            for _, engine in self._engines.values():
                engine.dispose()
            self._engines.clear()

    def _leave_to_the_parent(self) -> None:
        """A fork neither uses nor closes the connections that it was born with, as SQLite demands."""
        if self._process != os.getpid():
            self._of_other_processes.append(self._engines)
            self._engines, self._process = OrderedDict(), os.getpid()


class EventLog(SqliteEventLogStorage):
    """Dagster's event log over kept engines: a file for each run, and one for what concerns all.

    What a loss of power takes from it is what a run killed between its table's commit and its event loses too: the
    session is materialized again, to the same bits.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines = KeptEngines("NORMAL")
        self._batch: Callable[[str], Connection] | None = None
        self._existing: set[tuple[str, str]] = set()
        self._newest: tuple[tuple[Any, ...], EventRecordsResult] | None = None
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # a batch's events are stored by the thread that holds it
        os.environ.setdefault(BATCH_VARIABLE, BATCH_SIZE)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if self._batch is not None:
                yield self._batch(shard)
                return
            with self._engine(shard).begin() as connection:
                yield connection

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.of(self.conn_string_for_shard(shard))
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:
        if for_index_shard or not (_version(engine) or self._is_made(engine)):
            super()._initdb(engine, for_index_shard)

    def _is_made(self, engine: Engine) -> bool:
        """Make the tables of a run's file, of the version of the file for all; False where another process is at it.

        Dagster reads its ninety migrations twice for that.
        """
        version = _version(self._engines.of(self.conn_string_for_shard(INDEX_SHARD_NAME)))
        if version is None:
            return False
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                SqlEventLogStorageMetadata.create_all(connection)
                connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {VERSIONS}")
                connection.exec_driver_sql("INSERT OR IGNORE INTO alembic_version VALUES (?)", (version,))
                connection.commit()
        except OperationalError:
            return False
        return True

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store one event; of a check that a run intends to make, with the keys of its partitions."""
        super().store_event(_with_keys(event))

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events in one transaction of each file."""
        with self._db_lock, ExitStack() as transactions:
            opened: dict[str, Connection] = {}

            def connection(shard: str) -> Connection:
                if shard not in opened:
                    opened[shard] = transactions.enter_context(self._engine(shard).begin())
                return opened[shard]

            self._batch = connection
            try:
                for event in events:
                    self.store_event(event)
            finally:
                self._batch = None

    def fetch_materializations(
        self,
        records_filter: dg.AssetKey | dg.AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,
    ) -> EventRecordsResult:
        """Materializations; the newest one of a partition, for which each check of it asks, is read once.

        It is read again after any process has written or deleted one of that partition.
        """

        def fetched() -> EventRecordsResult:
            return super(EventLog, self).fetch_materializations(records_filter, limit, cursor, ascending)

        if not isinstance(records_filter, dg.AssetRecordsFilter) or (limit, cursor, ascending) != (1, None, False):
            return fetched()
        key, partitions = records_filter.asset_key, records_filter.asset_partitions or []
        if len(partitions) != 1 or records_filter != dg.AssetRecordsFilter(key, asset_partitions=partitions):
            return fetched()
        with self.index_connection() as connection:
            asked = (key.to_string(), dg.DagsterEventType.ASSET_MATERIALIZATION.value, partitions[0])
            state = (*asked, *connection.exec_driver_sql(_MATERIALIZED, asked).one())
        if self._newest is None or self._newest[0] != state:
            self._newest = state, fetched()
        return self._newest[1]

    def has_table(self, table_name: str) -> bool:
        """Whether a table exists; those of Dagster stay where they are once they do."""
        return self._exists("table", table_name, lambda: super(EventLog, self).has_table(table_name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        look = super()._has_asset_key_col_on_connection
        return self._exists("column", column_name, lambda: look(conn, column_name))

    def _exists(self, kind: str, name: str, look: Callable[[], bool]) -> bool:
        if (kind, name) not in self._existing and look():
            self._existing.add((kind, name))
        return (kind, name) in self._existing

    def watch(self, run_id: str, cursor: str | None, callback: Any) -> None:
        """Tell of a run's new events: a kept connection writes them to SQLite's log, beside the file."""
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        watchdog = _LogWatchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = (watchdog, self._obs.schedule(watchdog, self._base_dir, recursive=True))

    def dispose(self) -> None:
        """Close the files, and stop to watch them."""
        super().dispose()
        self._engines.close()


def _with_keys(event: dg.EventLogEntry) -> dg.EventLogEntry:
    """An event that names its partitions: Dagster writes all holidays of the calendar with each check."""
    told = event.dagster_event
    if told is None or told.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
        return event
    planned = told.asset_check_planned_data
    if planned.partitions_subset is None:
        return event
    keys = DefaultPartitionsSubset(set(planned.partitions_subset.get_partition_keys()))
    slim = AssetCheckEvaluationPlanned(
        asset_key=planned.asset_key, check_name=planned.check_name, partitions_subset=keys
    )
    return event._replace(dagster_event=told._replace(event_specific_data=slim))


def _version(engine: Engine) -> str | None:
    """The version of a file's tables; None where it has none."""
    try:
        with engine.connect() as connection:
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    except OperationalError:
        return None


class _LogWatchdog(SqliteEventLogStorageWatchdog):
    def __init__(self, log: EventLog, run_id: str, callback: Any, cursor: str | None) -> None:
        super().__init__(log, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - one of both files
        """Hand on what was written."""
        self._process_log()


class _OverKeptEngine:
    """A storage of Dagster's in one file, whose connections come from an engine that is kept."""

    _conn_string: str

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines = KeptEngines()
        super().__init__(conn_string, inst_data)  # type: ignore[call-arg]

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection inside a transaction."""
        with self._engines.of(self._conn_string).begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        super().dispose()  # type: ignore[misc]
        self._engines.close()


class Runs(_OverKeptEngine, SqliteRunStorage):
    """Dagster's runs over a kept engine."""


class Ticks(_OverKeptEngine, SqliteScheduleStorage):
    """The ticks of schedules and sensors over a kept engine."""


class KeptSqliteStorage(DagsterSqliteStorage):
    """Runs, events and ticks where Dagster's own SQLite storage has them in a Dagster home; `dagster.yaml` names it."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super(DagsterSqliteStorage, self).__init__()  # whose own would open the three files a second time
        self.base_dir = base_dir
        self._inst_data = inst_data
        for file in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
            _look_at(Path(base_dir, file))
        self._run_storage = Runs.from_local(os.path.join(base_dir, "history", ""))
        self._event_log_storage = EventLog(os.path.join(base_dir, "history", "runs", ""))
        self._schedule_storage = Ticks.from_local(os.path.join(base_dir, "schedules"))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        """The storage that a configuration names."""
        return cls.from_local(inst_data=inst_data, **config_value)
