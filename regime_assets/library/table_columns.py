"""The columns of a table that is written without being declared: they follow what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb


def column_types(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The types of a table's columns by name."""
    return {row[0]: row[1] for row in connection.execute(f'DESCRIBE "{table}"').fetchall()}


def fit_columns(connection: duckdb.DuckDBPyConnection, table: str, existing: Mapping[str, str]) -> bool:
    """Make room in `table` for what `incoming` holds.

    A column that only `incoming` has is added. One that has held no value yet takes the type of its first, because
    DuckDB types what was made from missing values alone as it likes. One of whole numbers that gets a fraction becomes
    DOUBLE, because DuckDB would round.

    Args:
        connection: in a transaction.
        table: what is written.
        existing: the types of its columns.

    Returns:
        Whether it has other columns now.
    """
    changed = False
    for name, kind in column_types(connection, "incoming").items():
        if name not in existing:
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {kind}')
        elif existing[name] == kind or (existing[name] == "DOUBLE" and kind in _WHOLE):
            continue  # it takes this as it is
        elif not _holds(connection, "incoming", name):
            continue
        elif not _holds(connection, table, name):
            connection.execute(f'ALTER TABLE "{table}" DROP COLUMN "{name}"')
            connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {kind}')
        elif existing[name] in _WHOLE and kind in _FRACTIONAL:
            connection.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{name}" TYPE DOUBLE')
        else:
            continue
        changed = True
    return changed


_WHOLE = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"})
_FRACTIONAL = frozenset({"FLOAT", "DOUBLE"})


def _holds(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> bool:
    sql = f'SELECT 1 FROM "{table}" WHERE "{column}" IS NOT NULL LIMIT 1'
    return connection.execute(sql).fetchone() is not None
