"""Which database a universe's tables are in, and which the ledger of all: asked here, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.shared_storage import SharedStorage

if TYPE_CHECKING:
    from pathlib import Path

    from regime_assets.library.database import Database
    from regime_assets.library.home import Home

LEDGER, OF_A_UNIVERSE = "ledger", "universe_"
"""Schemas of shared tables: the ledger's, and the beginning of a universe's."""


def universe_database(home: Home, universe: str) -> Database:
    """The tables of one universe, which shares no table and no writer with another."""
    return _shared(home, f"{OF_A_UNIVERSE}{universe}") or DatabaseFile(home.database(universe))


def ledger_database(home: Home) -> Database:
    """The tables of all that was ever tried: what is tried on one universe is luck for another of its prices."""
    return _shared(home, LEDGER) or DatabaseFile(home.ledger)


def stored_databases(home: Home, timeout: float) -> list[Database]:
    """Every database that was ever written, whose lock is waited for no longer than `timeout` seconds.

    Raises:
        DatabaseError: the server of shared ones cannot be reached.
    """
    shared = SharedStorage.from_environment()
    if shared is None:
        paths = [*sorted(home.databases.glob("*.duckdb")), *([home.ledger] if home.ledger.exists() else [])]
        return [DatabaseFile(path, timeout, timeout) for path in paths]
    from regime_assets.library.lake import Lake, stored_schemas

    schemas = [name for name in stored_schemas(shared) if name == LEDGER or name.startswith(OF_A_UNIVERSE)]
    return [Lake(shared, schema, _temporary(home), timeout) for schema in schemas]


def _shared(home: Home, schema: str) -> Database | None:
    shared = SharedStorage.from_environment()
    if shared is None:
        return None
    from regime_assets.library.lake import Lake

    return Lake(shared, schema, _temporary(home))


def _temporary(home: Home) -> Path:
    return home.root / "duckdb.tmp"
