"""The file of one machine: one process at a time, whoever is in the way is named, what was read is read once."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
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


def test_operations_that_go_together_attach_the_file_once_and_not_at_all_where_all_is_remembered(
    database: DatabaseFile, attached: list[str]
) -> None:
    database.replace_partition("t", KEY, rows(1.0))
    other = {**KEY, "universe": "v"}
    attached.clear()
    with database.at_once(), database.at_once():
        assert not attached
        assert list(database.read_partition("t", KEY)["value"]) == [1.0]
        database.replace_partition("t", other, rows(2.0))
        assert list(database.read_partition("t", other)["value"]) == [2.0]
        assert database.query("SELECT count(*) AS n FROM t")["n"].item() == 2
    assert len(attached) == 1
    assert database.query("SELECT count(*) AS n FROM t")["n"].item() == 2
    assert len(attached) == 1, "what was read after the block's last write is remembered"
    assert database.query("SELECT sum(value) AS total FROM t")["total"].item() == 3.0
    assert len(attached) == 2, "and the file was let go of at the end of the block"
    attached.clear()
    with database.at_once():
        assert database.query("SELECT count(*) AS n FROM t")["n"].item() == 2
    assert not attached


def test_a_block_that_goes_together_lets_go_of_the_file_also_when_it_fails(database: DatabaseFile) -> None:
    def fails() -> None:
        with database.at_once():
            database.query("SELECT * FROM t")
            database.query("SELECT * FROM nowhere")

    database.replace_partition("t", KEY, rows(1.0))
    with pytest.raises(Exception, match="nowhere"):
        fails()
    script = f"import duckdb; print(duckdb.connect({str(database.path)!r}).execute('FROM t').fetchall())"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "1.0" in other.stdout


def damaged_in_a_block(path: Path) -> None:
    """Turn every 5,000th byte behind the headers."""
    whole = bytearray(path.read_bytes())
    for place in range(15_000, len(whole), 5_000):
        whole[place] ^= 0xFF
    path.write_bytes(bytes(whole))


def cut_to_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [damaged_in_a_block, cut_to_half])
def test_a_damaged_file_is_named_with_what_to_do(database: DatabaseFile, damage: Callable[[Path], None]) -> None:
    database.replace_partition("t", KEY, rows(*np.random.default_rng(0).random(200_000)))
    damage(database.path)
    with pytest.raises(DatabaseError, match=r"test\.duckdb: .*regime-assets restore"):
        database.query("SELECT sum(value), max(position) FROM t")
    with pytest.raises(DatabaseError, match=r"test\.duckdb: .*regime-assets restore"):
        database.replace_partition("t", KEY, rows(1.0))
