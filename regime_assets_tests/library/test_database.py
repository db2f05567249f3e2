"""A partition is replaced whole or not at all, and one process at a time uses the file."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from regime_assets.library.database import DatabaseError
from regime_assets.library.database_file import DatabaseFile

KEY = {"universe": "u", "as_of": pd.Timestamp("2020-01-02").date()}


def rows(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"position": range(len(values)), "value": values})


@pytest.fixture
def database(tmp_path: Path) -> DatabaseFile:
    return DatabaseFile(tmp_path / "test.duckdb", lock_timeout=10, foreign_holder_timeout=0.5)


def test_a_partition_reads_as_it_was_written(database: DatabaseFile) -> None:
    database.replace_partition("t", KEY, rows(1.0, 2.0))
    pd.testing.assert_frame_equal(
        database.read_partition("t", KEY, order_by="position"), rows(1.0, 2.0), check_dtype=False
    )


def test_replacing_one_partition_leaves_the_others(database: DatabaseFile) -> None:
    other = {**KEY, "universe": "v"}
    database.replace_partition("t", KEY, rows(1.0))
    database.replace_partition("t", other, rows(5.0))
    database.replace_partition("t", KEY, rows(2.0, 3.0))
    assert list(database.read_partition("t", other)["value"]) == [5.0]
    assert sorted(database.read_partition("t", KEY)["value"]) == [2.0, 3.0]


def test_columns_are_matched_by_name_and_new_ones_are_added(database: DatabaseFile) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    reordered = pd.DataFrame({"extra": ["x"], "value": [7.0], "position": [0]})
    database.replace_partition("t", {**KEY, "universe": "v"}, reordered)
    assert list(database.read_partition("t", {**KEY, "universe": "v"})["value"]) == [7.0]
    assert database.read_partition("t", KEY)["extra"].isna().all()


@pytest.mark.parametrize("first", ["drift-2020-01-03", 2.5, pd.Timestamp("2020-01-03")])
def test_a_column_that_held_nothing_takes_the_type_of_its_first_value(database: DatabaseFile, first: object) -> None:
    """The first alarm of a universe comes after many sessions without one."""
    earlier, later = {**KEY, "universe": "v"}, KEY
    for _ in range(2):
        database.replace_partition("t", earlier, pd.DataFrame({"position": [0], "episode": [None]}))
    DatabaseFile(database.path).replace_partition("t", later, pd.DataFrame({"position": [0], "episode": [first]}))
    assert list(database.read_partition("t", later)["episode"]) == [first]
    assert database.read_partition("t", earlier)["episode"].isna().all()
    database.replace_partition("t", later, pd.DataFrame({"position": [0], "episode": [None]}))
    assert database.read_partition("t", later)["episode"].isna().all()


def test_an_empty_frame_never_deletes_a_partition(database: DatabaseFile) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    with pytest.raises(ValueError, match="no rows"):
        database.replace_partition("t", KEY, rows().iloc[:0])
    assert len(database.read_partition("t", KEY)) == 1


def test_a_failed_write_leaves_the_old_partition(database: DatabaseFile) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    with pytest.raises(Exception, match=r"Conversion|convert"):
        database.replace_partition("t", KEY, pd.DataFrame({"position": ["not a number"], "value": [1.0]}))
    assert list(database.read_partition("t", KEY)["value"]) == [1.0]


def test_a_table_that_was_never_written_reads_as_empty(database: DatabaseFile) -> None:
    assert database.read_partition("nothing", KEY).empty
    assert not database.has_table("nothing")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.duckdb"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(DatabaseError, match=r"broken\.duckdb: not usable"):
        DatabaseFile(path).query("SELECT 1")


def test_a_program_outside_the_project_that_holds_the_file_is_named(database: DatabaseFile) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb, sys; c = duckdb.connect({str(database.path)!r}); print(1, flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        holder.stdout.readline()
        with pytest.raises(DatabaseError, match=rf"held by another program.*{holder.pid}"):
            database.query("SELECT 1")
    finally:
        holder.stdin.close()
        holder.wait()


def test_after_an_operation_that_failed_the_file_is_free_for_other_programs(database: DatabaseFile) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    with pytest.raises(Exception, match="nowhere"):
        database.query("SELECT * FROM nowhere")
    with pytest.raises(Exception, match="nowhere"), database.transaction() as connection:
        connection.execute("DELETE FROM t; SELECT * FROM nowhere")
    script = f"import duckdb; print(duckdb.connect({str(database.path)!r}).execute('FROM t').fetchall())"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "1.0" in other.stdout


def test_threads_on_two_files_see_their_own_tables(tmp_path: Path) -> None:
    databases = [DatabaseFile(tmp_path / name) for name in ("it's.duckdb", "other.duckdb")]

    def write(database: DatabaseFile) -> None:
        for number in range(10):
            assert not database.has_table(f"missing{number}")
            database.replace_partition("t" if database is databases[0] else "u", KEY, rows(float(number)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [*databases, *databases]))
    for database, table, other in zip(databases, "tu", "ut", strict=True):
        assert list(database.query(f"SELECT value FROM {table}")["value"]) == [9.0]
        assert not database.has_table(other)


def test_processes_that_write_at_once_lose_nothing(database: DatabaseFile) -> None:
    script = """
import sys, pandas as pd
from pathlib import Path
from regime_assets.library.database_file import DatabaseFile
database = DatabaseFile(Path(sys.argv[1]))
for number in range(5):
    database.replace_partition("t", {"writer": sys.argv[2], "number": number}, pd.DataFrame({"value": [number]}))
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, str(database.path), str(n)]) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert database.query("SELECT count(*) AS n FROM t")["n"].item() == 15


def test_a_writer_killed_at_any_moment_leaves_no_torn_partition(database: DatabaseFile) -> None:
    script = """
import sys, pandas as pd
from pathlib import Path
from regime_assets.library.database_file import DatabaseFile
database = DatabaseFile(Path(sys.argv[1]))
print("ready", flush=True)
for generation in range(10_000):
    database.replace_partition("t", {"key": "k"}, pd.DataFrame({"generation": [generation] * 50}))
"""
    for pause in (0.05, 0.12, 0.2):
        writer = subprocess.Popen([sys.executable, "-c", script, str(database.path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(pause)
        writer.kill()
        writer.wait()
        if database.has_table("t"):
            stored = database.read_partition("t", {"key": "k"})["generation"]
            assert len(stored) == 50
            assert stored.nunique() == 1


OTHER_PROCESS = """
import sys, pandas as pd
from pathlib import Path
from regime_assets.library.database_file import DatabaseFile
DatabaseFile(Path(sys.argv[1])).replace_partition("t", {"universe": "u"}, pd.DataFrame({"value": [9.0]}))
"""


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with every time that a file is attached."""
    seen: list[str] = []
    attach = DatabaseFile._attach

    def counted(self: DatabaseFile) -> duckdb.DuckDBPyConnection:
        seen.append(self.path.name)
        return attach(self)

    monkeypatch.setattr(DatabaseFile, "_attach", counted)
    return seen


def test_what_was_read_is_not_read_again_until_its_table_is_written(
    database: DatabaseFile, attached: list[str]
) -> None:
    one, other = {"universe": "u"}, {"universe": "v"}
    database.replace_partition("t", one, rows(1.0))
    database.replace_partition("elsewhere", one, rows(1.0))
    for _ in range(3):
        assert list(database.read_partition("t", one)["value"]) == [1.0]
        assert database.query("SELECT count(*) AS n FROM t")["n"].item() == 1
        assert database.has_table("t")
    assert len(attached) == 2 + 3
    database.replace_partition("elsewhere", other, rows(1.0))
    assert len(database.read_partition("t", one)) == 1
    assert len(attached) == 6, "another table was written"
    database.replace_partition("t", other, rows(2.0))
    assert database.query("SELECT count(*) AS n FROM t")["n"].item() == 2


def test_the_catalog_is_read_anew(database: DatabaseFile) -> None:
    sql = "SELECT count(*) AS n FROM information_schema.tables WHERE table_name IN ('t', 'elsewhere')"
    database.replace_partition("t", KEY, rows(1.0))
    assert database.query(sql)["n"].item() == 1
    database.replace_partition("elsewhere", KEY, rows(1.0))
    assert database.query(sql)["n"].item() == 2


def test_what_another_process_wrote_is_seen(database: DatabaseFile) -> None:
    database.replace_partition("t", {"universe": "u"}, pd.DataFrame({"value": [1.0]}))
    assert list(database.read_partition("t", {"universe": "u"})["value"]) == [1.0]
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, str(database.path)], check=True)
    assert list(database.read_partition("t", {"universe": "u"})["value"]) == [9.0]


def test_what_a_reader_does_to_its_frame_no_other_reader_sees(database: DatabaseFile) -> None:
    database.replace_partition("t", KEY, rows(1.0, 2.0))
    database.read_partition("t", KEY).loc[:, "value"] = 0.0
    assert list(database.read_partition("t", KEY)["value"]) == [1.0, 2.0]


def test_operations_of_a_block_attach_the_file_once_and_see_each_other(
    database: DatabaseFile, attached: list[str]
) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    attached.clear()
    with database.held():
        before = list(database.read_partition("t", KEY)["value"])
        DatabaseFile(database.path).replace_partition("t", KEY, rows(2.0))
        within = list(database.read_partition("t", KEY)["value"])
        with pytest.raises(ValueError, match="no rows"):
            database.replace_partition("t", KEY, rows())
    assert (before, within) == ([1.0], [2.0])
    assert len(attached) == 1
    assert list(database.read_partition("t", KEY)["value"]) == [2.0]
