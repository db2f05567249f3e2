"""Which database a universe's tables are in, and which the ledger of all: asked here, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.shared_storage import SharedStorage

if TYPE_CHECKING:
    from regime_assets.library.database import Database
    from regime_assets.library.home import Home

LEDGER = "ledger"


def universe_database(home: Home, universe: str) -> Database:
    """The tables of one universe, which shares no table and no writer with another."""
    return _shared(home, f"universe_{universe}") or DatabaseFile(home.database(universe))


def ledger_database(home: Home) -> Database:
    """The tables of all that was ever tried: what is tried on one universe is luck for another of its prices."""
    return _shared(home, LEDGER) or DatabaseFile(home.ledger)


def _shared(home: Home, schema: str) -> Database | None:
    shared = SharedStorage.from_environment()
    if shared is None:
        return None
    from regime_assets.library.lake import Lake

    return Lake(shared, schema, home.root / "duckdb.tmp")
