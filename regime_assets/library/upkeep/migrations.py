"""Older data folders brought forward, one step a format. A step that is killed begins anew, and loses nothing.

What a step replaces, it keeps in `backups/before-format-<n>/`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from regime_assets.library.clock import clock
from regime_assets.library.database import SCHEMA_VERSION, VERSION_TABLE
from regime_assets.library.database_file import CATALOG, DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.upkeep.legacy_journal import LEGACY_JOURNAL, import_journal

LEGACY_DATABASE = "regime_assets.duckdb"
"""Up to format 1: one file for all universes."""


def _to_one_database_a_universe(home: Home) -> None:
    """Format 1 to 2."""
    legacy = home.root / LEGACY_DATABASE
    kept = home.root / "backups" / "before-format-2"
    kept.mkdir(parents=True, exist_ok=True)
    for universe in _universes(legacy):
        _split(legacy, home.database(universe), universe)
    _keep_sqlite(home.root / "mlflow.db", kept)
    for path in sorted(home.locks.glob(f"*{LEGACY_JOURNAL}")):
        import_journal(home, path)
        shutil.copyfile(path, kept / path.name)
    os.replace(legacy, kept / LEGACY_DATABASE)


def _universes(path: Path) -> list[str]:
    with DatabaseFile(path).connect() as connection:
        names: set[str] = set()
        for table in _tables_by_universe(connection):
            names |= {row[0] for row in connection.execute(f'SELECT DISTINCT universe FROM "{table}"').fetchall()}
    return sorted(names)


def _split(legacy: Path, target: Path, universe: str) -> None:
    """Copy the file whole, with its keys and constraints, and delete what is of other universes."""
    staging = target.with_name(f".{target.name}.new")
    target.parent.mkdir(parents=True, exist_ok=True)
    with DatabaseFile(legacy).connect() as connection:
        connection.execute("CHECKPOINT")
        shutil.copyfile(legacy, staging)
    with DatabaseFile(staging).transaction() as connection:
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


def _keep_sqlite(path: Path, kept: Path) -> None:
    if path.exists() and not (kept / path.name).exists():
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(kept / path.name)) as target:
            source.backup(target)


def _to_one_ledger(home: Home) -> None:
    """Format 2 to 3: one ledger of trials for all universes, and a design for every stored decision.

    A trial's moment and what it traded were not recorded. Its moment counts as now, the latest that it can have been,
    so that nothing becomes a live record that was none; it goes on counting for its own universe.
    """
    kept = home.root / "backups" / "before-format-3"
    kept.mkdir(parents=True, exist_ok=True)
    for path in sorted(home.databases.glob("*.duckdb")):
        if not (kept / path.name).exists():
            with DatabaseFile(path).connect() as connection:
                connection.execute("CHECKPOINT")
                shutil.copyfile(path, kept / path.name)
    ledger = DatabaseFile(home.ledger)
    with ledger.transaction() as connection:
        for statement in _LEDGER_OF_FORMAT_3:
            connection.execute(statement)
    for path in sorted(home.databases.glob("*.duckdb")):
        database = DatabaseFile(path)
        if database.has_table("decisions"):
            known = database.has_table("trials")
            with database.transaction() as connection:
                connection.execute("ALTER TABLE decisions ADD COLUMN IF NOT EXISTS design VARCHAR")
                if known:
                    connection.execute(
                        "UPDATE decisions SET design = t.design FROM trials t WHERE decisions.design IS NULL AND "
                        "t.universe = decisions.universe AND t.horizon = decisions.horizon AND t.session = as_of"
                    )
        for table in ("trials", "looks"):
            if not database.has_table(table):
                continue
            rows = database.query(f"SELECT * FROM {table}")
            with ledger.transaction() as connection:
                connection.register("incoming", rows)
                connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming ON CONFLICT DO NOTHING")
                if table == "trials":
                    connection.execute(
                        "INSERT INTO tried_designs SELECT DISTINCT design, universe, horizon, 'daily', "
                        "CAST([] AS VARCHAR[]), ?::TIMESTAMP FROM incoming ON CONFLICT DO NOTHING",
                        [clock.now().replace(tzinfo=None)],
                    )
                connection.unregister("incoming")
            with database.transaction() as connection:
                connection.execute(f"DROP TABLE {table}")


_LEDGER_OF_FORMAT_3 = (
    """CREATE TABLE IF NOT EXISTS tried_designs (
        design VARCHAR NOT NULL, universe VARCHAR NOT NULL, horizon VARCHAR NOT NULL, kind VARCHAR NOT NULL,
        traded VARCHAR[] NOT NULL, started TIMESTAMP NOT NULL, PRIMARY KEY (design, universe, horizon, kind))""",
    """CREATE TABLE IF NOT EXISTS trials (
        universe VARCHAR NOT NULL, horizon VARCHAR NOT NULL, session DATE NOT NULL, design VARCHAR NOT NULL,
        sharpe DOUBLE NOT NULL, n_sessions INTEGER NOT NULL, PRIMARY KEY (universe, horizon, session, design))""",
    """CREATE TABLE IF NOT EXISTS looks (
        universe VARCHAR NOT NULL, horizon VARCHAR NOT NULL, session DATE NOT NULL, design VARCHAR NOT NULL,
        alpha DOUBLE NOT NULL, PRIMARY KEY (universe, horizon, session, design))""",
)


def _to_one_lineage_a_design(home: Home) -> None:
    """Format 3 to 4: models, their rules, curves and paths, backtests and judgements belong to a design.

    A session's design is the one whose decisions are stored for it; a session without any has that of the nearest one
    before it, or else of the first. Models lie in a folder of their design.
    """
    kept = home.root / "backups" / "before-format-4"
    kept.mkdir(parents=True, exist_ok=True)
    for path in sorted(home.databases.glob("*.duckdb")):
        database = DatabaseFile(path)
        if not (kept / path.name).exists():
            with database.connect() as connection:
                connection.execute("CHECKPOINT")
                shutil.copyfile(path, kept / path.name)
        with database.transaction() as connection:
            connection.execute(
                "CREATE TEMP TABLE fitted AS SELECT DISTINCT ON (universe, horizon, as_of)"
                " universe, horizon, as_of, design FROM decisions WHERE design IS NOT NULL"
                if _has(connection, "decisions")
                else "CREATE TEMP TABLE fitted (universe VARCHAR, horizon VARCHAR, as_of DATE, design VARCHAR)"
            )
            for table, session in _LANES_OF_FORMAT_4.items():
                if not _has(connection, table):
                    continue
                connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS design VARCHAR")
                nearest = (
                    "SELECT f.design FROM fitted AS f"
                    f" WHERE f.universe = {table}.universe AND f.horizon = {table}.horizon"
                    f" ORDER BY f.as_of > {table}.{session}, abs(datediff('day', f.as_of, {table}.{session})) LIMIT 1"
                )
                connection.execute(f"UPDATE {table} SET design = coalesce(({nearest}), '') WHERE design IS NULL")
            if _has(connection, "rule_outcomes"):
                connection.execute("UPDATE rule_outcomes SET design = '' WHERE kind = 'drift_report'")
            connection.execute("DROP TABLE fitted")
        if database.has_table("models"):
            fitted = database.query("SELECT DISTINCT universe, horizon, session, design FROM models")
            for universe, horizon, session, design in fitted.itertuples(index=False):
                _move_models(home.root / "models" / universe / horizon / f"{session:%Y-%m-%d}", str(design)[:16])


def _has(connection: object, table: str) -> bool:
    sql = "SELECT count(*) FROM information_schema.tables WHERE table_catalog = ? AND table_name = ?"
    return bool(connection.execute(sql, [CATALOG, table]).fetchone()[0])  # pyright: ignore


def _move_models(folder: Path, design: str) -> None:
    """Put the models of one session into the folder of their design."""
    for kind in ("vae", "latents", "gmm", "rl_policy"):
        if (folder / kind).is_dir():
            (folder / design).mkdir(exist_ok=True)
            os.replace(folder / kind, folder / design / kind)


_LANES_OF_FORMAT_4 = {
    **dict.fromkeys(("models", "rule_outcomes", "vae_curves", "rl_policy_curves"), "session"),
    **dict.fromkeys(("regime_path", "backtests", "judgements"), "as_of"),
}
"""Tables that are a lane's → their column of the partition."""


def _to_numbered_answers(home: Home) -> None:
    """Format 4 to 5: the order in which answers for one session were given stands in a column of its own."""
    kept = home.root / "backups" / "before-format-5"
    for path in sorted(home.databases.glob("*.duckdb")):
        database = DatabaseFile(path)
        if not database.has_table("deployments"):
            continue
        if not (kept / path.name).exists():
            kept.mkdir(parents=True, exist_ok=True)
            with database.connect() as connection:
                connection.execute("CHECKPOINT")
                shutil.copyfile(path, kept / path.name)
        with database.transaction() as connection:
            connection.execute("ALTER TABLE deployments ADD COLUMN IF NOT EXISTS number BIGINT")
            connection.execute(
                "UPDATE deployments SET number = found.number FROM (SELECT rowid AS place, row_number() OVER "
                "(PARTITION BY universe, horizon, session ORDER BY rowid) AS number FROM deployments) AS found "
                "WHERE deployments.rowid = found.place AND deployments.number IS NULL"
            )
            connection.execute(f"UPDATE {VERSION_TABLE} SET version = {SCHEMA_VERSION}")


MIGRATIONS: Mapping[int, Callable[[Home], None]] = {
    1: _to_one_database_a_universe,
    2: _to_one_ledger,
    3: _to_one_lineage_a_design,
    4: _to_numbered_answers,
}
"""From each format to the next."""
