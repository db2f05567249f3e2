"""Machines that share tables: each commit counts, one writes a universe at a time, a dead one holds nobody."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pandas as pd
import psycopg
import pytest

from regime_assets.library.database import DatabaseError
from regime_assets.library.home import Home
from regime_assets.library.lake import Lake
from regime_assets.library.open_database import universe_database
from regime_assets.library.postgres import session
from regime_assets.library.shared_storage import CATALOG_VARIABLE, STORAGE_VARIABLE, SharedStorage
from regime_assets.library.upkeep.store_health import table_findings
from regime_assets_tests.postgres_server import PostgresServer

KEY = {"universe": "u", "as_of": pd.Timestamp("2020-01-02").date()}
OPENED = """
import sys, pandas as pd
from pathlib import Path
from regime_assets.library.home import Home
from regime_assets.library.open_database import universe_database
database = universe_database(Home(Path(sys.argv[1])), sys.argv[2])
"""


def rows(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"value": values})


@pytest.fixture
def lake(on_shared_storage: SharedStorage, tmp_path: Path) -> Lake:
    return Lake(on_shared_storage, f"universe_{uuid4().hex}", tmp_path / "spill")


@pytest.fixture
def server(shared_storage: SharedStorage) -> Iterator[PostgresServer]:
    """One that a test may kill, where there are such servers."""
    assert shared_storage
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.mark.usefixtures("on_shared_storage")
def test_four_processes_on_four_universes_lose_no_commit(tmp_path: Path) -> None:
    names = [uuid4().hex for _ in range(4)]
    script = f"""{OPENED}
for number in range(8):
    database.replace_partition("t", {{"number": number}}, pd.DataFrame({{"value": range(100)}}))
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name]) for name in names]
    assert [writer.wait() for writer in writers] == [0] * 4
    for name in names:
        counts = universe_database(Home(tmp_path), name).rows("SELECT number, count(*) FROM t GROUP BY 1 ORDER BY 1")
        assert counts == [(number, 100) for number in range(8)]


def test_a_second_writer_of_a_universe_waits_and_is_told_who_writes(lake: Lake, tmp_path: Path) -> None:
    impatient = Lake(lake.shared, lake.schema, tmp_path / "spill", lock_timeout=0.2)
    lake.replace_partition("t", KEY, rows(1.0))
    with ThreadPoolExecutor(1) as pool, lake.transaction():
        refused = pool.submit(impatient.replace_partition, "t", KEY, rows(2.0))
        with pytest.raises(DatabaseError, match=r"another process goes on writing: .* held by \S+:\d+ at 127\.0\.0\.1"):
            refused.result()
        waiting = pool.submit(Lake(lake.shared, lake.schema, tmp_path / "spill").replace_partition, "t", KEY, rows(3.0))
        time.sleep(0.1)
        assert not waiting.done()
    assert waiting.result() == 1
    assert list(lake.read_partition("t", KEY)["value"]) == [3.0]


def test_a_reader_waits_for_no_writer_and_sees_what_was_committed(lake: Lake, tmp_path: Path) -> None:
    lake.replace_partition("t", KEY, rows(1.0))
    reader = Lake(lake.shared, lake.schema, tmp_path / "spill", lock_timeout=0.2)
    reader.has_table("t")
    with ThreadPoolExecutor(1) as pool, lake.transaction(["t"]) as connection:
        connection.execute("UPDATE t SET value = 2.0")
        assert list(pool.submit(reader.read_partition, "t", KEY).result()["value"]) == [1.0]
    assert list(reader.read_partition("t", KEY)["value"]) == [2.0]


def test_a_writer_killed_in_its_transaction_leaves_the_old_partition_and_frees_the_lock(
    lake: Lake, tmp_path: Path
) -> None:
    lake.replace_partition("t", KEY, rows(*[1.0] * 100))
    script = f"""{OPENED}
with database.transaction() as connection:
    connection.execute("DELETE FROM t")
    connection.execute("INSERT INTO t SELECT 'u', '2020-01-02', unnest(range(70))")
    print("written", flush=True)
    sys.stdin.read()
"""
    arguments = [sys.executable, "-c", script, str(tmp_path), lake.schema.removeprefix("universe_")]
    writer = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"written\n"
    writer.kill()
    writer.wait()
    killed = time.monotonic()
    assert len(lake.read_partition("t", KEY)) == 100
    lake.replace_partition("t", KEY, rows(1.0))
    assert time.monotonic() - killed < 5.0
    assert len(lake.read_partition("t", KEY)) == 1


def test_a_writer_whose_lock_is_gone_stores_nothing(lake: Lake) -> None:
    lake.replace_partition("t", KEY, rows(1.0))

    def write() -> None:
        with lake.transaction() as connection:
            connection.execute("UPDATE t SET value = 2.0")
            session(lake.shared).close()  # as a broken network does

    with pytest.raises(
        DatabaseError, match="nothing was stored: the connection to PostgreSQL that held the writers' lock broke"
    ):
        write()
    assert list(lake.read_partition("t", KEY)["value"]) == [1.0]


WRITE = f"""{OPENED}
from regime_assets.library.database import DatabaseError
while line := sys.stdin.readline():
    try:
        with database.transaction() as connection:
            connection.execute("UPDATE t SET value = ?", [float(line)])
            print("updated", flush=True)
            sys.stdin.readline()
        print("stored", flush=True)
    except DatabaseError as error:
        print(error, flush=True)
"""


def test_a_server_killed_around_the_commit_leaves_the_old_partition_or_the_new_one(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is a process of its own: DuckDB 1.5 was seen to crash once in a hundred times that its server died."""
    monkeypatch.setenv(CATALOG_VARIABLE, server.url())
    monkeypatch.setenv(STORAGE_VARIABLE, f"file://{tmp_path}")
    lake = universe_database(Home(tmp_path), "u")
    lake.replace_partition("t", KEY, rows(*[1.0] * 100))

    def stored() -> list[float]:
        return list(lake.read_partition("t", KEY)["value"])

    def killed_while_writing(value: float, pause: float) -> str:
        """What the writer says, whose server dies so long before or after it is told to commit."""
        command = [sys.executable, "-c", WRITE, str(tmp_path), "u"]
        writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert writer.stdin is not None
        assert writer.stdout is not None
        print(value, file=writer.stdin, flush=True)
        assert writer.stdout.readline() == "updated\n"
        killer = threading.Timer(max(pause, 0.0), server.kill)
        killer.start()
        if pause < 0:
            killer.join()
        said = writer.communicate("commit\n")[0]
        killer.join()
        return said

    said = killed_while_writing(2.0, -1.0)
    assert not said or "nothing was stored: the connection to PostgreSQL" in said
    with pytest.raises(DatabaseError, match=r"cannot be used: .*Connection refused.*see that PostgreSQL"):
        stored()
    server.start()
    assert stored() == [1.0] * 100
    for value, pause in ((3.0, 0.005), (4.0, 0.02), (5.0, 0.05)):
        before = stored()
        said = killed_while_writing(value, pause)
        server.start()
        assert stored() in (before, [value] * 100)
        assert said.strip() != "stored" or stored() == [value] * 100, "a write that was acknowledged is there"


def test_no_message_holds_the_password(on_shared_storage: SharedStorage, tmp_path: Path) -> None:
    unreachable = on_shared_storage.catalog.rpartition(":")[0] + ":1/postgres"
    with pytest.raises(DatabaseError, match="the PostgreSQL server cannot be used") as refused:
        Lake(SharedStorage(unreachable, on_shared_storage.storage), "universe_u", tmp_path).query("SELECT 1")
    chain: list[BaseException] = [refused.value]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    assert not any("s3cret" in str(error) for error in chain)


def test_a_folder_that_is_not_that_of_the_tables_is_refused(lake: Lake, tmp_path: Path) -> None:
    lake.replace_partition("t", KEY, rows(1.0))
    moved = SharedStorage(lake.shared.catalog, f"file://{tmp_path / 'elsewhere'}")
    with pytest.raises(DatabaseError, match="REGIME_ASSETS_STORAGE is the one that the tables were made with"):
        Lake(moved, lake.schema, tmp_path / "spill").query("FROM t")


@pytest.mark.usefixtures("on_shared_storage")
def test_a_name_that_postgresql_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="longer than the 63 bytes"):
        universe_database(Home(tmp_path), "u" * 64)


def test_what_was_read_is_not_read_again_until_somebody_writes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.replace_partition("t", KEY, rows(1.0))
    lake.replace_partition("elsewhere", KEY, rows(1.0))
    seen = threading.Event()
    reading = Lake._reading

    def watched(self: Lake) -> object:
        seen.set()
        return reading(self)

    monkeypatch.setattr(Lake, "_reading", watched)
    for _ in range(2):
        seen.clear()
        lake.read_partition("t", KEY)
    assert not seen.is_set()
    lake.replace_partition("elsewhere", KEY, rows(2.0))
    lake.read_partition("t", KEY)
    assert not seen.is_set(), "another table was written"
    lake.replace_partition("t", KEY, rows(2.0))
    assert list(lake.read_partition("t", KEY)["value"]) == [2.0]
    assert seen.is_set()


def test_a_process_that_looks_at_many_universes_keeps_few_connections(
    postgres: PostgresServer, on_shared_storage: SharedStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert on_shared_storage
    monkeypatch.setattr("regime_assets.library.lake_engine.MOST_ATTACHED", 2)
    lakes = [Lake(on_shared_storage, f"universe_{uuid4().hex}", tmp_path / "spill") for _ in range(5)]
    for _ in range(2):
        for number, lake in enumerate(lakes):
            lake.replace_partition("t", KEY, rows(float(number)))
    with ThreadPoolExecutor(5) as pool:
        read = [pool.submit(lake.query, "SELECT value FROM t") for lake in lakes]
    assert [float(one.result()["value"].item()) for one in read] == [0.0, 1.0, 2.0, 3.0, 4.0]
    with psycopg.connect(postgres.url()) as connection:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'regime_assets/%'"
        counted = connection.execute(sql).fetchone()
    assert counted is not None
    assert counted[0] <= 2 * 4, "each of those that stay attached has up to four"


def test_the_doctor_reads_every_block_of_shared_tables(
    postgres: PostgresServer, on_shared_storage: SharedStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert on_shared_storage
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE examined")
    monkeypatch.setenv(CATALOG_VARIABLE, postgres.url("examined"))
    home = Home(tmp_path)
    sound, damaged = (universe_database(home, name) for name in ("sound", "damaged"))
    for database in (sound, damaged):
        database.replace_partition("t", KEY, rows(*[1.0] * 2000))
    assert isinstance(damaged, Lake)
    for file in Path(damaged.files).rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-100] + bytes(100))
    found = {finding.subject: finding for finding in table_findings(home)}
    assert found[sound.place].level == "ok"
    assert found[damaged.place].level == "fault"
    monkeypatch.setenv(CATALOG_VARIABLE, "postgresql://quant:s3cret@127.0.0.1:1/regimes")
    (unreachable,) = table_findings(home)
    assert unreachable.level == "fault"
    assert "the PostgreSQL server cannot be used" in unreachable.what


def test_compacting_keeps_the_rows_and_forgets_how_they_came_to_be(lake: Lake) -> None:
    for number in range(3):
        lake.replace_partition("t", KEY, rows(*[float(number)] * 2000))
        lake.replace_partition("few", {"number": number}, rows(*range(5)))
    files = Path(lake.files)
    before = len(list(files.rglob("*.parquet")))
    assert lake.compact(timedelta(days=7)) == {"snapshots of its tables": 0, "Parquet files": 0}
    counted = lake.compact(timedelta(0), dry_run=True)
    assert counted["snapshots of its tables"] > 6
    assert len(list(files.rglob("*.parquet"))) >= before
    held = len(list(files.rglob("*.parquet")))
    lake.compact(timedelta(0))
    assert len(list(files.rglob("*.parquet"))) >= held, "a copy of the catalog that was just taken finds its files"
    lake.compact(timedelta(0))
    left = len(list(files.rglob("*.parquet")))
    assert left == 3, "one of t, one of few, one of the tables' version"
    assert list(lake.read_partition("few", {"number": 1})["value"]) == list(range(5))
    assert list(lake.read_partition("t", KEY)["value"]) == [2.0] * 2000


def test_a_storage_that_holds_no_tables_is_refused(tmp_path: Path) -> None:
    shared = SharedStorage("postgresql://quant@db/regimes", "gs://bucket/prefix")
    with pytest.raises(DatabaseError, match=r"gs://bucket/prefix: tables are kept on s3:// or file:// only"):
        Lake(shared, "universe_u", tmp_path)
