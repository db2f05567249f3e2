"""Files of tables are written once more in a format that an older DuckDB reads, and hold what they held."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from regime_assets.library.database import DatabaseError
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.upkeep.readable_tables import make_readable

NEWER = int(duckdb.__version__.partition(".")[0]) >= 2


@pytest.mark.skipif(not NEWER, reason="this DuckDB writes such files by itself")
def test_a_file_gets_the_older_format_and_keeps_its_rows_and_keys(tmp_path: Path) -> None:
    home = Home(tmp_path)
    database = DatabaseFile(home.database("u"))
    database.replace_partition("t", {"session": 1}, pd.DataFrame({"value": [3.0, None, 1.0]}))
    with database.transaction() as connection:
        connection.execute("CREATE TABLE keyed (day INTEGER PRIMARY KEY)")
    DatabaseFile(home.ledger).tables()
    assert make_readable(home) == {"databases/u.duckdb": True, "ledger.duckdb": True}
    with duckdb.connect() as other:
        other.execute(f"ATTACH '{home.database('u')}' AS u (READ_ONLY)")
        tags = other.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'u'").fetchone()
    assert tags is not None
    assert tags[0]["storage_version"].startswith("v1.5")
    again = DatabaseFile(home.database("u"))
    assert list(again.read_partition("t", {"session": 1})["value"].fillna(0.0)) == [3.0, 0.0, 1.0]
    again.replace_partition("t", {"session": 2}, pd.DataFrame({"value": [5.0]}))
    assert make_readable(home) == {"databases/u.duckdb": False, "ledger.duckdb": False}, "it keeps the format"
    with again.transaction() as connection:
        connection.execute("INSERT INTO keyed VALUES (1)")
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("INSERT INTO keyed VALUES (1)")


def test_a_file_that_cannot_be_read_is_named_and_stays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.databases.mkdir()
    home.database("u").write_bytes(b"no table")
    with pytest.raises(DatabaseError, match=r"u\.duckdb: not usable as a DuckDB file"):
        make_readable(home)
    assert home.database("u").read_bytes() == b"no table"
