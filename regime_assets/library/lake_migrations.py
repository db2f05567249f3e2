"""Shared tables of an older version brought forward, by whoever opens them first, one transaction a version.

The state before each step is a snapshot that `schema_history` names: the tables can be read as they were, and return to
it, until retention forgets snapshots of that age.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from regime_assets.library.clock import clock

if TYPE_CHECKING:
    import duckdb

Step = Callable[["duckdb.DuckDBPyConnection"], None]
"""Changes the tables of one database from a version to the next, inside a transaction."""

STEPS: Mapping[int, Step] = {}
"""From each version to the next; the tables that machines share began with version 3."""

HISTORY_TABLE = "schema_history"
_CREATE = f"CREATE TABLE IF NOT EXISTS {HISTORY_TABLE} (version INTEGER, snapshot BIGINT, until TIMESTAMP)"


def take_step(connection: duckdb.DuckDBPyConnection, catalog: str, version: int) -> None:
    """Bring tables of `version` to the next, and write down which snapshot was the last of that version.

    Args:
        connection: inside a transaction of the tables' only writer.
        catalog: theirs.
        version: which they have.
    """
    found = connection.execute(f"SELECT id FROM {catalog}.current_snapshot()").fetchone()
    assert found is not None
    STEPS[version](connection)
    connection.execute(_CREATE)
    until = clock.system_now().replace(tzinfo=None)
    connection.execute(f"INSERT INTO {HISTORY_TABLE} VALUES (?, ?, ?)", [version, found[0], until])
