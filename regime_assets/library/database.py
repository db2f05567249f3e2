"""One DuckDB file, one transaction per partition, one process at a time.

DuckDB locks its file against every other process and fails at once when it cannot have it. A blocking lock on a
sidecar file queues the processes instead; the file is attached for one operation, or for a step's few. The engine that
it is attached to stays: starting one takes 15 ms of CPU and its threads' start and end, attaching a file takes one, and
letting go of it after a write three. What a process has read it need not read again while nobody writes.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_assets.library.file_lock import LockTimeoutError, file_lock
from regime_assets.library.read_memory import ReadMemory, checkpoint_of, tables_read

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

LOCK_TIMEOUT_SECONDS = 120.0
FOREIGN_HOLDER_TIMEOUT_SECONDS = 30.0
CATALOG = "project"
UNTYPED = '"NULL"'
"""DuckDB's type of a column that was made from missing values alone; it takes no other value."""
SCHEMA_VERSION = 2
VERSION_TABLE = "schema_version"


class DatabaseError(Exception):
    """The database file cannot be used; the message says why and what to do."""


class Database:
    """The project's DuckDB file. Cheap to create: it opens the file only inside `connect`."""

    def __init__(
        self,
        path: Path,
        lock_timeout: float = LOCK_TIMEOUT_SECONDS,
        foreign_holder_timeout: float = FOREIGN_HOLDER_TIMEOUT_SECONDS,
    ) -> None:
        self.path = path
        self._lock_timeout = lock_timeout
        self._foreign_holder_timeout = foreign_holder_timeout
        self._version_of: int | None = None  # the file whose version was read

    @contextmanager
    def connect(self, writes: Sequence[str] | None = ()) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection that no other process of this project shares; closed, and the lock freed, at the end.

        Inside another one of the same thread it is a further connection to the file, which stays attached.

        Args:
            writes: the tables that the block writes; None where that is not known.

        Raises:
            DatabaseError: the lock was not had in time, a process outside this project holds the file, it cannot be
                written, or it is not a DuckDB file that this version reads.
        """
        files = _open_files()
        if self.path in files:
            yield from self._connected(files[self.path], writes)
            if writes != ():
                checkpoint = files[self.path].checkpoint
                _memory(self.path).written(checkpoint, checkpoint, writes)
            return
        with self._locked():
            engine = _engine(self.path, os.getpid())
            self._attach(engine)
            held = files[self.path] = _Held(engine, checkpoint_of(self.path), set())
            try:
                yield from self._connected(held, writes)
            finally:
                del files[self.path]
                engine.cursor().execute(f"DETACH {CATALOG}")
                after = checkpoint_of(self.path)
                if after is None or after != held.checkpoint:
                    _memory(self.path).written(held.checkpoint, after, held.written or None)

    def _connected(self, held: _Held, writes: Sequence[str] | None) -> Generator[duckdb.DuckDBPyConnection]:
        connection = held.engine.cursor()
        try:
            connection.execute(f"USE {CATALOG}")
            self._check_version(connection)
            yield connection
        finally:
            connection.close()
            held.written = None if held.written is None or writes is None else {*held.written, *writes}

    @contextmanager
    def held(self) -> Generator[None]:
        """Keep the file attached for the operations of this block, for which all others wait: a second at most."""
        with self.connect():
            yield

    @contextmanager
    def transaction(self, writes: Sequence[str] | None = None) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction: committed at the end, rolled back when the block raises.

        Args:
            writes: the tables that it may write; left out, it may write any.

        Raises:
            DatabaseError: as `connect`, or the disk takes no more.
        """
        import duckdb

        with self.connect(writes) as connection:
            connection.begin()
            try:
                yield connection
                connection.commit()
            except BaseException as error:
                with suppress(duckdb.Error):  # a commit that failed has ended the transaction itself
                    connection.rollback()
                if isinstance(error, duckdb.IOException):
                    raise DatabaseError(
                        f"{self.path}: nothing of it was stored, what was there stays: {error}; make room on the disk"
                    ) from error
                raise

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """The result of one query as a frame; values are bound, never spliced into the text."""
        read = tables_read(sql)
        return self._remembered(
            ("query", sql, repr(parameters)), read, lambda connection: connection.execute(sql, list(parameters)).df()
        )

    def rows(self, sql: str, parameters: Sequence[Any] = (), *, ddl: str = "") -> list[tuple[Any, ...]]:
        """The result of one query as rows.

        Args:
            sql: the query.
            parameters: bound to it.
            ddl: makes its tables where they are not there yet.
        """

        def read(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
            if ddl:
                connection.execute(ddl)
            return connection.execute(sql, list(parameters)).fetchall()

        return self._remembered(("rows", sql, repr(parameters)), tables_read(sql), read)

    def has_table(self, table: str) -> bool:
        """Whether `table` was ever written."""
        key, tables = ("has_table", table), frozenset({table.lower()})
        return self._remembered(key, tables, lambda connection: _has_table(connection, table))

    def _remembered(
        self, key: tuple[Any, ...], tables: frozenset[str], read: Callable[[duckdb.DuckDBPyConnection], Any]
    ) -> Any:
        memory, held = _memory(self.path), _open_files().get(self.path)
        is_known, answer = memory.recall(key, held.checkpoint if held else checkpoint_of(self.path))
        if is_known:
            return answer
        with self.connect() as connection:
            answer = read(connection)
            memory.keep(key, tables, answer, _open_files()[self.path].checkpoint)
        return answer

    def replace_partition(self, table: str, key: Mapping[str, Any], rows: pd.DataFrame) -> int:
        """Replace the rows of `table` whose key columns equal `key` by `rows`, in one transaction.

        The table is created from the first rows it receives; later rows are matched by column name, and a column
        that the table does not have yet is added to it. Key columns are put in front of `rows`.

        Returns:
            The number of rows written.

        Raises:
            ValueError: `rows` is empty (deleting a partition is never a side effect) or carries a key column itself.
        """
        if rows.empty:
            raise ValueError(f"{table}: no rows for {dict(key)}; an empty frame would delete the partition")
        clash = sorted(set(key) & set(rows.columns))
        if clash:
            raise ValueError(f"{table}: the rows carry the key columns {clash} themselves")
        keyed = rows.copy(deep=False)
        for position, (name, value) in enumerate(key.items()):
            keyed.insert(position, name, value)
        with self.transaction(writes=[table]) as connection:
            connection.register("incoming", keyed)
            if _has_table(connection, table):
                _fit_columns(connection, table)
                condition = " AND ".join(f'"{name}" = ?' for name in key)
                connection.execute(f'DELETE FROM "{table}" WHERE {condition}', list(key.values()))
                connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM incoming')
            else:
                connection.execute(f'CREATE TABLE "{table}" AS SELECT * FROM incoming')
            connection.unregister("incoming")
        return len(keyed)

    def read_partition(self, table: str, key: Mapping[str, Any], order_by: str | None = None) -> pd.DataFrame:
        """The rows of one partition without its key columns; empty when there are none."""
        condition = " AND ".join(f'"{name}" = ?' for name in key)
        excluded = ", ".join(f'"{name}"' for name in key)
        order = f' ORDER BY "{order_by}"' if order_by else ""
        sql = f'SELECT * EXCLUDE ({excluded}) FROM "{table}" WHERE {condition}{order}'

        def read(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
            if not _has_table(connection, table):
                import pandas as pd

                return pd.DataFrame()
            return connection.execute(sql, list(key.values())).df()

        return self._remembered(("partition", sql, repr(list(key.values()))), frozenset({table.lower()}), read)

    def delete_partition(self, table: str, key: Mapping[str, Any]) -> None:
        """Delete the rows of one partition; a table that was never written has none."""
        with self.transaction(writes=[table]) as connection:
            if _has_table(connection, table):
                condition = " AND ".join(f'"{name}" = ?' for name in key)
                connection.execute(f'DELETE FROM "{table}" WHERE {condition}', list(key.values()))

    @contextmanager
    def _locked(self) -> Generator[None]:
        lock = self.path.with_name(self.path.name + ".lock")
        with ExitStack() as held:
            try:
                held.enter_context(file_lock(lock, self._lock_timeout))
            except LockTimeoutError:
                raise DatabaseError(
                    f"{self.path}: another process of this project kept the database for more than "
                    f"{self._lock_timeout:.0f} s"
                ) from None
            except OSError as error:
                raise DatabaseError(f"{self.path}: cannot be written: {error}; let this user write there") from error
            yield

    def _check_version(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Stamp a new file with the version of its tables; refuse one that a newer version of this project wrote."""
        file = self.path.stat().st_ino
        if file == self._version_of:
            return
        if not _has_table(connection, VERSION_TABLE):
            connection.execute(f"CREATE TABLE {VERSION_TABLE} AS SELECT {SCHEMA_VERSION} AS version")
        row = connection.execute(f"SELECT max(version) FROM {VERSION_TABLE}").fetchone()
        if row is None or row[0] is None or row[0] > SCHEMA_VERSION:
            raise DatabaseError(
                f"{self.path}: its tables have version {row and row[0]}, this version of regime_assets knows "
                f"{SCHEMA_VERSION}: use the newer version that wrote it, or restore a backup from before"
            )
        self._version_of = file

    def _attach(self, engine: duckdb.DuckDBPyConnection) -> None:
        import duckdb

        quoted = str(self.path).replace("'", "''")
        deadline = time.monotonic() + self._foreign_holder_timeout
        while True:
            try:
                engine.cursor().execute(f"ATTACH '{quoted}' AS {CATALOG}")
                return
            except duckdb.IOException as error:
                held = "Could not set lock" in str(error) or "Conflicting lock" in str(error)
                if not held:
                    if "ermission denied" in str(error) or "ead-only file system" in str(error):
                        raise DatabaseError(
                            f"{self.path}: cannot be written: let this user write there: {error}"
                        ) from error
                    raise DatabaseError(
                        f"{self.path}: not usable as a DuckDB file with duckdb {duckdb.__version__}; restore it from "
                        f"a backup (`regime-assets restore`), or use the DuckDB that wrote it: {error}"
                    ) from error
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        f"{self.path}: held by another program, a notebook perhaps; close it there: {error}"
                    ) from error
                time.sleep(0.05)


@lru_cache(maxsize=8)
def _engine(path: Path, process: int) -> duckdb.DuckDBPyConnection:  # noqa: ARG001 - threads do not survive a fork
    """DuckDB without a file, for the file `path` and this process."""
    import duckdb

    return duckdb.connect(":memory:", config={"temp_directory": f"{path}.tmp"})


@lru_cache(maxsize=64)
def _memory(path: Path) -> ReadMemory:  # noqa: ARG001 - one a file
    return ReadMemory()


@dataclass
class _Held:
    """A file that a thread has attached.

    Attributes:
        engine: what it is attached to.
        checkpoint: of the file as it was attached.
        written: the tables that were written since; None where that is not known.
    """

    engine: duckdb.DuckDBPyConnection
    checkpoint: bytes | None
    written: set[str] | None


_THREAD = threading.local()


def _open_files() -> dict[Path, _Held]:
    """The files that this thread has attached."""
    if not hasattr(_THREAD, "files"):
        _THREAD.files = {}
    return _THREAD.files


atexit.register(_engine.cache_clear)  # DuckDB's binding complains of what outlives the interpreter's modules


def _has_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    sql = f"SELECT count(*) FROM information_schema.tables WHERE table_catalog = '{CATALOG}' AND table_name = ?"
    found = connection.execute(sql, [table]).fetchone()
    return found is not None and found[0] > 0


def _fit_columns(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Add the columns that only `incoming` has, and give those that have held no value yet the type of their first."""
    existing = {row[0]: row[1] for row in connection.execute(f'DESCRIBE "{table}"').fetchall()}
    for name, kind, *_ in connection.execute("DESCRIBE incoming").fetchall():
        if name not in existing:
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {kind}')
        elif existing[name] == UNTYPED != kind:
            connection.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{name}" TYPE {kind}')
