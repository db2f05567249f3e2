"""The tables of one universe, or the ledger of all: one writer at a time, one transaction a partition.

What does not depend on where the tables lie stands here; `database_file` keeps them in a file of this machine, `lake`
where many machines read and write them. What a process has read it need not read again while nobody writes.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from regime_assets.library.read_memory import ReadMemory, tables_read
from regime_assets.library.table_columns import column_types, fit_columns

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

LOCK_TIMEOUT_SECONDS = 120.0
SCHEMA_VERSION = 3
VERSION_TABLE = "schema_version"


class DatabaseError(Exception):
    """The tables cannot be used; the message says why and what to do."""


class Database(ABC):
    """Tables and whoever reads and writes them. Cheap to create: nothing is opened before it is used."""

    def __init__(self) -> None:
        self._checked: object = None  # the tables whose version was read

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the tables lie, for messages; no other database has the same place."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether anything was ever written."""

    @abstractmethod
    def _locked(self) -> AbstractContextManager[None]:
        """Hold the lock of the tables' only writer."""

    @abstractmethod
    def _attach(self) -> duckdb.DuckDBPyConnection:
        """An engine to which the tables are attached, as `_catalog`; called with the lock held."""

    @abstractmethod
    def _detach(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Let go of the tables; called with the lock held."""

    @property
    @abstractmethod
    def _catalog(self) -> str:
        """The name under which the engine knows the tables."""

    @abstractmethod
    def _identity(self) -> object:
        """What is another one after other tables took the place of these."""

    @abstractmethod
    def _stored_state(self) -> bytes | None:
        """What changes with every write, while nobody writes; None where that cannot be told."""

    @abstractmethod
    def _failure(self, error: duckdb.Error) -> DatabaseError | None:
        """What a failed transaction means to its user; None where the error speaks for itself."""

    def _damage(self, error: duckdb.Error) -> DatabaseError | None:  # noqa: ARG002 - a server keeps its own files
        """What an error means that comes of damaged files; None of any other one."""
        return None

    def _raise_damage(self, error: BaseException) -> None:
        import duckdb

        told = self._damage(error) if isinstance(error, duckdb.Error) else None
        if told is not None:
            raise told from error

    @abstractmethod
    def _before_commit(self) -> None:
        """Raises a DatabaseError when this is not the only writer any more."""

    @contextmanager
    def connect(self, writes: Sequence[str] | None = ()) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection while which no other process or thread writes; closed, and the lock freed, at the end.

        Inside another one of the same thread it is a further connection to the same tables.

        Args:
            writes: the tables that the block writes; None where that is not known.

        Raises:
            DatabaseError: others kept writing for too long, or the tables cannot be reached, written or read.
        """
        if not self._is_held():
            until = _attached_later().get(self.place)
            if until is None:
                with self._attached() as held, self._connected(held) as connection:
                    try:
                        yield connection
                    finally:
                        held.note(writes)
                return
            until.enter_context(self._attached())
        held = _open_places()[self.place]
        with self._connected(held) as connection:
            try:
                yield connection
            finally:
                if writes != ():  # what is read from here on, while the tables are held, is as they will be left
                    held.has_written = True
                    _memory(self.place).written(held.state, held.state, writes)

    @contextmanager
    def _attached(self) -> Generator[_Held]:
        """The tables, attached for this thread and locked against others."""
        places = _open_places()
        with self._locked():
            engine = self._attach()
            held = places[self.place] = _Held(engine, self._stored_state())
            try:
                yield held
            finally:
                del places[self.place]
                while held.idle:  # an answer that was not read to its end keeps a file open
                    held.idle.pop().close()
                try:
                    self._detach(engine)
                except Exception as error:
                    self._raise_damage(error)
                    raise
                after = self._stored_state()
                if after is None or after != held.state:
                    _memory(self.place).written(held.state, after, held.outdated)

    @contextmanager
    def _connected(self, held: _Held) -> Generator[duckdb.DuckDBPyConnection]:
        """A cursor on tables that are attached; one that a block leaves by an exception is not used again."""
        if held.idle:
            connection = held.idle.pop()
        else:
            connection = held.engine.cursor()
            connection.execute(f'USE "{self._catalog}"')
        try:
            self._check_version(connection)
            yield connection
        except BaseException as error:
            connection.close()
            self._raise_damage(error)
            raise
        held.idle.append(connection)

    @contextmanager
    def _reading(self) -> Generator[tuple[duckdb.DuckDBPyConnection, bytes | None]]:
        """A connection for one read, and the state of the tables that it sees."""
        with self.connect() as connection:
            yield connection, _open_places()[self.place].state

    def _is_held(self) -> bool:
        """Whether this thread has the tables attached already."""
        return self.place in _open_places()

    def _state(self) -> bytes | None:
        held = _open_places().get(self.place)
        return held.state if held else self._stored_state()

    @contextmanager
    def held(self) -> Generator[None]:
        """Keep the tables for the operations of this block, for which all other writers wait: a second at most."""
        with self.connect():
            yield

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Attach the tables once for the operations of this block, from the first one on that is not remembered.

        Unlike in `held`, another writer may come between what was remembered and that.
        """
        later = _attached_later()
        if self._is_held() or self.place in later:
            yield
            return
        with ExitStack() as until:
            later[self.place] = until
            try:
                yield
            finally:
                del later[self.place]

    def compact(self, kept: timedelta, dry_run: bool = False) -> dict[str, int]:  # noqa: ARG002 - a file needs none
        """Give up what only earlier states of the tables need, and gather what lies scattered.

        Args:
            kept: for how long an earlier state stays readable.
            dry_run: only count.

        Returns:
            How many of what kind were given up.
        """
        return {}

    def tables(self) -> list[str]:
        """The names of all tables."""
        sql = "SELECT table_name FROM information_schema.tables WHERE table_catalog = current_database() ORDER BY 1"
        return [str(row[0]) for row in self.rows(sql)]

    @contextmanager
    def transaction(self, writes: Sequence[str] | None = None) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction: committed at the end, rolled back when the block raises.

        Args:
            writes: the tables that it may write; left out, it may write any.

        Raises:
            DatabaseError: as `connect`, or the disk takes no more.
        """
        import duckdb

        whole = _transactions().get(self.place)
        if whole is not None:
            connection, tables = whole
            if writes is None or not tables.issuperset(writes):
                raise ValueError(f"{writes} are not all among the tables of the transaction: {sorted(tables)}")
            yield connection
            return
        with self.connect(writes) as connection:
            connection.begin()
            try:
                yield connection
                self._before_commit()
                connection.commit()
            except BaseException as error:
                with suppress(duckdb.Error):  # a commit that failed has ended the transaction itself
                    connection.rollback()
                told = self._failure(error) if isinstance(error, duckdb.Error) else None
                if told is not None:
                    raise told from error
                raise

    @contextmanager
    def one_transaction(self, writes: Sequence[str]) -> Generator[None]:
        """Let the writes of this block be one transaction, of which its reads see nothing.

        Args:
            writes: the tables that they write, each once.
        """
        with self.transaction(writes) as connection:
            transactions = _transactions()
            transactions[self.place] = connection, frozenset(writes)
            try:
                yield
            finally:
                del transactions[self.place]

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
        import duckdb

        def read(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
            return connection.execute(sql, list(parameters)).fetchall()

        key = ("rows", sql, repr(parameters))
        try:
            return self._remembered(key, tables_read(sql), read)
        except duckdb.CatalogException:
            if not ddl:
                raise
        with self.connect(writes=None) as connection:
            connection.execute(ddl)
        return self._remembered(key, tables_read(sql), read)

    def has_table(self, table: str) -> bool:
        """Whether `table` was ever written."""
        memory, key = _memory(self.place), ("has_table", table)
        is_known, answer = memory.recall(key, self._state())
        if is_known:
            return answer
        with self._reading() as (connection, state):
            answer = _has_table(connection, table)
            # Rows that are written to a table leave it there.
            memory.keep(key, frozenset({f"{table.lower()} exists" if answer else table.lower()}), answer, state)
        return answer

    def _remembered(
        self, key: tuple[Any, ...], tables: frozenset[str], read: Callable[[duckdb.DuckDBPyConnection], Any]
    ) -> Any:
        memory = _memory(self.place)
        is_known, answer = memory.recall(key, self._state())
        if is_known:
            return answer
        with self._reading() as (connection, state):
            answer = read(connection)
            memory.keep(key, tables, answer, state)
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
            existing = self._columns(connection, table)
            if existing is not None:
                if fit_columns(connection, table, existing):
                    _memory(self.place).forget(("columns", table))
                condition = " AND ".join(f'"{name}" = ?' for name in key)
                connection.execute(f'DELETE FROM "{table}" WHERE {condition}', list(key.values()))
                connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM incoming')
            else:
                connection.execute(f'CREATE TABLE "{table}" AS SELECT * FROM incoming')
            connection.unregister("incoming")
        return len(keyed)

    def read_partition(self, table: str, key: Mapping[str, Any], order_by: str | None = None) -> pd.DataFrame:
        """The rows of one partition without its key columns, as they were written; empty when there are none."""
        condition = " AND ".join(f'"{name}" = ?' for name in key)
        excluded = ", ".join(f'"{name}"' for name in key)
        order = f'"{order_by}"' if order_by else "rowid"
        sql = f'SELECT * EXCLUDE ({excluded}) FROM "{table}" WHERE {condition} ORDER BY {order}'

        def read(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
            if self._columns(connection, table) is None:
                import pandas as pd

                return pd.DataFrame()
            return connection.execute(sql, list(key.values())).df()

        return self._remembered(("partition", sql, repr(list(key.values()))), frozenset({table.lower()}), read)

    def delete_partition(self, table: str, key: Mapping[str, Any]) -> None:
        """Delete the rows of one partition; a table that was never written has none."""
        with self.transaction(writes=[table]) as connection:
            if self._columns(connection, table) is not None:
                condition = " AND ".join(f'"{name}" = ?' for name in key)
                connection.execute(f'DELETE FROM "{table}" WHERE {condition}', list(key.values()))

    def _columns(self, connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str] | None:
        """The types of a table's columns by name; None where it was never written.

        They are remembered also while rows of the table are written: only `_fit_columns` changes them.
        """
        memory, key, state = _memory(self.place), ("columns", table), self._state()
        is_known, columns = memory.recall(key, state)
        if not is_known:
            columns = column_types(connection, table) if _has_table(connection, table) else None
            read = table.lower() if columns is None else f"{table.lower()} columns"
            memory.keep(key, frozenset({read}), columns, state)
        return columns

    def _check_version(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Stamp new tables with their version; refuse those that a newer version of this project wrote."""
        identity = self._identity()
        if identity == self._checked:
            return
        if not _has_table(connection, VERSION_TABLE):
            connection.execute(f"CREATE TABLE {VERSION_TABLE} AS SELECT {SCHEMA_VERSION} AS version")
        row = connection.execute(f"SELECT max(version) FROM {VERSION_TABLE}").fetchone()
        if row is None or row[0] is None or row[0] > SCHEMA_VERSION:
            raise DatabaseError(
                f"{self.place}: its tables have version {row and row[0]}, this version of regime_assets knows "
                f"{SCHEMA_VERSION}: use the newer version that wrote it, or restore a backup from before"
            )
        self._bring_forward(connection, row[0], SCHEMA_VERSION)
        self._checked = identity

    @abstractmethod
    def _bring_forward(self, connection: duckdb.DuckDBPyConnection, version: int, wanted: int) -> None:
        """Bring tables of an older version to the present one; called with the lock held."""


@lru_cache(maxsize=64)
def _memory(place: str) -> ReadMemory:  # noqa: ARG001 - one a place
    """What this process has read of the tables that lie at `place`."""
    return ReadMemory()


@dataclass
class _Held:
    """Tables that a thread has attached.

    Attributes:
        engine: what they are attached to.
        state: theirs as they were attached.
        idle: cursors that nobody uses.
        written: the tables that the outermost block has written; None where that is not known.
        has_written: whether a block inside it has written tables, which were forgotten at once.
    """

    engine: duckdb.DuckDBPyConnection
    state: bytes | None
    idle: list[duckdb.DuckDBPyConnection] = field(default_factory=list["duckdb.DuckDBPyConnection"])
    written: set[str] | None = field(default_factory=set[str])
    has_written: bool = False

    def note(self, writes: Collection[str] | None) -> None:
        """Remember that tables were written, all of them where that is not known."""
        self.written = None if self.written is None or writes is None else {*self.written, *writes}

    @property
    def outdated(self) -> Collection[str] | None:
        """The tables whose reads are outdated at the end; None where that is not known."""
        return self.written or (() if self.has_written and self.written is not None else None)


_THREAD = threading.local()


def _open_places() -> dict[str, _Held]:
    """The places whose tables this thread has attached."""
    if not hasattr(_THREAD, "places"):
        _THREAD.places = {}
    return _THREAD.places


def _attached_later() -> dict[str, ExitStack]:
    """Until when this thread keeps the tables of a place, once it has attached them."""
    if not hasattr(_THREAD, "later"):
        _THREAD.later = {}
    return _THREAD.later


def _transactions() -> dict[str, tuple[duckdb.DuckDBPyConnection, frozenset[str]]]:
    """The transaction, by place, that this thread's writes belong to, and the tables that it may write."""
    if not hasattr(_THREAD, "transactions"):
        _THREAD.transactions = {}
    return _THREAD.transactions


def _has_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    sql = "SELECT count(*) FROM information_schema.tables WHERE table_catalog = current_database() AND table_name = ?"
    found = connection.execute(sql, [table]).fetchone()
    return found is not None and found[0] > 0
