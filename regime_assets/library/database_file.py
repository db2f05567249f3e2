"""One DuckDB file, one transaction per partition, one process at a time.

DuckDB locks its file against every other process and fails at once when it cannot have it. A blocking lock on a
sidecar file queues the processes instead; the file is attached for one operation, or for a step's few. The engine that
it is attached to stays: starting one takes 15 ms of CPU and its threads' start and end, attaching a file takes one, and
letting go of it after a write three.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.library.database import LOCK_TIMEOUT_SECONDS, Database, DatabaseError
from regime_assets.library.file_lock import LockTimeoutError, file_lock
from regime_assets.library.home import RESTORE
from regime_assets.library.read_memory import checkpoint_of

if TYPE_CHECKING:
    import duckdb

FOREIGN_HOLDER_TIMEOUT_SECONDS = 30.0
SIGNS_OF_DAMAGE = ("Corrupt database file", "Could not read enough bytes", "Failed to deserialize")
"""In the messages of DuckDB, where a file is shorter than it says or its content is not what was written."""

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
        super().__init__()
        self.path = path
        self._lock_timeout = lock_timeout
        self._foreign_holder_timeout = foreign_holder_timeout

    @property
    def place(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        return self.path.exists()

    @property
    def _catalog(self) -> str:
        return CATALOG

    def _identity(self) -> object:
        return self.path.stat().st_ino

    def _stored_state(self) -> bytes | None:
        return checkpoint_of(self.path)

    def _before_commit(self) -> None:
        pass  # a file's lock ends with its process, and not before

    def _bring_forward(self, connection: duckdb.DuckDBPyConnection, version: int, wanted: int) -> None:
        pass  # its data folder's format says what is done, and it is done when the folder is opened

    def _failure(self, error: duckdb.Error) -> DatabaseError | None:
        import duckdb

        if self._damage(error) is not None or not isinstance(error, duckdb.IOException):
            return self._damage(error)
        return DatabaseError(
            f"{self.path}: nothing of it was stored, what was there stays: {error}; make room on the disk"
        )

    def _damage(self, error: duckdb.Error) -> DatabaseError | None:
        said = str(error)
        if not any(sign in said for sign in SIGNS_OF_DAMAGE):
            return None
        # Of an invalidated database the cause comes last.
        return DatabaseError(
            f"{self.path}: damaged; nothing more is stored in it. {RESTORE.capitalize()}: {said.splitlines()[-1]}"
        )

    @contextmanager
    def undisturbed(self) -> Generator[None]:
        """Keep every other process of this project from the file, for a block that attaches it to another engine."""
        with self._locked():
            yield

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
                raise DatabaseError(f"{self.path}: {error}") from error
            yield

    def _attach(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        engine = _engine(self.path, os.getpid())
        quoted = str(self.path).replace("'", "''")
        deadline = time.monotonic() + self._foreign_holder_timeout
        while True:
            try:
                engine.cursor().execute(f"ATTACH '{quoted}' AS {CATALOG}")
                return engine
            except duckdb.IOException as error:
                held = "Could not set lock" in str(error) or "Conflicting lock" in str(error)
                if not held:
                    if "ermission denied" in str(error) or "ead-only file system" in str(error):
                        raise DatabaseError(
                            f"{self.path}: cannot be written: let this user write there: {error}"
                        ) from error
                    if "version number" in str(error):
                        raise DatabaseError(
                            f"{self.path}: written by a newer DuckDB than {duckdb.__version__}: use the one that wrote "
                            "it; to share the folder with a deployment, run `regime-assets share --prepare` with it"
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
            except duckdb.Error as error:
                self._raise_damage(error)
                raise

    def _detach(self, engine: duckdb.DuckDBPyConnection) -> None:
        engine.cursor().execute(f"DETACH {CATALOG}")


@lru_cache(maxsize=8)
def _engine(path: Path, process: int) -> duckdb.DuckDBPyConnection:  # noqa: ARG001 - threads do not survive a fork
    """DuckDB without a file, for the file `path` and this process."""
    import duckdb

    return duckdb.connect(":memory:", config={"temp_directory": f"{path}.tmp"})


atexit.register(_engine.cache_clear)  # DuckDB's binding complains of what outlives the interpreter's modules
