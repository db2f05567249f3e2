"""Rows with a key, of which a table holds no two: no engine is asked to enforce it, because not every one can.

Who writes is the only writer of the tables, inside a transaction; so what is not there when it looks is not there when
it writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.tables import Table


def insert_new(connection: duckdb.DuckDBPyConnection, table: Table, row: Sequence[Any]) -> bool:
    """Insert a row unless there is one with its key, which then stays as it is.

    Args:
        connection: inside a transaction of the tables' only writer.
        table: one with a key.
        row: its values, in the order of the table's columns.

    Returns:
        Whether it was inserted.
    """
    values = ", ".join(f"CAST(? AS {column.type})" for column in table.columns)
    sql = f"INSERT INTO {table.name} SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM {table.name} WHERE {_is(table)})"
    return _count(connection, sql, [*row, *_key(table, row)]) == 1


def put(connection: duckdb.DuckDBPyConnection, table: Table, row: Sequence[Any]) -> None:
    """Insert a row in the place of the one with its key; arguments as of `insert_new`."""
    others = [
        (column.name, value) for column, value in zip(table.columns, row, strict=True) if column.name not in table.key
    ]
    assigned = ", ".join(f"{name} = ?" for name, _ in others)
    sql = f"UPDATE {table.name} SET {assigned} WHERE {_is(table)}"
    if _count(connection, sql, [*(value for _, value in others), *_key(table, row)]) == 0:
        insert_new(connection, table, row)


def move_key(
    connection: duckdb.DuckDBPyConnection, table: Table, column: str, value: Any, condition: str, place: Sequence[Any]
) -> None:
    """Give rows another value in one column of their key; of two that then have one key, the one already there stays.

    Args:
        connection: inside a transaction of the tables' only writer.
        table: one with a key.
        column: of the key.
        value: the new one.
        condition: which rows, in SQL with question marks.
        place: their values.
    """
    same = " AND ".join(f"known.{name} = {'?' if name == column else f'former.{name}'}" for name in table.key)
    connection.execute(
        f"INSERT INTO {table.name} SELECT * REPLACE (CAST(? AS {_type(table, column)}) AS {column}) "
        f"FROM {table.name} AS former WHERE {condition} "
        f"AND NOT EXISTS (SELECT 1 FROM {table.name} AS known WHERE {same})",
        [value, *place, value],
    )
    connection.execute(f"DELETE FROM {table.name} WHERE {condition}", list(place))


def _is(table: Table) -> str:
    return " AND ".join(f"{name} = ?" for name in table.key)


def _key(table: Table, row: Sequence[Any]) -> list[Any]:
    named = {column.name: value for column, value in zip(table.columns, row, strict=True)}
    return [named[name] for name in table.key]


def _type(table: Table, name: str) -> str:
    return next(column.type for column in table.columns if column.name == name)


def _count(connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any]) -> int:
    answer = connection.execute(sql, list(values)).fetchone()
    return int(answer[0]) if answer else 0
