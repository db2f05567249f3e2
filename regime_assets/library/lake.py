"""Tables that many machines read and write: DuckLake, its catalog in PostgreSQL, its Parquet files on shared storage.

Each universe, and the ledger, has a catalog of its own in a schema of the database, so that no commit of one meets one
of another. Writers of one queue for its advisory lock. Readers wait for nobody: each reads the snapshot that was the
newest when it began.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from regime_assets.library.advisory_lock import advisory_lock, is_mine
from regime_assets.library.clock import clock
from regime_assets.library.database import LOCK_TIMEOUT_SECONDS, VERSION_TABLE, Database, DatabaseError
from regime_assets.library.file_lock import LockTimeoutError
from regime_assets.library.lake_engine import Engine, engine_for
from regime_assets.library.lake_migrations import HISTORY_TABLE, take_step
from regime_assets.library.postgres import PostgresError, session, this_process, unreachable
from regime_assets.library.shared_storage import STORAGE_VARIABLE, SharedStorage

if TYPE_CHECKING:
    import duckdb

INLINED_ROWS = 50
"""Writes of so few rows lie in the catalog until upkeep gathers them: a file for each would cost more than its rows."""
MOST_NAME_BYTES = 63
"""Of a schema, in PostgreSQL."""


class Lake(Database):
    """The tables of one schema.

    Args:
        shared: the server and the storage.
        schema: of the server's database; also the folder of the Parquet files.
        temporary: where the engine puts what does not fit into memory.
        lock_timeout: seconds for which a writer waits for the others.
    """

    def __init__(
        self, shared: SharedStorage, schema: str, temporary: Path, lock_timeout: float = LOCK_TIMEOUT_SECONDS
    ) -> None:
        super().__init__()
        if len(schema.encode()) > MOST_NAME_BYTES:
            raise DatabaseError(f"{schema}: longer than the {MOST_NAME_BYTES} bytes that PostgreSQL allows; shorten it")
        if urlsplit(shared.storage).scheme not in ("s3", "file"):
            raise DatabaseError(f"{shared.storage}: tables are kept on s3:// or file:// only; set {STORAGE_VARIABLE}")
        self.shared = shared
        self.schema = schema
        self._temporary = temporary
        self._lock_timeout = lock_timeout

    @property
    def place(self) -> str:
        return f"{self.shared.shown_catalog} schema {self.schema}"

    @property
    def files(self) -> str:
        """The folder of the Parquet files."""
        root = self.shared.storage
        parts = urlsplit(root)
        return f"{unquote(parts.path) if parts.scheme == 'file' else root}/tables/{self.schema}/"

    def exists(self) -> bool:
        return self.schema in stored_schemas(self.shared)

    @property
    def _catalog(self) -> str:
        # DuckDB tells no small letters from capitals, PostgreSQL does.
        return f"lake_{sha256(self.schema.encode()).hexdigest()[:12]}"

    def _identity(self) -> object:
        return os.getpid()

    def _engine(self) -> Engine:
        return engine_for(self.shared, self._temporary)

    def _stored_state(self) -> bytes | None:
        import psycopg
        from psycopg.sql import SQL, Identifier

        sql = SQL("SELECT max(snapshot_id) FROM {}").format(Identifier(self.schema, "ducklake_snapshot"))
        try:
            row = session(self.shared).execute(sql).fetchone()
        except (psycopg.Error, PostgresError):  # whoever reads or writes next is told
            return None
        return None if row is None else str(row[0]).encode()

    @contextmanager
    def connect(self, writes: Sequence[str] | None = ()) -> Generator[duckdb.DuckDBPyConnection]:
        import duckdb

        try:
            with super().connect(writes) as connection:
                yield connection
        except duckdb.Error as error:
            if _is_outage(error):
                raise DatabaseError(self._told(error)) from error
            raise

    @contextmanager
    def _locked(self) -> Generator[None]:
        with ExitStack() as held:
            try:
                held.enter_context(advisory_lock(self.shared, self._lock, self._lock_timeout))
            except LockTimeoutError as error:
                raise DatabaseError(f"{self.place}: another process goes on writing: {error}") from None
            except PostgresError as error:
                raise DatabaseError(str(error)) from error
            yield

    @property
    def _lock(self) -> str:
        return f"tables {self.schema}"

    def _before_commit(self) -> None:
        if not is_mine(self.shared, self._lock):
            raise DatabaseError(
                f"{self.place}: nothing was stored: the connection to PostgreSQL that held the writers' lock broke, "
                "and another process may be writing; run again"
            )

    def _bring_forward(self, connection: duckdb.DuckDBPyConnection, version: int, wanted: int) -> None:
        import duckdb

        for number in range(version, wanted):
            connection.begin()
            try:
                take_step(connection, self._catalog, number)
                connection.execute(f"UPDATE {VERSION_TABLE} SET version = {number + 1}")
                self._before_commit()
                connection.commit()
            except BaseException as error:
                with suppress(duckdb.Error):
                    connection.rollback()
                if isinstance(error, duckdb.Error) and not _is_outage(error):
                    raise DatabaseError(
                        f"{self.place}: could not be brought from version {number} to {number + 1}, and is as it was: "
                        f"{error}; go on with the version of regime_assets that wrote it, and report this"
                    ) from error
                raise

    @contextmanager
    def earlier(self, version: int) -> Generator[str]:
        """The tables as they were before they were brought forward from `version`: the name of their catalog.

        Inside `connect`, to whose engine it is attached.

        Raises:
            DatabaseError: they never had that version, or its snapshot was forgotten.
        """
        import duckdb

        known = self.history()
        if version not in known:
            had = ", ".join(map(str, known)) or "none"
            raise DatabaseError(f"{self.place}: was not brought forward from version {version}; returns to: {had}")
        engine, name = self._engine(), f"{self._catalog}_earlier"
        try:
            engine.connection.cursor().execute(
                self._attachment(name, f", SNAPSHOT_VERSION {known[version]}, READ_ONLY")
            )
        except duckdb.Error as error:
            raise DatabaseError(
                f"{self.place}: its state of version {version} cannot be read: {error}; after seven days retention "
                "forgets it: restore a dump of the database and a copy of the storage from before"
            ) from error
        try:
            yield name
        finally:
            engine.connection.cursor().execute(f"DETACH {name}")

    def version(self) -> int:
        """The version that the tables have."""
        return int(self.rows(f"SELECT max(version) FROM {VERSION_TABLE}")[0][0])

    def history(self) -> dict[int, int]:
        """The versions that the tables had before, each with its last snapshot."""
        if not self.has_table(HISTORY_TABLE):
            return {}
        rows = self.rows(f"SELECT version, snapshot FROM {HISTORY_TABLE} ORDER BY until")
        return {int(version): int(snapshot) for version, snapshot in rows}

    def _attach(self) -> duckdb.DuckDBPyConnection:
        engine = self._engine()
        if not engine.take(self._catalog):
            self._attach_to(engine)
        return engine.connection

    def _attach_to(self, engine: Engine) -> None:
        import duckdb

        try:
            if "://" not in self.files:
                Path(self.files).mkdir(parents=True, exist_ok=True)
            engine.attach(self._catalog, self._attachment(self._catalog, f", DATA_INLINING_ROW_LIMIT {INLINED_ROWS}"))
        except (duckdb.Error, OSError) as error:
            raise DatabaseError(self._told(error)) from error

    def _attachment(self, name: str, further: str) -> str:
        """The statement that attaches the tables under a name."""
        options = parse_qsl(urlsplit(self.shared.catalog).query)
        options += [("application_name", f"regime_assets/{this_process()}"[:63])]
        listed = " ".join(f"{option}={value}" for option, value in options)
        listed, files, schema = (text.replace("'", "''") for text in (listed, self.files, self.schema))
        return (
            f"ATTACH 'ducklake:postgres:{listed}' AS {name} (DATA_PATH '{files}', METADATA_SCHEMA '{schema}', "
            f"META_SECRET 'catalog'{further})"
        )

    def _detach(self, engine: duckdb.DuckDBPyConnection) -> None:  # noqa: ARG002 - it stays
        self._engine().let_go(self._catalog)

    @contextmanager
    def _reading(self) -> Generator[tuple[duckdb.DuckDBPyConnection, bytes | None]]:
        import duckdb

        if self._is_held():
            with super()._reading() as reading:
                yield reading
            return
        engine = self._engine()
        while self._checked != self._identity() or not engine.take(self._catalog):
            with self.connect():  # attached, and its version looked at, by one at a time
                pass
        connection = engine.connection.cursor()
        try:
            connection.execute(f'USE "{self._catalog}"')
            connection.begin()
            found = connection.execute(f"SELECT id FROM {self._catalog}.current_snapshot()").fetchone()
            yield connection, None if found is None else str(found[0]).encode()
        except duckdb.Error as error:
            if _is_outage(error):
                raise DatabaseError(self._told(error)) from error
            raise
        finally:
            with suppress(duckdb.Error):
                connection.rollback()
            connection.close()
            engine.let_go(self._catalog)

    def compact(self, kept: timedelta, dry_run: bool = False) -> dict[str, int]:
        """Write rows that lie in the catalog, and many small files, as few larger ones; forget old snapshots.

        A file that nothing names any more is deleted after as long again: a copy of the catalog finds its files.
        """
        if not self.exists():
            return {}
        since = f"'{self._catalog}', older_than => CAST(? AS TIMESTAMPTZ), dry_run => {str(dry_run).lower()}"
        before = [clock.system_now() - kept]
        with self.connect(writes=None) as connection:
            if not dry_run:
                for call in ("flush_inlined_data", "rewrite_data_files", "merge_adjacent_files"):
                    connection.execute(f"CALL ducklake_{call}('{self._catalog}')")
            return {
                "snapshots of its tables": len(
                    connection.execute(f"CALL ducklake_expire_snapshots({since})", before).fetchall()
                ),
                "Parquet files": len(
                    connection.execute(f"CALL ducklake_cleanup_old_files({since})", before).fetchall()
                ),
            }

    def _failure(self, error: duckdb.Error) -> DatabaseError | None:
        if not _is_outage(error):
            return None
        return DatabaseError(f"what was there stays, or the new rows are there, whole: {self._told(error)}")

    def _told(self, error: BaseException) -> str:
        why = " ".join(str(error).partition("LINE ")[0].split())
        return (
            f"{self.place}: the catalog or the files in {self.files} cannot be used: {why}; see that PostgreSQL and "
            f"the storage answer and that {STORAGE_VARIABLE} is the one that the tables were made with, and run again"
        )


def stored_schemas(shared: SharedStorage) -> list[str]:
    """The schemas of the server's database that hold a catalog of tables.

    Raises:
        DatabaseError: the server cannot be reached.
    """
    import psycopg

    sql = "SELECT schemaname FROM pg_tables WHERE tablename = 'ducklake_snapshot' ORDER BY schemaname"
    try:
        return [str(row[0]) for row in session(shared).execute(sql).fetchall()]
    except PostgresError as error:
        raise DatabaseError(str(error)) from error
    except psycopg.Error as error:
        raise DatabaseError(str(unreachable(shared, error))) from error


_UNANSWERED = re.compile(
    r"Failed to (?!convert).*(DuckLake|Postgres|COPY|query)|server closed the connection|Unable to connect"
)
"""What DuckLake cannot ask its catalog has no class of its own: it fails where the statement was."""


def _is_outage(error: duckdb.Error) -> bool:
    """Whether the server, the storage or another writer is the cause, and not the statement."""
    import duckdb

    causes = (duckdb.IOException, duckdb.HTTPException, duckdb.TransactionException)
    return isinstance(error, causes) or _UNANSWERED.search(str(error)) is not None
