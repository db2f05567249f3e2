"""Which database a universe's tables are in, and which the ledger of all: asked here, and nowhere else."""

from __future__ import annotations

from regime_assets.library.database import Database
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home


def universe_database(home: Home, universe: str) -> Database:
    """The tables of one universe, which shares no table and no writer with another."""
    return DatabaseFile(home.database(universe))


def ledger_database(home: Home) -> Database:
    """The tables of all that was ever tried: what is tried on one universe is luck for another of its prices."""
    return DatabaseFile(home.ledger)
