"""Fresh bars are provisional: a vendor's evening bar is filled and corrected for hours after the close.

A bar that was received before its session had settled counts as provisional until a fetch after that moment brings the
same values. It is used meanwhile, as it came; the next fetch that differs revises it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from regime_assets.library import tables
from regime_assets.library.market.versions import create_tables

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from regime_assets.library.database import Database
    from regime_assets.library.market.calendar import TradingCalendar
    from regime_assets.library.market.sources.base import Source


class Measured(NamedTuple):
    """How a source's evening bars turned out.

    Attributes:
        evening_bars: bars that were received before their session had settled.
        revised: those that came otherwise later.
        hours_to_last: from the end of the session's day to the last revision; None when there was none.
    """

    evening_bars: int
    revised: int
    hours_to_last: float | None


def settling_time(source: Source) -> timedelta:
    """How long after the end of a session's day a source's bars move: its `settled_hours`, none where it has none."""
    return timedelta(hours=float(getattr(source, "settled_hours", 0.0)))


def settled_at(session: date, calendar: TradingCalendar, settling: timedelta) -> datetime:
    """From when on a bar of a session that is received counts as settled, in UTC."""
    end_of_day = datetime.combine(session + timedelta(days=1), datetime.min.time(), ZoneInfo(calendar.timezone))
    return (end_of_day + settling).astimezone(UTC)


class Settling:
    """Which evening bars of one universe were confirmed, and when."""

    def __init__(self, database: Database, universe: str) -> None:
        self._database = database
        self.universe = universe

    def note(
        self,
        connection: duckdb.DuckDBPyConnection,
        bars: pd.DataFrame,
        fetched_at: datetime,
        calendar: TradingCalendar,
        settling: timedelta,
    ) -> None:
        """Note the bars of an answer as provisional, or as confirmed where their session has settled."""
        _create_table(connection)
        moment = fetched_at.astimezone(UTC).replace(tzinfo=None)
        recent = sorted(day.date() for day in bars["session"].unique())[-10:]
        early = [day for day in recent if fetched_at < settled_at(day, calendar, settling)]
        connection.register("answered", bars[["symbol", "session"]])
        connection.execute(
            "INSERT INTO evening_bars SELECT ?, symbol, CAST(session AS DATE), CAST(? AS TIMESTAMP), NULL "
            "FROM answered a WHERE CAST(session AS DATE) IN (SELECT unnest(?::DATE[])) "
            "AND NOT EXISTS (SELECT 1 FROM evening_bars e WHERE e.universe = ? "
            "AND e.symbol = a.symbol AND e.session = CAST(a.session AS DATE))",
            [self.universe, moment, early, self.universe],
        )
        connection.execute(
            "UPDATE evening_bars SET confirmed_at = CAST(? AS TIMESTAMP) FROM answered a WHERE universe = ? "
            "AND evening_bars.symbol = a.symbol AND evening_bars.session = CAST(a.session AS DATE) "
            "AND confirmed_at IS NULL AND NOT evening_bars.session IN (SELECT unnest(?::DATE[]))",
            [moment, self.universe, early],
        )
        connection.unregister("answered")

    def provisional(self) -> dict[date, int]:
        """How many bars of each session wait for a fetch that confirms them."""
        with self._database.connect() as connection:
            _create_table(connection)
            rows = connection.execute(
                "SELECT session, count(*) FROM evening_bars WHERE universe = ? AND confirmed_at IS NULL "
                "GROUP BY session",
                [self.universe],
            ).fetchall()
        return {session: int(count) for session, count in rows}

    def measured(self, calendar: TradingCalendar) -> Measured:
        """How many evening bars were revised, and how long after the end of their day."""
        with self._database.connect() as connection:
            create_tables(connection)
            _create_table(connection)
            rows = connection.execute(
                "SELECT e.session, count(b.known_at), max(b.known_at) FROM evening_bars e LEFT JOIN bars b "
                "ON b.universe = e.universe AND b.symbol = e.symbol AND b.session = e.session AND NOT b.retracted "
                "WHERE e.universe = ? GROUP BY e.session, e.symbol",
                [self.universe],
            ).fetchall()
        revised = [(session, last) for session, versions, last in rows if versions > 1]
        hours = [
            (last.replace(tzinfo=UTC) - settled_at(session, calendar, timedelta())).total_seconds() / 3600.0
            for session, last in revised
        ]
        return Measured(len(rows), len(revised), max(hours, default=None))


def _create_table(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(tables.EVENING_BARS.ddl)
