"""DuckDB with what it needs to reach shared tables: extensions, secrets, and the catalogs that a process has attached.

It stays for as long as the process does: loading the extensions takes 200 ms.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from regime_assets.library.database import DatabaseError
from regime_assets.library.duckdb_extensions import ExtensionError, extension_path

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.shared_storage import SharedStorage

MOST_RETRIES = 20
"""Of a commit that met another one; under the writers' lock, only upkeep's can."""
MOST_ATTACHED = 8
"""Catalogs of a process, of which each keeps a connection to the server open."""


class Engine:
    """DuckDB in memory, and the catalogs that are attached to it, each with its connections to the server.

    Those that nobody uses at the moment stay for the next one, as long as they are few.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._users: dict[str, int] = {}  # of each attached catalog, the one used last at the end
        self._guard = threading.Lock()

    def take(self, catalog: str) -> bool:
        """Use a catalog until `let_go`; False where it is not attached."""
        with self._guard:
            if catalog not in self._users:
                return False
            self._users[catalog] = self._users.pop(catalog) + 1
            return True

    def attach(self, catalog: str, statement: str) -> None:
        """Attach a catalog, and use it until `let_go`; called with its writers' lock held."""
        with self._guard:
            self.connection.cursor().execute(statement)
            self._users[catalog] = 1

    def let_go(self, catalog: str) -> None:
        """End a use; with too many catalogs attached, detach those that were used longest ago."""
        with self._guard:
            self._users[catalog] -= 1
            idle = [name for name, users in self._users.items() if not users]
            for name in idle[: max(0, len(self._users) - MOST_ATTACHED)]:
                self.connection.cursor().execute(f"DETACH {name}")
                del self._users[name]


def engine_for(shared: SharedStorage, temporary: Path) -> Engine:
    """This process's engine for a deployment; it puts into `temporary` what does not fit into memory.

    Raises:
        DatabaseError: an extension is not installed, or DuckDB does not take it.
    """
    with _STARTING:
        return _engine(shared, temporary, os.getpid())


_STARTING = threading.Lock()


@lru_cache(maxsize=2)
def _engine(shared: SharedStorage, temporary: Path, process: int) -> Engine:  # noqa: ARG001 - threads do not survive a fork
    """DuckDB with what it needs to reach the catalog and the storage, for this process."""
    import duckdb

    engine = duckdb.connect(
        ":memory:",
        config={
            "temp_directory": str(temporary),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_persistent_secrets": False,
        },
    )
    is_s3 = urlsplit(shared.storage).scheme == "s3"
    try:
        for name in ("ducklake", "postgres_scanner", *(("httpfs",) if is_s3 else ())):
            path = str(extension_path(name)).replace("'", "''")
            engine.execute(f"LOAD '{path}'")
        engine.execute(_secret("catalog", "postgres", _catalog_settings(shared)))
        if is_s3:
            engine.execute(_secret("storage", "s3", _storage_settings(os.environ)))
    except ExtensionError as error:
        raise DatabaseError(str(error)) from error
    except duckdb.Error as error:  # its text repeats the statement, secrets and all
        raise DatabaseError(
            f"DuckDB {duckdb.__version__} took an extension or a secret not: {type(error).__name__}"
        ) from None
    engine.execute(f"SET ducklake_max_retry_count = {MOST_RETRIES}")
    return Engine(engine)


def _secret(name: str, kind: str, settings: Mapping[str, str | int | bool]) -> str:
    listed = [f"{key} {_literal(value)}" for key, value in settings.items()]
    return f"CREATE SECRET {name} ({', '.join([f'TYPE {kind}', *listed])})"


def _literal(value: str | int | bool) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower()


def _catalog_settings(shared: SharedStorage) -> dict[str, str | int | bool]:
    parts = urlsplit(shared.catalog)
    settings: dict[str, str | int | bool] = {"DATABASE": parts.path.strip("/")}
    if parts.hostname:
        settings["HOST"] = parts.hostname
    if parts.port:
        settings["PORT"] = parts.port
    if parts.username:
        settings["USER"] = unquote(parts.username)
    if parts.password:
        settings["PASSWORD"] = unquote(parts.password)
    return settings


def _storage_settings(environment: Mapping[str, str]) -> dict[str, str | int | bool]:
    """As the AWS tools name them; a server of one's own is addressed by paths, not by hosts named after buckets."""
    settings: dict[str, str | int | bool] = {}
    for key, variable in (
        ("KEY_ID", "AWS_ACCESS_KEY_ID"),
        ("SECRET", "AWS_SECRET_ACCESS_KEY"),
        ("SESSION_TOKEN", "AWS_SESSION_TOKEN"),
        ("REGION", "AWS_REGION"),
    ):
        if environment.get(variable):
            settings[key] = environment[variable]
    if endpoint := environment.get("AWS_ENDPOINT_URL"):
        parts = urlsplit(endpoint)
        settings |= {"ENDPOINT": parts.netloc, "USE_SSL": parts.scheme == "https", "URL_STYLE": "path"}
    return settings


atexit.register(_engine.cache_clear)  # DuckDB's binding complains of what outlives the interpreter's modules
