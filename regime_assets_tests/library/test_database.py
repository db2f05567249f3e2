"""A partition is replaced whole or not at all, and one writer at a time: the laws of every kind of database."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest

from regime_assets.library.database import SCHEMA_VERSION, Database, DatabaseError
from regime_assets.library.home import Home
from regime_assets.library.open_database import universe_database

KEY = {"universe": "u", "as_of": pd.Timestamp("2020-01-02").date()}


def rows(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"position": range(len(values)), "value": values})


@pytest.fixture(params=["file", "lake"])
def arguments(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Data folder and universe, as `opened` and the scripts take them; each law holds of every kind of database."""
    if request.param == "lake":
        request.getfixturevalue("on_shared_storage")
    return [str(tmp_path), f"it's {uuid4().hex}"]


def opened(arguments: list[str]) -> Database:
    return universe_database(Home(Path(arguments[0])), arguments[1])


@pytest.fixture
def database(arguments: list[str]) -> Database:
    return opened(arguments)


OPENED = """
import sys, pandas as pd
from pathlib import Path
from regime_assets.library.home import Home
from regime_assets.library.open_database import universe_database
database = universe_database(Home(Path(sys.argv[1])), sys.argv[2])
"""


def test_a_partition_reads_as_it_was_written(database: Database) -> None:
    database.replace_partition("t", KEY, rows(1.0, 2.0))
    pd.testing.assert_frame_equal(
        database.read_partition("t", KEY, order_by="position"), rows(1.0, 2.0), check_dtype=False
    )


def test_replacing_one_partition_leaves_the_others(database: Database) -> None:
    other = {**KEY, "universe": "v"}
    database.replace_partition("t", KEY, rows(1.0))
    database.replace_partition("t", other, rows(5.0))
    database.replace_partition("t", KEY, rows(2.0, 3.0))
    assert list(database.read_partition("t", other)["value"]) == [5.0]
    assert sorted(database.read_partition("t", KEY)["value"]) == [2.0, 3.0]


def test_columns_are_matched_by_name_and_new_ones_are_added(database: Database) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    reordered = pd.DataFrame({"extra": ["x"], "value": [7.0], "position": [0]})
    database.replace_partition("t", {**KEY, "universe": "v"}, reordered)
    assert list(database.read_partition("t", {**KEY, "universe": "v"})["value"]) == [7.0]
    assert database.read_partition("t", KEY)["extra"].isna().all()


@pytest.mark.parametrize("first", ["drift-2020-01-03", 2.5, pd.Timestamp("2020-01-03")])
def test_a_column_that_held_nothing_takes_the_type_of_its_first_value(
    database: Database, arguments: list[str], first: object
) -> None:
    """The first alarm of a universe comes after many sessions without one."""
    earlier, later = {**KEY, "universe": "v"}, KEY
    for _ in range(2):
        database.replace_partition("t", earlier, pd.DataFrame({"position": [0], "episode": [None]}))
    opened(arguments).replace_partition("t", later, pd.DataFrame({"position": [0], "episode": [first]}))
    assert list(database.read_partition("t", later)["episode"]) == [first]
    assert database.read_partition("t", earlier)["episode"].isna().all()
    database.replace_partition("t", later, pd.DataFrame({"position": [0], "episode": [None]}))
    assert database.read_partition("t", later)["episode"].isna().all()


def test_a_column_of_whole_numbers_rounds_no_later_fraction(database: Database) -> None:
    database.replace_partition("t", {"universe": "u"}, pd.DataFrame({"shares": [1, 2]}))
    database.replace_partition("t", {"universe": "v"}, pd.DataFrame({"shares": [0.5, 1.5]}))
    assert list(database.read_partition("t", {"universe": "v"})["shares"]) == [0.5, 1.5]
    assert list(database.read_partition("t", {"universe": "u"})["shares"]) == [1, 2]


@pytest.mark.parametrize("times", [1, 40], ids=["few rows", "many rows"])
def test_every_value_comes_back_as_it_was(database: Database, times: int) -> None:
    values = {
        "number": [float("inf"), float("-inf"), 1e-320, 0.1],
        "text": ["a\0b", "ü'\"\\", "", "line\nbreak\ttab"],
        "moment": pd.to_datetime(["1900-01-01", "2262-01-01", "2020-01-01 01:02:03.123456", None], format="ISO8601"),
        "count": pd.array([1, None, 2**62, -1], dtype="Int64"),
    }
    frame = pd.concat([pd.DataFrame(values)] * times, ignore_index=True)
    database.replace_partition("t", KEY, frame)
    pd.testing.assert_frame_equal(database.read_partition("t", KEY), frame, check_dtype=False)


def test_an_empty_frame_never_deletes_a_partition(database: Database) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    with pytest.raises(ValueError, match="no rows"):
        database.replace_partition("t", KEY, rows().iloc[:0])
    assert len(database.read_partition("t", KEY)) == 1


def test_a_failed_write_leaves_the_old_partition(database: Database) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    with pytest.raises(Exception, match=r"Conversion|convert"):
        database.replace_partition("t", KEY, pd.DataFrame({"position": ["not a number"], "value": [1.0]}))
    assert list(database.read_partition("t", KEY)["value"]) == [1.0]


def test_writes_of_one_transaction_are_all_there_or_none(database: Database) -> None:
    database.replace_partition("t", KEY, rows(1.0))

    def write(second: pd.DataFrame) -> None:
        with database.one_transaction(["t", "other"]):
            database.replace_partition("t", KEY, rows(2.0))
            database.replace_partition("other", KEY, second)

    with pytest.raises(ValueError, match="no rows"):
        write(rows())
    assert list(database.read_partition("t", KEY)["value"]) == [1.0]
    assert not database.has_table("other")
    write(rows(3.0))
    assert [list(database.read_partition(table, KEY)["value"]) for table in ("t", "other")] == [[2.0], [3.0]]
    with pytest.raises(ValueError, match="elsewhere"), database.one_transaction(["t"]):
        database.replace_partition("elsewhere", KEY, rows(1.0))


def test_a_table_that_was_never_written_reads_as_empty(database: Database) -> None:
    assert database.read_partition("nothing", KEY).empty
    assert not database.has_table("nothing")


def test_threads_on_two_universes_see_their_own_tables(arguments: list[str]) -> None:
    folder, universe = arguments
    databases = [opened([folder, name]) for name in (universe, f"other {universe}")]

    def write(database: Database) -> None:
        for number in range(10):
            assert not database.has_table(f"missing{number}")
            database.replace_partition("t" if database is databases[0] else "u", KEY, rows(float(number)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [*databases, *databases]))
    for database, table, other in zip(databases, "tu", "ut", strict=True):
        assert list(database.query(f"SELECT value FROM {table}")["value"]) == [9.0]
        assert not database.has_table(other)


def test_processes_that_write_at_once_lose_nothing(database: Database, arguments: list[str]) -> None:
    script = f"""{OPENED}
for number in range(5):
    database.replace_partition("t", {{"writer": sys.argv[3], "number": number}}, pd.DataFrame({{"value": [number]}}))
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, *arguments, str(n)]) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert database.query("SELECT count(*) AS n FROM t")["n"].item() == 15


def test_a_writer_killed_at_any_moment_leaves_no_torn_partition(database: Database, arguments: list[str]) -> None:
    script = f"""{OPENED}
print("ready", flush=True)
for generation in range(10_000):
    database.replace_partition("t", {{"key": "k"}}, pd.DataFrame({{"generation": [generation] * 60}}))
"""
    for pause in (0.05, 0.12, 0.2):
        writer = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(pause)
        writer.kill()
        writer.wait()
        if database.has_table("t"):
            stored = database.read_partition("t", {"key": "k"})["generation"]
            assert len(stored) == 60
            assert stored.nunique() == 1


def test_the_catalog_is_read_anew(database: Database) -> None:
    sql = "SELECT count(*) AS n FROM information_schema.tables WHERE table_name IN ('t', 'elsewhere')"
    database.replace_partition("t", KEY, rows(1.0))
    assert database.query(sql)["n"].item() == 1
    database.replace_partition("elsewhere", KEY, rows(1.0))
    assert database.query(sql)["n"].item() == 2


def test_what_another_process_wrote_is_seen(database: Database, arguments: list[str]) -> None:
    database.replace_partition("t", {"universe": "u"}, pd.DataFrame({"value": [1.0]}))
    assert list(database.read_partition("t", {"universe": "u"})["value"]) == [1.0]
    other = f"""{OPENED}
database.replace_partition("t", {{"universe": "u"}}, pd.DataFrame({{"value": [9.0]}}))
"""
    subprocess.run([sys.executable, "-c", other, *arguments], check=True)
    assert list(database.read_partition("t", {"universe": "u"})["value"]) == [9.0]


def test_what_a_reader_does_to_its_frame_no_other_reader_sees(database: Database) -> None:
    database.replace_partition("t", KEY, rows(1.0, 2.0))
    database.read_partition("t", KEY).loc[:, "value"] = 0.0
    assert list(database.read_partition("t", KEY)["value"]) == [1.0, 2.0]


def test_rows_come_in_the_order_in_which_they_were_written(database: Database) -> None:
    for first in (3.0, 1.0):
        database.replace_partition("t", {"universe": f"u{first}"}, rows(first, 9.0, 2.0))
    assert list(database.read_partition("t", {"universe": "u3.0"})["value"]) == [3.0, 9.0, 2.0]


def test_operations_of_a_block_see_each_other_and_no_other_writer(database: Database, arguments: list[str]) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    with ThreadPoolExecutor(1) as pool, database.held():
        assert list(database.read_partition("t", KEY)["value"]) == [1.0]
        other = pool.submit(opened(arguments).replace_partition, "t", KEY, rows(3.0))
        opened(arguments).replace_partition("t", KEY, rows(2.0))
        assert list(database.read_partition("t", KEY)["value"]) == [2.0]
        assert not other.done()
    assert other.result() == 1
    assert list(database.read_partition("t", KEY)["value"]) == [3.0]


def test_a_database_exists_once_it_was_written(database: Database) -> None:
    assert not database.exists()
    database.replace_partition("t", KEY, rows(1.0))
    assert database.exists()


def test_tables_are_made_where_a_reader_misses_them(database: Database) -> None:
    sql, ddl = "SELECT count(*) FROM found", "CREATE TABLE IF NOT EXISTS found (number INTEGER)"
    assert database.rows(sql, ddl=ddl) == [(0,)]
    with database.transaction() as connection:
        connection.execute("INSERT INTO found VALUES (1)")
    assert database.rows(sql, ddl=ddl) == [(1,)]


def test_tables_of_a_newer_version_are_refused(database: Database, arguments: list[str]) -> None:
    with database.transaction() as connection:
        connection.execute(f"UPDATE schema_version SET version = {SCHEMA_VERSION + 1}")
    with pytest.raises(DatabaseError, match=rf"its tables have version {SCHEMA_VERSION + 1}.*newer version"):
        opened(arguments).query("SELECT 1")
