"""One DuckDB file, one transaction per partition, one process at a time.

DuckDB locks its file against every other process and fails at once when it cannot have it. A blocking lock on a
sidecar file queues the processes instead; the file is attached for one operation, or for a step's few. The engine that
it is attached to stays: starting one takes 15 ms of CPU and its threads' start and end, attaching a file takes one, and
letting go of it after a write three.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.library.database import LOCK_TIMEOUT_SECONDS, Database, DatabaseError, memory_of
from regime_assets.library.file_lock import LockTimeoutError, file_lock
from regime_assets.library.read_memory import checkpoint_of

if TYPE_CHECKING:
    import duckdb

FOREIGN_HOLDER_TIMEOUT_SECONDS = 30.0
CATALOG = "project"
"""The name under which a file is attached."""


class DatabaseFile(Database):
    """Tables in a DuckDB file of this machine."""

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

    @property
    def place(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        return self.path.exists()

    @contextmanager
    def connect(self, writes: Sequence[str] | None = ()) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection that no other process of this project shares; closed, and the lock freed, at the end.

        Raises:
            DatabaseError: the lock was not had in time, a process outside this project holds the file, it cannot be
                written, or it is not a DuckDB file that this version reads.
        """
        files = _open_files()
        if self.path in files:
            yield from self._connected(files[self.path], writes)
            if writes != ():
                checkpoint = files[self.path].checkpoint
                memory_of(self.place).written(checkpoint, checkpoint, writes)
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
                    memory_of(self.place).written(held.checkpoint, after, held.written or None)

    def _connected(self, held: _Held, writes: Sequence[str] | None) -> Generator[duckdb.DuckDBPyConnection]:
        connection = held.engine.cursor()
        try:
            connection.execute(f"USE {CATALOG}")
            self._check_file(connection)
            yield connection
        finally:
            connection.close()
            held.written = None if held.written is None or writes is None else {*held.written, *writes}

    @contextmanager
    def _reading(self) -> Generator[tuple[duckdb.DuckDBPyConnection, bytes | None]]:
        with self.connect() as connection:
            yield connection, _open_files()[self.path].checkpoint

    def _state(self) -> bytes | None:
        held = _open_files().get(self.path)
        return held.checkpoint if held else checkpoint_of(self.path)

    def _failure(self, error: duckdb.Error) -> DatabaseError | None:
        import duckdb

        if not isinstance(error, duckdb.IOException):
            return None
        return DatabaseError(
            f"{self.path}: nothing of it was stored, what was there stays: {error}; make room on the disk"
        )

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

    def _check_file(self, connection: duckdb.DuckDBPyConnection) -> None:
        file = self.path.stat().st_ino
        if file != self._version_of:
            self._check_version(connection)
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
