"""Shared tables of an older version are brought forward whole, can return, and are refused when they are newer."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import pandas as pd
import psycopg
import pytest

from regime_assets.cli import main
from regime_assets.library import database as databases
from regime_assets.library import lake_migrations
from regime_assets.library.database import SCHEMA_VERSION, DatabaseError
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.lake import Lake
from regime_assets.library.open_database import universe_database
from regime_assets.library.shared_storage import CATALOG_VARIABLE, SharedStorage
from regime_assets.library.upkeep.table_copies import return_to
from regime_assets_tests.postgres_server import PostgresServer

KEY = {"universe": "u"}


@pytest.fixture
def written(on_shared_storage: SharedStorage, tmp_path: Path) -> Lake:
    """Tables as the present version writes them."""
    lake = Lake(on_shared_storage, f"universe_{uuid4().hex}", tmp_path / "spill")
    with lake.transaction() as connection:
        connection.execute("CREATE TABLE answers (universe VARCHAR NOT NULL, weight DOUBLE)")
        connection.execute("INSERT INTO answers SELECT 'u', range FROM range(200)")
    lake.replace_partition("kept", KEY, pd.DataFrame({"value": [1.0, 2.0]}))
    return lake


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> int:
    """From now on this process is of a version that is two ahead."""
    monkeypatch.setattr(databases, "SCHEMA_VERSION", SCHEMA_VERSION + 2)
    monkeypatch.setattr(lake_migrations, "STEPS", {SCHEMA_VERSION: percent, SCHEMA_VERSION + 1: without_kept})
    return SCHEMA_VERSION + 2


def percent(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("ALTER TABLE answers ADD COLUMN per_cent DOUBLE")
    connection.execute("UPDATE answers SET per_cent = 100 * weight")


def without_kept(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("DROP TABLE kept")


def opened_again(lake: Lake) -> Lake:
    return Lake(lake.shared, lake.schema, lake._temporary)


def test_whoever_opens_older_tables_brings_them_forward(written: Lake, newer: int) -> None:
    lake = opened_again(written)
    assert lake.rows("SELECT sum(per_cent) FROM answers") == [(100.0 * sum(range(200)),)]
    assert not lake.has_table("kept")
    assert lake.rows("SELECT version FROM schema_version") == [(newer,)]
    assert list(lake.history()) == [SCHEMA_VERSION, SCHEMA_VERSION + 1]
    assert opened_again(lake).history() == lake.history(), "once"


def test_a_version_that_does_not_know_them_refuses_them(
    written: Lake, newer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_again(written).tables()
    monkeypatch.setattr(databases, "SCHEMA_VERSION", SCHEMA_VERSION)
    told = rf"its tables have version {newer}, this version of regime_assets knows {SCHEMA_VERSION}: use the newer"
    with pytest.raises(DatabaseError, match=told):
        opened_again(written).query("FROM answers")


def test_a_step_that_fails_leaves_the_tables_as_they_were_and_is_taken_again(
    written: Lake, newer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(connection: duckdb.DuckDBPyConnection) -> None:
        percent(connection)
        connection.execute("ALTER TABLE nowhere ADD COLUMN x DOUBLE")

    with monkeypatch.context() as patched:
        patched.setattr(lake_migrations, "STEPS", {SCHEMA_VERSION: impossible})
        with pytest.raises(DatabaseError, match=f"not be brought from version {SCHEMA_VERSION} to .* is as it was"):
            opened_again(written).tables()
    monkeypatch.setattr(databases, "SCHEMA_VERSION", SCHEMA_VERSION)
    assert written.rows("SELECT column_name FROM (DESCRIBE answers)") == [("universe",), ("weight",)]
    monkeypatch.setattr(databases, "SCHEMA_VERSION", newer)
    assert "per_cent" in opened_again(written).query("FROM answers")


def test_tables_return_to_what_they_were_before_they_were_brought_forward(
    written: Lake, newer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = opened_again(written)
    assert lake.rows("SELECT version FROM schema_version") == [(newer,)]
    with lake.transaction() as connection:
        connection.execute("DELETE FROM answers WHERE weight > 10")
    lake.compact(timedelta(days=7))
    with pytest.raises(DatabaseError, match=f"was not brought forward from version 1; returns to: {SCHEMA_VERSION}, "):
        return_to(lake, 1)
    returned = return_to(lake, SCHEMA_VERSION)
    assert returned.contents["answers"].rows == 200
    monkeypatch.setattr(databases, "SCHEMA_VERSION", SCHEMA_VERSION)
    older = opened_again(written)
    assert older.rows("SELECT sum(weight) FROM answers") == [(float(sum(range(200))),)]
    assert list(older.read_partition("kept", KEY)["value"]) == [1.0, 2.0]
    assert not older.has_table("schema_history")


@pytest.mark.usefixtures("on_shared_storage")
def test_a_state_that_retention_has_forgotten_is_said_to_be_gone(written: Lake, newer: int) -> None:
    lake = opened_again(written)
    assert lake.version() == newer
    for _ in range(2):
        lake.compact(timedelta(0))
    with pytest.raises(
        DatabaseError, match=f"its state of version {SCHEMA_VERSION} cannot be read: .*after seven days"
    ):
        return_to(lake, SCHEMA_VERSION)
    assert lake.rows("SELECT count(*) FROM answers") == [(200,)]


def test_the_command_lists_versions_and_returns_to_one(
    postgres: PostgresServer,
    on_shared_storage: SharedStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert on_shared_storage
    name = f"desk_{uuid4().hex}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # pyright: ignore
    monkeypatch.setenv(CATALOG_VARIABLE, postgres.url(name))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    universe_database(Home(tmp_path), "u").replace_partition("t", KEY, pd.DataFrame({"value": [1.0, 2.0]}))
    monkeypatch.setattr(databases, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setattr(lake_migrations, "STEPS", {SCHEMA_VERSION: lambda found: found.execute("DELETE FROM t")})
    assert main(["shared-tables"]) == 0
    assert f"universe_u: version {SCHEMA_VERSION + 1}; had {SCHEMA_VERSION} until snapshot" in capsys.readouterr().out
    assert main(["shared-tables", "--return-to", str(SCHEMA_VERSION)]) == 0
    assert f"universe_u: version {SCHEMA_VERSION} again, 1 tables, 2 rows" in capsys.readouterr().out
