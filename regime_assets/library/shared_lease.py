"""Leases in PostgreSQL: a shared advisory lock on a connection of the process, which ends with it.

The server may restart, or a connection break, while the process lives on. The process then takes its leases again
within seconds. So whoever finds a lease free writes that down, and believes it when he finds it free again after that.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regime_assets.library.advisory_lock import lock_number
from regime_assets.library.postgres import PostgresError, open_session, session, this_process, unreachable

if TYPE_CHECKING:
    from psycopg import Connection

    from regime_assets.library.shared_storage import SharedStorage

LOOK_SECONDS = 5.0
"""Between two looks of a process whether its leases are still there."""
RETURN_SECONDS = 15.0
"""Within which a living process has its leases back after its connection or the server was away."""
KEPT_DAYS = 30

_CREATE = """
    CREATE TABLE IF NOT EXISTS regime_assets_leases (
        name text NOT NULL, holder text NOT NULL, taken_at timestamptz NOT NULL DEFAULT now(),
        missed_at timestamptz, PRIMARY KEY (name, holder))
"""


def hold_lease(shared: SharedStorage, name: str) -> None:
    """Hold a lease as long as this process lives.

    Raises:
        PostgresError: the server cannot be reached.
    """
    _keeper(shared).add(name)


def release_leases(shared: SharedStorage) -> None:
    """Give back every lease of this process."""
    _keeper(shared).clear()


def is_held(shared: SharedStorage, name: str) -> bool | None:
    """Whether a living process holds the lease; None when there never was one, or it was found free just now.

    Raises:
        PostgresError: the server cannot be reached.
    """
    import psycopg

    if name in _keeper(shared).names:
        return True
    number = lock_number(_lock(name))
    try:
        connection = session(shared)
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()
        if row is None or not row[0]:
            return True
        connection.execute("SELECT pg_advisory_unlock(%s)", [number])
        missed = connection.execute(
            "UPDATE regime_assets_leases SET missed_at = coalesce(missed_at, now()) WHERE name = %s "
            "RETURNING now() - missed_at >= make_interval(secs => %s)",
            [name, RETURN_SECONDS],
        ).fetchall()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.Error as error:
        raise unreachable(shared, error) from error
    return False if missed and all(row[0] for row in missed) else None


def holder(shared: SharedStorage, name: str) -> str:
    """The machine and process that took the lease first, for a message."""
    sql = "SELECT holder FROM regime_assets_leases WHERE name = %s ORDER BY taken_at LIMIT 1"
    row = session(shared).execute(sql, [name]).fetchone()
    return "its process" if row is None else f"process {row[0]}"


def _lock(name: str) -> str:
    return f"lease {name}"


@dataclass
class _Keeper:
    """A process's leases on one server, and the thread that looks after them."""

    shared: SharedStorage
    names: set[str] = field(default_factory=set[str])
    connection: Connection[tuple[object, ...]] | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)
    is_looked_after: bool = False

    def add(self, name: str) -> None:
        with self.guard:
            if name in self.names:
                return
            self._take([name])
            if not self.is_looked_after:
                self.is_looked_after = True
                threading.Thread(target=self._look, name="leases", daemon=True).start()
            self.names.add(name)

    def clear(self) -> None:
        with self.guard:
            self.names.clear()
            if self.connection is not None:
                self.connection.close()  # and the server frees its locks
                self.connection = None

    def _take(self, names: list[str]) -> None:
        import psycopg

        try:
            if self.connection is None:
                self.connection = open_session(self.shared)
                # Two processes that create one table at once would stand in each other's way.
                self.connection.execute("SELECT pg_advisory_lock(%s)", [lock_number("leases")])
                self.connection.execute(_CREATE)
                sql = "DELETE FROM regime_assets_leases WHERE taken_at < now() - make_interval(days => %s)"
                self.connection.execute(sql, [KEPT_DAYS])
                self.connection.execute("SELECT pg_advisory_unlock(%s)", [lock_number("leases")])
            for name in names:
                self.connection.execute("SELECT pg_advisory_lock_shared(%s)", [lock_number(_lock(name))])
                sql = "INSERT INTO regime_assets_leases (name, holder) VALUES (%s, %s) "
                sql += "ON CONFLICT (name, holder) DO UPDATE SET missed_at = NULL"
                self.connection.execute(sql, [name, this_process()])
        except psycopg.Error as error:
            self.connection = None
            raise unreachable(self.shared, error) from error

    def _look(self) -> None:
        import psycopg

        pause = threading.Event()
        while not pause.wait(LOOK_SECONDS):
            with self.guard:
                if not self.names:
                    continue
                try:
                    if self.connection is not None:
                        self.connection.execute("SELECT 1")
                        continue
                except psycopg.Error:
                    self.connection = None
                with suppress(PostgresError):  # asked again at the next look
                    self._take(sorted(self.names))


_keepers: dict[tuple[SharedStorage, int], _Keeper] = {}


def _keeper(shared: SharedStorage) -> _Keeper:
    return _keepers.setdefault((shared, os.getpid()), _Keeper(shared))
