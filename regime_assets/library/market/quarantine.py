"""What was held back and why: every refusal with its findings and bars, and when such a bar was accepted after all.

Append-only. A refusal is one answer, file or message that was not stored; it stays on record when the next answer is
good, and so does each refusal before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import numpy as np
import pandas as pd

from regime_assets.library import tables
from regime_assets.library.market.sources.base import PRICE_FIELDS

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.database import Database

MOST_BARS = 10_000
"""Bars kept of one refusal; a first load of decades with a broken column would double the database otherwise."""

MOST_PAYLOAD = 4096
"""Characters kept of a message that could not be read."""


class Refusal(NamedTuple):
    """One answer, file or message that was held back.

    Attributes:
        origin: who delivered it: a source, `stream:<file>`, `kafka:<topic>/<partition>/<offset>`.
        as_of: the last session that it is about; None when it could not be read.
        findings: columns as `findings_frame` gives them; not empty.
        bars: columns `BAR_COLUMNS`, as delivered; those that a finding names are kept. None when there are none.
        payload: a message that could not be read, as text.
    """

    origin: str
    as_of: date | None
    findings: pd.DataFrame
    bars: pd.DataFrame | None = None
    payload: str | None = None


class Quarantine:
    """The refusals of one universe."""

    def __init__(self, database: Database, universe: str) -> None:
        self._database = database
        self.universe = universe

    def refuse(self, refusal: Refusal, known_at: datetime) -> None:
        """Append one refusal; one transaction."""
        with self._database.transaction() as connection:
            self.record(connection, [refusal], known_at)

    def record(self, connection: duckdb.DuckDBPyConnection, refusals: Sequence[Refusal], known_at: datetime) -> None:
        """Append refusals inside the caller's transaction.

        Args:
            connection: inside a transaction.
            refusals: what was held back.
            known_at: when it was received, with a time zone.
        """
        _create_tables(connection)
        moment, findings, kept = _as_utc(known_at), list[pd.DataFrame](), list[pd.DataFrame]()
        for refusal in refusals:
            identity = {"universe": self.universe, "refusal": uuid4().hex}
            bookkeeping = {"origin": refusal.origin, "as_of": refusal.as_of, "known_at": moment}
            findings.append(refusal.findings.assign(**identity, **bookkeeping))
            kept.append(_held_back(refusal).head(MOST_BARS).assign(**identity))
        for table, parts in (("quarantine_findings", findings), ("quarantine_bars", kept)):
            filled = [part for part in parts if not part.empty]
            if filled:
                connection.register("held_back", pd.concat(filled, ignore_index=True))
                connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM held_back")
                connection.unregister("held_back")

    def accept(
        self, connection: duckdb.DuckDBPyConnection, bars: pd.DataFrame, source: str, known_at: datetime
    ) -> None:
        """Mark what was refused before and is in `bars`, which the caller's transaction stores, as accepted.

        A finding about a session as a whole counts as accepted with any bar of that session.
        """
        _create_tables(connection)
        sql = "SELECT count(*) FROM quarantine_findings WHERE universe = ? AND session IS NOT NULL"
        if connection.execute(sql, [self.universe]).fetchall() == [(0,)]:
            return  # a first load of millions of bars need not be compared with nothing
        connection.register("accepted_bars", bars[["symbol", "session"]])
        connection.execute(_ACCEPT_SQL, [self.universe, _as_utc(known_at), source, self.universe])
        connection.unregister("accepted_bars")

    def history(self, symbol: str | None = None, sessions: Sequence[date] | None = None) -> pd.DataFrame:
        """Every refusal, oldest first: a row for each finding and bar that it holds back.

        Args:
            symbol: only what concerns this instrument, or all of them.
            sessions: only what concerns these sessions, or all of them.

        Returns:
            Columns known_at (UTC), origin, rule, symbol, session, field, value, message, `PRICE_FIELDS`, payload and
            accepted_at (UTC, NaT while it is still held back).
        """
        with self._database.connect() as connection:
            _create_tables(connection)
            sql, wanted = _HISTORY_SQL, list[object]([self.universe])
            if symbol is not None:
                sql, wanted = f"{sql} AND (f.symbol = ? OR b.symbol = ?)", [*wanted, symbol, symbol]
            if sessions is not None:
                sql, wanted = f"{sql} AND f.session IN (SELECT unnest(?::DATE[]))", [*wanted, list(sessions)]
            return connection.execute(f"{sql} ORDER BY f.known_at, origin, rule, 4, f.session", wanted).df()


def as_text(history: pd.DataFrame) -> pd.DataFrame:
    """The result of `Quarantine.history` for a reader: times to the second, the bar or message in one column."""
    bars = [
        ", ".join(f"{name} {value:.6g}" for name, value in zip(PRICE_FIELDS, bar, strict=True) if not np.isnan(value))
        for bar in history[list(PRICE_FIELDS)].itertuples(index=False)
    ]
    return pd.DataFrame(
        {
            "refused at": history["known_at"].dt.strftime("%Y-%m-%d %H:%M:%S"),
            "origin": history["origin"],
            "rule": history["rule"],
            "symbol": history["symbol"],
            "session": history["session"].dt.strftime("%Y-%m-%d").fillna(""),
            "why": history["message"],
            "held back": history["payload"].fillna(pd.Series(bars, index=history.index, dtype="object")),
            "accepted at": history["accepted_at"].dt.strftime("%Y-%m-%d %H:%M:%S").fillna("never"),
        }
    )


_ACCEPT_SQL = (
    "INSERT INTO quarantine_accepted BY NAME SELECT DISTINCT CAST(? AS VARCHAR) AS universe, f.refusal, f.symbol, "
    "f.session, CAST(? AS TIMESTAMP) AS accepted_at, CAST(? AS VARCHAR) AS source FROM quarantine_findings f "
    "JOIN accepted_bars i ON CAST(i.session AS DATE) = f.session AND f.symbol IN ('', i.symbol) "
    "WHERE f.universe = ? AND NOT EXISTS (SELECT 1 FROM quarantine_accepted a "
    "WHERE a.refusal = f.refusal AND a.symbol = f.symbol AND a.session = f.session)"
)
_HISTORY_SQL = (
    "SELECT f.known_at, f.origin, f.rule, coalesce(nullif(f.symbol, ''), b.symbol, '') AS symbol, f.session, f.field, "
    f"f.value, f.message, {', '.join(f'b.{name}' for name in PRICE_FIELDS)}, b.payload, a.accepted_at "
    "FROM quarantine_findings f LEFT JOIN quarantine_bars b ON b.refusal = f.refusal "
    "AND (f.symbol = '' OR f.symbol = b.symbol) AND f.session IS NOT DISTINCT FROM b.session "
    "LEFT JOIN quarantine_accepted a ON a.refusal = f.refusal AND a.symbol = f.symbol AND a.session = f.session "
    "WHERE f.universe = ?"
)


def _create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    for table in (tables.QUARANTINE_FINDINGS, tables.QUARANTINE_BARS, tables.QUARANTINE_ACCEPTED):
        connection.execute(table.ddl)


def _held_back(refusal: Refusal) -> pd.DataFrame:
    """The bars that a finding names, or whose session one names as a whole; or the message."""
    if refusal.payload is not None:
        return pd.DataFrame({"payload": [refusal.payload[:MOST_PAYLOAD]]})
    if refusal.bars is None:
        return pd.DataFrame()
    bars, findings = refusal.bars, refusal.findings
    sessions = pd.to_datetime(findings["session"])
    pairs = pd.MultiIndex.from_arrays([findings["symbol"], sessions])
    of_bars = pd.to_datetime(bars["session"])
    named = pd.MultiIndex.from_arrays([bars["symbol"], of_bars]).isin(pairs)
    return bars[named | of_bars.isin(sessions[findings["symbol"] == ""]).to_numpy()]


def _as_utc(moment: datetime) -> datetime:
    """`moment` as the tables hold it: in UTC, without a time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).replace(tzinfo=None)
