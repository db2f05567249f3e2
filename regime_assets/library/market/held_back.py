"""What windows go without: sessions of watched symbols whose bar was missing or refused when the others were stored.

Append-only and point in time, like the bars. Nothing is filled in: the cross-section of such a session goes without the
symbol. A bar that arrives later is known from its arrival on, because answers were given without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pandas as pd

from regime_assets.library import tables

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.database import Database
    from regime_assets.library.market.calendar import TradingCalendar


class HeldBack(NamedTuple):
    """One symbol on a stretch of sessions.

    Attributes:
        symbol: the symbol.
        first: first session.
        last: last session.
        rule: the rule that was broken.
        reason: how, as a sentence.
    """

    symbol: str
    first: date
    last: date
    rule: str
    reason: str


class StoredBars(Protocol):
    """Tells which bars are stored."""

    def bars(
        self, as_of: date, first: date, last: date, calendar: TradingCalendar, symbols: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """As `MarketStore.bars`."""
        ...


class HeldBackStore:
    """The sessions of one universe that windows go without."""

    def __init__(self, database: Database, universe: str) -> None:
        self._database = database
        self.universe = universe

    def record(
        self,
        connection: duckdb.DuckDBPyConnection,
        held: Sequence[HeldBack],
        fetched_at: datetime,
        calendar: TradingCalendar,
    ) -> None:
        """Append what the answer of `fetched_at` went without, inside the caller's transaction.

        Like a bar of history, a stretch of history counts as known since its first session's decision.
        """
        for one in held:
            self.record_now(connection, one, min(fetched_at, calendar.decision_time(one.first)))

    def record_now(self, connection: duckdb.DuckDBPyConnection, held: HeldBack, at: datetime) -> None:
        """Append one stretch that is known from `at` on, such as a bar that was taken back."""
        _create_table(connection)
        values = [self.universe, *held, at.astimezone(UTC).replace(tzinfo=None)]
        connection.execute("INSERT INTO held_back SELECT ?, ?, ?, ?, ?, ?, CAST(? AS TIMESTAMP)", values)

    def all(self, as_of: date | None = None, calendar: TradingCalendar | None = None) -> list[HeldBack]:
        """Everything that was ever held back, or what was known of it as of a session; oldest first."""
        known_by = datetime.max if as_of is None or calendar is None else calendar.decision_time(as_of)
        sql = "SELECT symbol, first, last, rule, reason FROM held_back WHERE universe = ? AND known_at <= ? "
        sql += "ORDER BY known_at, symbol, first"
        rows = self._database.rows(sql, [self.universe, known_by.replace(tzinfo=None)], ddl=tables.HELD_BACK.ddl)
        return [HeldBack(*row) for row in rows]

    def absences(self, as_of: date, market: StoredBars, calendar: TradingCalendar) -> list[HeldBack]:
        """What a window as of a session goes without: what was held back and has not arrived by its decision."""
        held = [one for one in self.all(as_of, calendar) if one.first <= as_of]
        if not held:
            return []
        first, last = min(one.first for one in held), min(as_of, max(one.last for one in held))
        bars = market.bars(as_of, first, last, calendar, sorted({one.symbol for one in held}))
        days = pd.to_datetime(bars["session"]).dt.date
        arrived = set(zip(bars["symbol"], days, strict=True))
        return [part for one in held for part in _without(one, arrived, calendar, as_of)]


def _without(held: HeldBack, arrived: set[tuple[str, date]], calendar: TradingCalendar, as_of: date) -> list[HeldBack]:
    """The stretches of `held` on which no bar has arrived."""
    parts: list[HeldBack] = []
    begin: date | None = None
    previous = held.first
    for session in calendar.sessions(held.first, min(held.last, as_of)):
        if (held.symbol, session) in arrived:
            if begin is not None:
                parts.append(held._replace(first=begin, last=previous))
            begin = None
        elif begin is None:
            begin = session
        previous = session
    if begin is not None:
        parts.append(held._replace(first=begin, last=previous))
    return parts


def _create_table(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(tables.HELD_BACK.ddl)
