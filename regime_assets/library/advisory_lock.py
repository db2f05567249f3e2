"""A lock that the machines of a deployment share: PostgreSQL frees it when its holder's connection ends.

Whoever has to wait is woken by the server, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from regime_assets.library.file_lock import LockTimeoutError
from regime_assets.library.postgres import PostgresError, session, unreachable

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

    number = lock_number(name)
    try:
        connection = _take(shared, number, timeout)
    except psycopg.errors.LockNotAvailable:
        by = holder(session(shared), number)
        raise LockTimeoutError(f"{name}: held by {by} for more than {timeout:.0f} s") from None
    except psycopg.Error as error:
        raise unreachable(shared, error) from error
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # with its connection, the lock is gone already
            connection.execute("SELECT pg_advisory_unlock(%s)", [number])


_TAKE: Final = (
    "WITH bounded AS MATERIALIZED (SELECT set_config('lock_timeout', %s, false)) "
    "SELECT pg_advisory_lock(%s) FROM bounded"
)


def _take(shared: SharedStorage, number: int, timeout: float) -> Connection[tuple[object, ...]]:
    """This thread's session, which waited for the lock and has it."""
    import psycopg

    values, connection = [str(max(1, round(timeout * 1000))), number], session(shared)
    try:
        connection.execute(_TAKE, values)
    except psycopg.OperationalError:
        if not connection.closed:
            raise
        connection = session(shared)  # another one: the server had ended the first since it was used last
        connection.execute(_TAKE, values)
    return connection


def is_mine(shared: SharedStorage, name: str) -> bool:
    """Whether this thread's session still holds the lock: a connection that broke has let go of it."""
    import psycopg

    try:
        found = (
            session(shared)
            .execute(
                f"SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND {_OF_THE_NUMBER}",
                _halves(lock_number(name)),
            )
            .fetchone()
        )
    except (psycopg.Error, PostgresError):
        return False
    return found is not None and found[0] != 0


def lock_number(name: str) -> int:
    """The number by which the server knows a lock of that name."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)


_OF_THE_NUMBER: Final = (
    "locktype = 'advisory' AND granted AND classid = %s AND objid = %s "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""The server shows a lock's number in two halves."""


def _halves(number: int) -> list[int]:
    return [(number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF]


def holder(connection: Connection[tuple[object, ...]], number: int) -> str:
    """The machine and process that holds a lock, for a message."""
    row = connection.execute(
        f"SELECT application_name, client_addr FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE {_OF_THE_NUMBER}",
        _halves(number),
    ).fetchone()
    if row is None:
        return "another process"
    return f"{str(row[0]).removeprefix('regime_assets ')}" + (f" at {row[1]}" if row[1] else "")
