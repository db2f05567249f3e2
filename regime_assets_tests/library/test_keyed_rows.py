"""A table with a key never holds two rows of one key, though no engine enforces it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from regime_assets.library.database import Database
from regime_assets.library.home import Home
from regime_assets.library.keyed_rows import insert_new, move_key, put
from regime_assets.library.open_database import universe_database
from regime_assets.library.tables import FACTS_ANSWERED, LOOKS, TABLES, TRIED_DESIGNS


@pytest.fixture(params=["file", "lake"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "lake":
        request.getfixturevalue("on_shared_storage")
    return universe_database(Home(tmp_path), uuid4().hex)


@pytest.fixture
def connection(database: Database) -> Iterator[duckdb.DuckDBPyConnection]:
    with database.transaction() as connection:
        for table in TABLES:
            if table.key:
                connection.execute(table.ddl)
        yield connection


LOOK = ["us", "long", "2020-01-06", "a", 0.05]


def test_a_row_is_inserted_once_and_stays_as_it_was(connection: duckdb.DuckDBPyConnection) -> None:
    assert insert_new(connection, LOOKS, LOOK)
    assert not insert_new(connection, LOOKS, [*LOOK[:4], 0.9])
    assert connection.execute("SELECT alpha FROM looks").fetchall() == [(0.05,)]


def test_a_row_takes_the_place_of_the_one_with_its_key(connection: duckdb.DuckDBPyConnection) -> None:
    for moment in ("2020-01-06", "2020-01-07"):
        put(connection, FACTS_ANSWERED, ["us", "fred", "GDP", moment])
    put(connection, FACTS_ANSWERED, ["us", "fred", "CPI", "2020-01-01"])
    rows = connection.execute("SELECT subject, answered_until::DATE::VARCHAR FROM facts_answered ORDER BY 1").fetchall()
    assert rows == [("CPI", "2020-01-01"), ("GDP", "2020-01-07")]


def test_a_list_is_a_value_like_others(connection: duckdb.DuckDBPyConnection) -> None:
    row = ["a", "us", "long", "daily", ["SPY", "TLT"], "2020-01-06"]
    assert insert_new(connection, TRIED_DESIGNS, row)
    put(connection, TRIED_DESIGNS, [*row[:4], ["SPY"], "2020-01-07"])
    assert connection.execute("SELECT traded FROM tried_designs").fetchall() == [(["SPY"],)]


def test_of_two_rows_that_come_to_one_key_the_one_already_there_stays(connection: duckdb.DuckDBPyConnection) -> None:
    insert_new(connection, LOOKS, LOOK)
    insert_new(connection, LOOKS, [*LOOK[:2], "2020-02-03", "former", 0.01])
    insert_new(connection, LOOKS, [*LOOK[:3], "former", 0.9])
    move_key(connection, LOOKS, "design", "a", "universe = ? AND design = ?", ["us", "former"])
    rows = connection.execute("SELECT session::VARCHAR, design, alpha FROM looks ORDER BY 1").fetchall()
    assert rows == [("2020-01-06", "a", 0.05), ("2020-02-03", "a", 0.01)]


def test_writers_at_once_leave_one_row_of_a_key(database: Database) -> None:
    def write(number: int) -> bool:
        with database.transaction() as connection:
            connection.execute(LOOKS.ddl)
            return insert_new(connection, LOOKS, [*LOOK[:4], float(number)])

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(write, range(8))) == [False] * 7 + [True]
    assert database.query("SELECT count(*) AS n FROM looks")["n"].item() == 1
