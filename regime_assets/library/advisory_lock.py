"""A lock that the machines of a deployment share: PostgreSQL frees it when its holder's connection ends.

Whoever has to wait is woken by the server, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from regime_assets.library.file_lock import LockTimeoutError
from regime_assets.library.postgres import session, unreachable

if TYPE_CHECKING:
    from psycopg import Connection

    from regime_assets.library.shared_storage import SharedStorage


@contextmanager
def advisory_lock(shared: SharedStorage, name: str, timeout: float) -> Generator[None]:
    """Hold the lock `name` exclusively, between machines, processes and threads.

    Args:
        shared: whose server.
        name: the lock's; within one database of the server it is the same for all.
        timeout: seconds to wait for it.

    Raises:
        LockTimeoutError: it was not had in time; the message names who holds it.
        PostgresError: the server cannot be reached.
    """
    import psycopg

    connection, number = session(shared), lock_number(name)
    try:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [str(max(1, round(timeout * 1000)))])
        connection.execute("SELECT pg_advisory_lock(%s)", [number])
    except psycopg.errors.LockNotAvailable:
        raise LockTimeoutError(f"{name}: held by {holder(connection, number)} for more than {timeout:.0f} s") from None
    except psycopg.Error as error:
        raise unreachable(shared, error) from error
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # with its connection, the lock is gone already
            connection.execute("SELECT pg_advisory_unlock(%s)", [number])


def lock_number(name: str) -> int:
    """The number by which the server knows a lock of that name."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)


def holder(connection: Connection[tuple[object, ...]], number: int) -> str:
    """The machine and process that holds a lock, for a message."""
    row = connection.execute(
        "SELECT application_name, client_addr FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database "
        "WHERE datname = current_database()) AND classid = %s AND objid = %s LIMIT 1",
        [(number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF],
    ).fetchone()
    if row is None:
        return "another process"
    return f"{str(row[0]).removeprefix('regime_assets ')}" + (f" at {row[1]}" if row[1] else "")
