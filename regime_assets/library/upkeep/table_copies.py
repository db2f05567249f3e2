"""All tables of one database copied into another one: in the same order, and held against counts and hashes.

A table is one transaction. What is there already with the same content is not written again, so that a copy that was
cut short goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.library.database import VERSION_TABLE, Database
from regime_assets.library.database_file import DatabaseFile

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.lake import Lake

    Begin = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]

FILE = "copied_file"
"""The name under which the engine of shared tables knows the file."""
_UNTYPED = "INTEGER"
"""Of a column that has held no value yet: shared tables know no type of nothing, and its first value changes it."""


class TableCopyError(Exception):
    """Tables cannot be copied; the message says which and what to do."""


@dataclass(frozen=True)
class TableContent:
    """What a table holds.

    Attributes:
        columns: name, type and whether a value may be missing, in their order.
        rows: how many.
        hashed: DuckDB's hash of all rows in their order.
    """

    columns: tuple[tuple[str, str, bool], ...]
    rows: int
    hashed: int


@dataclass(frozen=True)
class CopiedTables:
    """What was copied.

    Attributes:
        contents: of each table, the same on both sides.
        written: the tables that were not there yet with that content.
    """

    contents: dict[str, TableContent]
    written: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(content.rows for content in self.contents.values())


def fill_lake(file: Path, lake: Database) -> CopiedTables:
    """Make shared tables those of a file, and drop others that are there.

    Raises:
        TableCopyError: the file cannot be read, or what arrived is not what was sent.
        DatabaseError: another process holds either, or the server cannot be reached.
    """
    source = DatabaseFile(file)
    with source.connect() as connection:
        connection.execute("CHECKPOINT")
    with source.undisturbed(), lake.connect(writes=None) as connection, _attached(connection, file, "READ_ONLY"):
        return _copy_all(connection, FILE, _current(connection), lake.transaction)


def fill_file(lake: Database, file: Path) -> CopiedTables:
    """Make the tables of a file those of shared tables.

    Raises:
        TableCopyError, DatabaseError: as `fill_lake`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    target = DatabaseFile(file)
    target.tables()  # stamped with their version
    with target.undisturbed(), lake.connect() as connection, _attached(connection, file, "READ_WRITE"):
        return _copy_all(connection, _current(connection), FILE, lambda: _transaction(connection))


def return_to(lake: Lake, version: int) -> CopiedTables:
    """Let shared tables be again what they were before they were brought forward from `version`, in one transaction.

    Raises:
        TableCopyError, DatabaseError: as `fill_lake`, or they never had that version; they stay as they are then.
    """
    with lake.connect(writes=None), lake.earlier(version) as earlier, lake.transaction() as inside:
        copied = _copy_all(inside, earlier, _current(inside), lambda: nullcontext(inside))
        inside.execute(f"UPDATE {VERSION_TABLE} SET version = ?", [version])
    return copied


def table_contents(connection: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, TableContent]:
    """What each table of a catalog holds that is attached to a connection."""
    return {table: _content(connection, catalog, table) for table in sorted(_tables(connection, catalog))}


@contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, file: Path, mode: str) -> Generator[None]:
    import duckdb

    quoted = str(file).replace("'", "''")
    try:
        connection.execute(f"ATTACH '{quoted}' AS {FILE} ({mode})")
    except duckdb.Error as error:
        raise TableCopyError(f"{file}: DuckDB {duckdb.__version__} cannot open it: {error}") from error
    try:
        yield
    finally:
        connection.execute(f"DETACH {FILE}")


def _current(connection: duckdb.DuckDBPyConnection) -> str:
    found = connection.execute("SELECT current_database()").fetchone()
    assert found is not None
    return str(found[0])


def _copy_all(connection: duckdb.DuckDBPyConnection, source: str, target: str, transaction: Begin) -> CopiedTables:
    contents: dict[str, TableContent] = {}
    written: list[str] = []
    there = _tables(connection, target)
    for table in sorted(_tables(connection, source)):
        wanted = contents[table] = _content(connection, source, table)
        if table in there and _content(connection, target, table) == wanted:
            continue
        with transaction() as inside:
            _write(inside, source, target, table, wanted)
        found = _content(connection, target, table)
        if found != wanted:
            raise TableCopyError(
                f"{table}: {wanted.rows} rows were sent and {found.rows} arrived, of another content or other columns "
                f"than {source} has; run it again, and report it if it stays so"
            )
        written.append(table)
    for table in sorted(there - contents.keys()):
        with transaction() as inside:
            inside.execute(f"DROP TABLE {_named(target, table)}")
    return CopiedTables(contents, tuple(written))


def _write(connection: duckdb.DuckDBPyConnection, source: str, target: str, table: str, wanted: TableContent) -> None:
    import duckdb

    columns = ", ".join(
        f"{_quoted(name)} {kind}{'' if optional else ' NOT NULL'}" for name, kind, optional in wanted.columns
    )
    connection.execute(f"DROP TABLE IF EXISTS {_named(target, table)}")
    try:
        connection.execute(f"CREATE TABLE {_named(target, table)} ({columns})")
    except duckdb.InvalidInputException as error:
        raise TableCopyError(
            f"{table}: has a column of a type that is not known there: {error}; report this"
        ) from error
    connection.execute(f"INSERT INTO {_named(target, table)} FROM {_named(source, table)} ORDER BY rowid")


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Generator[duckdb.DuckDBPyConnection]:
    connection.begin()
    try:
        yield connection
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def _tables(connection: duckdb.DuckDBPyConnection, catalog: str) -> set[str]:
    """All but that of the version, which each side writes itself."""
    sql = "SELECT table_name FROM information_schema.tables WHERE table_catalog = ? AND table_type = 'BASE TABLE'"
    return {str(row[0]) for row in connection.execute(sql, [catalog]).fetchall()} - {VERSION_TABLE}


def _content(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> TableContent:
    sql = (
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_catalog = ? AND table_name = ? ORDER BY ordinal_position"
    )
    columns = tuple(
        (str(name), _UNTYPED if kind == '"NULL"' else str(kind), nullable == "YES")
        for name, kind, nullable in connection.execute(sql, [catalog, table]).fetchall()
    )
    hashed = ", ".join(_quoted(name) for name, _, _ in columns)
    found = connection.execute(
        "SELECT count(*), bit_xor(hash(content, place)) FROM "
        f"(SELECT hash({hashed}) AS content, row_number() OVER (ORDER BY rowid) AS place FROM {_named(catalog, table)})"
    ).fetchone()
    assert found is not None
    return TableContent(columns, int(found[0]), int(found[1] or 0))


def _named(catalog: str, table: str) -> str:
    return f"{catalog}.{_quoted(table)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
