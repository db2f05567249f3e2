"""Append-only tables of versioned rows in DuckDB: what is written at an ingestion, what a read picks.

The version of a row that counts at a moment is the one with the latest `known_at` not after it. The session
predicate sits below that pick and `arg_max` does the picking: row groups that hold other sessions are never read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from regime_assets.library import tables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from regime_assets.library.market.calendar import TradingCalendar

SAME_VALUE_TOLERANCE = 1e-6
"""Relative difference up to which two values are the same.

Vendors transmit single precision and undo later splits by division and multiplication; a rounding of the seventh
digit is no revision.
"""


NEVER = np.datetime64("9999-01-01", "us")


class StoreError(Exception):
    """Rows that cannot be stored or read as asked; the message names symbol and session."""


@dataclass(frozen=True)
class VersionedTable:
    """The columns of an append-only table besides the bookkeeping that all have.

    Attributes:
        name: the table.
        session: the column that holds the trading day a row belongs to.
        key: the columns, besides the universe, that identify a row over its versions; `session` among them.
        values: numeric columns in which versions differ.
    """

    name: str
    session: str
    key: tuple[str, ...]
    values: tuple[str, ...]


BARS = VersionedTable("bars", "session", ("symbol", "session"), ("open", "high", "low", "close", "volume"))
ACTIONS = VersionedTable("actions", "ex_session", ("symbol", "ex_session", "kind"), ("value",))


class Written(NamedTuple):
    """Rows appended: first versions, and versions that replace an earlier one."""

    new: int
    revised: int


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables that are not there yet."""
    for table in (tables.BARS, tables.ACTIONS):
        connection.execute(table.ddl)


def as_incoming(
    table: VersionedTable,
    frame: pd.DataFrame,
    calendar: TradingCalendar,
    late: Iterable[tuple[str, date, date]] = (),
) -> pa.Table:
    """`frame` as `append_versions` takes it: key, values and `decided_at`, the session's decision time in UTC.

    Of symbols on the sessions from first to last in `late` answers were given without a row; there the decision counts
    as not taken yet, so that what comes now is known from now on.

    Raises:
        StoreError: a column is missing, or a key occurs twice.
    """
    import pyarrow as pa

    missing = [name for name in (*table.key, *table.values) if name not in frame.columns]
    if missing:
        raise StoreError(f"{table.name}: the columns {missing} are missing")
    twice = frame.duplicated(list(table.key))
    if twice.any():
        raise StoreError(f"{table.name}: {_described(frame.loc[twice, list(table.key)])} more than once")
    sessions = pd.to_datetime(frame[table.session])
    codes, days = pd.factorize(sessions)
    decided = pd.Series(
        [calendar.decision_time(day.date()).replace(tzinfo=None) for day in days], dtype="datetime64[us]"
    )
    columns = {name: pa.array(frame[name], pa.string()) for name in table.key if name != table.session}
    columns |= {table.session: pa.array(sessions.to_numpy(dtype="datetime64[D]"))}
    columns |= {name: pa.array(frame[name].to_numpy(dtype="float64"), from_pandas=True) for name in table.values}
    moments = decided.to_numpy()[codes]
    for symbol, first, last in late:
        within = (sessions >= pd.Timestamp(first)) & (sessions <= pd.Timestamp(last))
        moments[((frame["symbol"] == symbol) & within).to_numpy()] = NEVER
    columns["decided_at"] = pa.array(moments)
    return pa.table(columns)


def append_versions(
    connection: duckdb.DuckDBPyConnection,
    table: VersionedTable,
    incoming: str,
    *,
    universe: str,
    source: str,
    fetched_at: datetime,
    bars: str | None = None,
) -> Written:
    """Append the rows of the registered table `incoming` that are new or differ from their newest version.

    Args:
        connection: inside a transaction.
        table: the table to append to.
        incoming: name under which the result of `as_incoming` is registered.
        universe: the universe that the rows belong to.
        source: the source's name.
        fetched_at: when the rows were received, in UTC, without a time zone.
        bars: for actions, the name under which the bars of the same answer are registered.

    Raises:
        StoreError: a differing row was not fetched later than the version that it would replace.
    """
    connection.execute(_fresh_sql(table, incoming), [universe])
    _refuse_older(connection, table, fetched_at)
    if bars is not None:
        connection.execute(_news_sql(table, bars), [universe])
    assumed = "replaced_at IS NULL AND NOT news AND decided_at < $fetched_at"
    columns = ", ".join((*table.key, *table.values))
    connection.execute(
        f"INSERT INTO {table.name} BY NAME SELECT $universe AS universe, {columns}, "
        f"CASE WHEN {assumed} THEN decided_at ELSE $fetched_at END AS known_at, "
        f"CASE WHEN {assumed} THEN 'assumed' ELSE 'observed' END AS known_basis, "
        f"$source AS source, false AS retracted, NULL AS reason FROM fresh ORDER BY {table.session}, symbol",
        {"universe": universe, "source": source, "fetched_at": fetched_at},
    )
    counts = connection.execute("SELECT count(*), count(replaced_at) FROM fresh").fetchone()
    connection.execute("DROP TABLE fresh")
    total, revised = counts if counts is not None else (0, 0)
    return Written(total - revised, revised)


def retract_version(
    connection: duckdb.DuckDBPyConnection,
    table: VersionedTable,
    key: tuple[str | date, ...],
    *,
    universe: str,
    at: datetime,
    reason: str,
) -> None:
    """Append a tombstone to the row `key`; it repeats the values that it declares wrong.

    Raises:
        StoreError: there is no such row, it is retracted already, or a version became known at or after `at`.
    """
    condition = " AND ".join(f"{name} = ?" for name in ("universe", *table.key))
    found = connection.execute(
        f"SELECT known_at, retracted FROM {table.name} WHERE {condition} ORDER BY known_at DESC LIMIT 1",
        [universe, *key],
    ).fetchone()
    label = f"{table.name}: {' '.join(str(part) for part in key)}"
    if found is None:
        raise StoreError(f"{label} is not stored in {universe}")
    known_at, retracted = found
    if retracted:
        raise StoreError(f"{label} was retracted already at {known_at} UTC")
    if known_at >= at:
        raise StoreError(f"{label} has a version known at {known_at} UTC, not before {at} UTC")
    connection.execute(
        f"INSERT INTO {table.name} BY NAME SELECT * REPLACE (CAST(? AS TIMESTAMP) AS known_at, "
        f"'observed' AS known_basis, true AS retracted, CAST(? AS VARCHAR) AS reason) "
        f"FROM {table.name} WHERE {condition} AND known_at = ?",
        [at, reason, universe, *key, known_at],
    )


def retract_others(
    connection: duckdb.DuckDBPyConnection, table: VersionedTable, kept: str, *, universe: str, at: datetime, reason: str
) -> None:
    """Append tombstones to the rows that are not in the registered table `kept` and are not retracted."""
    key = ", ".join(table.key)
    values = ", ".join(f"arg_max_null({name}, known_at) AS {name}" for name in table.values)
    columns = ", ".join((*table.key, *table.values))
    connection.execute(
        f"INSERT INTO {table.name} BY NAME WITH newest AS (SELECT {key}, {values}, arg_max(source, known_at) AS source "
        f"FROM {table.name} WHERE universe = $universe GROUP BY {key} HAVING NOT arg_max(retracted, known_at)) "
        f"SELECT $universe AS universe, {columns}, CAST($at AS TIMESTAMP) AS known_at, 'observed' AS known_basis, "
        f"source, true AS retracted, $reason AS reason FROM newest ANTI JOIN {kept} USING ({key})",
        {"universe": universe, "at": at, "reason": reason},
    )


def newest_versions(table: VersionedTable, values: tuple[str, ...], *, of_symbols: bool = False) -> str:
    """A query for the newest known version of each row, without retracted ones.

    Its parameters are the universe, the first and the last session, the moment up to which versions count and, with
    `of_symbols`, the list of symbols that are asked for.
    """
    key = ", ".join(table.key)
    picked = ", ".join(f"arg_max_null({name}, known_at) AS {name}" for name in values)
    wanted = "AND symbol IN (SELECT unnest(?::VARCHAR[])) " if of_symbols else ""
    return (
        f"SELECT {key}, {picked} FROM {table.name} WHERE universe = ? AND {table.session} BETWEEN ? AND ? "
        f"AND known_at <= ? {wanted}GROUP BY {key} HAVING NOT arg_max(retracted, known_at)"
    )


def _fresh_sql(table: VersionedTable, incoming: str) -> str:
    """Incoming rows to be written, with `replaced_at`: when the version that they differ from became known."""
    key = ", ".join(table.key)
    picked = ", ".join(f"arg_max_null({name}, known_at) AS {name}" for name in table.values)
    differs = " OR ".join(
        f"(i.{name} IS NULL) <> (n.{name} IS NULL) "
        f"OR (i.{name} <> n.{name} AND abs(i.{name} - n.{name}) > {SAME_VALUE_TOLERANCE} * abs(n.{name}))"
        for name in table.values
    )
    return (
        f"CREATE TEMP TABLE fresh AS WITH newest AS (SELECT {key}, max(known_at) AS replaced_at, {picked} "
        f"FROM {table.name} WHERE universe = ? AND {table.session} BETWEEN "
        f"(SELECT min({table.session}) FROM {incoming}) AND (SELECT max({table.session}) FROM {incoming}) "
        f"AND symbol IN (SELECT symbol FROM {incoming}) GROUP BY {key}) "
        f"SELECT i.*, n.replaced_at, false AS news FROM {incoming} i LEFT JOIN newest n "
        f"USING ({key}) WHERE n.replaced_at IS NULL OR {differs}"
    )


def _news_sql(actions: VersionedTable, bars: str) -> str:
    """Mark fresh actions whose first bar on or after the ex session was stored before this answer came.

    Answers that hold that bar were given without the action. An action that comes together with its bar, as in
    a backfill, changes no answer that could have been given.
    """
    ex = actions.session
    since = f"session >= (SELECT min({ex}) FROM fresh)"
    return (
        "UPDATE fresh SET news = true FROM (SELECT f.rowid AS row, s.session AS stored, c.session AS coming "
        f"FROM fresh f ASOF LEFT JOIN (SELECT symbol, session FROM bars WHERE universe = ? AND {since}) s "
        f"ON f.symbol = s.symbol AND f.{ex} <= s.session "
        f"ASOF LEFT JOIN (SELECT symbol, session FROM {bars} WHERE {since}) c "
        f"ON f.symbol = c.symbol AND f.{ex} <= c.session) found "
        "WHERE fresh.rowid = found.row AND found.stored <= coalesce(found.coming, found.stored)"
    )


def _refuse_older(connection: duckdb.DuckDBPyConnection, table: VersionedTable, fetched_at: datetime) -> None:
    sql = f"SELECT {', '.join(table.key)}, replaced_at FROM fresh WHERE replaced_at >= ? ORDER BY ALL LIMIT 1"
    late = connection.execute(sql, [fetched_at]).fetchone()
    if late is not None:
        raise StoreError(
            f"{table.name}: {' '.join(str(part) for part in late[:-1])} has a version known at {late[-1]} UTC; a "
            f"differing one fetched at {fetched_at} UTC cannot replace it"
        )


def _described(keys: pd.DataFrame) -> str:
    rows = [" ".join(str(part) for part in row) for row in keys.head(5).itertuples(index=False)]
    return ", ".join(rows) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
