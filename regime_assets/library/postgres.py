"""Connections to the PostgreSQL server that the machines of a deployment share.

A connection is a session there: the advisory locks that it holds go when it ends, however its process ended. A machine
that lost its power says no goodbye; the server asks after it and lets go of it within a minute.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

from regime_assets.library.shared_storage import CATALOG_VARIABLE

if TYPE_CHECKING:
    from psycopg import Connection

    from regime_assets.library.shared_storage import SharedStorage

CONNECT_SECONDS = 10
KEEPALIVE = "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
"""Of the server's side, in seconds: it sets nothing on a Unix socket, which ends with its process anyway."""

INSTALL = "pip install 'regime_assets[cluster]'"


class PostgresError(Exception):
    """The server cannot be reached or used; the message says why and what to do."""


def open_session(shared: SharedStorage) -> Connection[tuple[object, ...]]:
    """A session of its own, each statement of which commits by itself.

    Raises:
        PostgresError: the server does not answer or refuses, or `psycopg` is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise PostgresError(f"{CATALOG_VARIABLE} is set and psycopg is not installed: {INSTALL}") from error
    try:
        return psycopg.connect(
            shared.catalog,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name=f"regime_assets {this_process()}"[:63],
            options=KEEPALIVE,
        )
    except psycopg.Error as error:
        raise unreachable(shared, error) from error


def session(shared: SharedStorage) -> Connection[tuple[object, ...]]:
    """This thread's session, opened when it is needed first and again after it broke."""
    sessions = _sessions()
    known = sessions.get(shared)
    if known is None or known.closed:
        known = sessions[shared] = open_session(shared)
    return known


def unreachable(shared: SharedStorage, error: BaseException) -> PostgresError:
    """What the server's silence means to a user; the password is not in it."""
    why = str(error).strip().split("\n")[0]
    return PostgresError(
        f"{shared.shown_catalog}: the PostgreSQL server cannot be used: {why}; start it, or correct "
        f"{CATALOG_VARIABLE}, and run again: what was stored is there"
    )


def this_process() -> str:
    """This machine and process, for whoever waits for it."""
    return f"{socket.gethostname()}:{os.getpid()}"


_THREAD = threading.local()


def _sessions() -> dict[SharedStorage, Connection[tuple[object, ...]]]:
    """This thread's; those of a parent process are not this one's."""
    if getattr(_THREAD, "process", None) != os.getpid():
        _THREAD.process, _THREAD.sessions = os.getpid(), {}
    return _THREAD.sessions
