"""Older data folders brought forward, one step a format. A step that is killed begins anew, and loses nothing.

What a step replaces, it keeps in `backups/before-format-<n>/`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from regime_assets.library.database import CATALOG, SCHEMA_VERSION, VERSION_TABLE, Database
from regime_assets.library.home import Home

LEGACY_DATABASE = "regime_assets.duckdb"
"""Until format 1: one file for all universes."""


def _to_one_database_a_universe(home: Home) -> None:
    """Format 1 to 2."""
    legacy = home.root / LEGACY_DATABASE
    kept = home.root / "backups" / "before-format-2"
    kept.mkdir(parents=True, exist_ok=True)
    for universe in _universes(legacy):
        _split(legacy, home.database(universe), universe)
    os.replace(legacy, kept / LEGACY_DATABASE)


def _universes(path: Path) -> list[str]:
    with Database(path).connect() as connection:
        names: set[str] = set()
        for table in _tables_by_universe(connection):
            names |= {row[0] for row in connection.execute(f'SELECT DISTINCT universe FROM "{table}"').fetchall()}
    return sorted(names)


def _split(legacy: Path, target: Path, universe: str) -> None:
    """Copy the file whole, with its keys and constraints, and delete what is of other universes."""
    staging = target.with_name(f".{target.name}.new")
    target.parent.mkdir(parents=True, exist_ok=True)
    with Database(legacy).connect() as connection:
        connection.execute("CHECKPOINT")
        shutil.copyfile(legacy, staging)
    with Database(staging).transaction() as connection:
        for table in _tables_by_universe(connection):
            connection.execute(f'DELETE FROM "{table}" WHERE universe <> ?', [universe])
        connection.execute(f"UPDATE {VERSION_TABLE} SET version = {SCHEMA_VERSION}")
    os.replace(staging, target)
    staging.with_name(f"{staging.name}.lock").unlink()


def _tables_by_universe(connection: object) -> list[str]:
    sql = (
        "SELECT table_name FROM information_schema.columns "
        f"WHERE table_catalog = '{CATALOG}' AND column_name = 'universe' ORDER BY table_name"
    )
    return [row[0] for row in connection.execute(sql).fetchall()]  # pyright: ignore


MIGRATIONS: Mapping[int, Callable[[Home], None]] = {1: _to_one_database_a_universe}
"""From each format to the next."""
