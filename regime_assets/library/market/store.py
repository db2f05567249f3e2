"""Point-in-time bars and corporate actions: appended with the moment they became known, never overwritten.

Prices are stored as traded. Vendors rewrite their adjusted history at every split and dividend, so closes adjusted
on different days must never meet in one series: adjustment happens at reading, from what was known as of a session.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from regime_assets.library.market.adjustment import Action, AdjustmentError, adjustment_factors
from regime_assets.library.market.tickers import Tickers
from regime_assets.library.market.versions import (
    ACTIONS,
    BARS,
    StoreError,
    VersionedTable,
    Written,
    append_versions,
    as_incoming,
    create_tables,
    newest_versions,
    retract_others,
    retract_version,
)
from regime_assets.library.universe.membership import Membership

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.database import Database
    from regime_assets.library.market.calendar import TradingCalendar
    from regime_assets.library.market.held_back import HeldBack
    from regime_assets.library.market.sources.base import Fetched

__all__ = ["IngestReport", "MarketStore", "StoreError"]


class IngestReport(NamedTuple):
    """What one ingestion wrote: first versions and differing later versions."""

    new_bars: int
    revised_bars: int
    new_actions: int
    revised_actions: int

    @property
    def written(self) -> int:
        """Rows written in all."""
        return sum(self)


class MarketStore:
    """The bars and actions of one universe.

    Every read takes `as_of`: it sees the newest version of each row that was known at that session's decision time
    (`TradingCalendar.decision_time`), and nothing that was retracted by then.
    """

    def __init__(self, database: Database, universe: str, tickers: Tickers | None = None) -> None:
        self._database = database
        self.universe = universe
        self._tickers = tickers or Tickers()

    def ingest(self, fetched: Fetched, source: str, fetched_at: datetime, calendar: TradingCalendar) -> IngestReport:
        """Append what `fetched` holds that is new or differs from the newest version; one transaction.

        The first version of a row counts as known from its session's decision time when it was fetched later than
        that (`known_basis` 'assumed': backfilled), else from `fetched_at` ('observed'). Two things are always
        known from `fetched_at` on: a version that differs from an earlier one, and an action whose first bar on or
        after the ex session was stored before, since answers were already given without it.

        Args:
            fetched: a source's answer, prices as traded. It is not validated here beyond its keys.
            source: the source's name, kept with each row.
            fetched_at: when the answer was received, with a time zone.
            calendar: gives each session's decision time.

        Raises:
            StoreError: a row occurs twice, or a differing version was fetched before the one that it would replace.
            ValueError: `fetched_at` has no time zone.
        """
        with self._database.transaction() as connection:
            return self.append(connection, fetched, source, fetched_at, calendar)

    def append(
        self,
        connection: duckdb.DuckDBPyConnection,
        fetched: Fetched,
        source: str,
        fetched_at: datetime,
        calendar: TradingCalendar,
        answered: Sequence[HeldBack] = (),
    ) -> IngestReport:
        """`ingest` inside the caller's transaction, for what must be stored together with the bars or not at all.

        Bars of the sessions in `answered`, which answers were given without, are known from `fetched_at` on.
        """
        moment = _as_utc(fetched_at)
        late = self._tickers.late((one.symbol, one.first, one.last) for one in answered)
        bars = as_incoming(BARS, self._tickers.as_stored(fetched.bars, BARS.session), calendar, late)
        actions = as_incoming(ACTIONS, self._tickers.as_stored(fetched.actions, ACTIONS.session), calendar)
        create_tables(connection)
        connection.register("incoming_bars", bars)
        connection.register("incoming_actions", actions)
        versions = partial(append_versions, connection, universe=self.universe, source=source, fetched_at=moment)
        # Most sessions bring no action, and a statement over none still costs its planning.
        written_actions = (
            versions(ACTIONS, "incoming_actions", bars="incoming_bars") if actions.num_rows else Written(0, 0)
        )
        written_bars = versions(BARS, "incoming_bars") if bars.num_rows else Written(0, 0)
        return IngestReport(*written_bars, *written_actions)

    def retract(self, symbol: str, session: date, at: datetime, reason: str) -> None:
        """Declare the bar of `symbol` on `session` wrong from `at` on: later reads leave it out.

        The same bar fetched again stays retracted; a differing one takes its place.

        Raises:
            StoreError: there is no such bar, or it has a version that became known at or after `at`.
        """
        self._retract(BARS, (self._tickers.ticker(symbol, session), session), at, reason)

    def retract_action(self, symbol: str, ex_session: date, kind: str, at: datetime, reason: str) -> None:
        """Declare a corporate action wrong from `at` on, as `retract` does for a bar."""
        self._retract(ACTIONS, (self._tickers.ticker(symbol, ex_session), ex_session, kind), at, reason)

    def keep_refused(
        self,
        connection: duckdb.DuckDBPyConnection,
        symbol: str,
        session: date,
        refused: Mapping[str, float],
        source: str,
        reason: str,
    ) -> None:
        """Keep the vendor's values of a corrected bar as a version before its first one, which nothing reads."""
        if refused:
            create_tables(connection)
            values = [refused.get(name) for name in BARS.values]
            key = [self.universe, self._tickers.ticker(symbol, session), session]
            connection.execute(_KEEP_REFUSED_SQL, [*values, source, reason, *key])

    def bars(
        self,
        as_of: date,
        first: date,
        last: date,
        calendar: TradingCalendar,
        symbols: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Bars as traded of the sessions [first, last], as known as of `as_of`.

        Returns:
            Columns symbol, session, open, high, low, close, volume; ordered by session and symbol; NaN where the
            source gave no value. All symbols unless some are named.
        """
        with self._connected() as connection:
            known_by = _as_utc(calendar.decision_time(as_of))
            sql = newest_versions(BARS, BARS.values, of_symbols=symbols is not None) + " ORDER BY session, symbol"
            wanted = [] if symbols is None else [self._tickers.of(symbols)]
            frame = connection.execute(sql, [self.universe, first, last, known_by, *wanted]).df()
        frame["session"] = frame["session"].astype("datetime64[ns]")
        return self._tickers.as_listed(frame, "session")

    def actions(self, as_of: date, first: date, last: date, calendar: TradingCalendar) -> pd.DataFrame:
        """Corporate actions that go ex in [first, last] and no later than `as_of`, as known as of `as_of`.

        Returns:
            Columns symbol, ex_session, kind, value; ordered by ex session, symbol and kind.
        """
        with self._connected() as connection:
            frame = self._known_actions(connection, as_of, first, last, calendar)
        frame["ex_session"] = frame["ex_session"].astype("datetime64[ns]")
        return frame

    def adjusted_closes(
        self,
        as_of: date,
        symbols: Sequence[str],
        first: date,
        last: date,
        calendar: TradingCalendar,
        membership: Membership | None = None,
    ) -> pd.DataFrame:
        """Total-return adjusted closes of the sessions [first, last] from what was known as of `as_of`.

        Returns:
            Index `session`, one column for each of `symbols` in their order; NaN where there is no bar, or where the
            symbol is no member: what else is stored under its ticker is another listing and adjusts nothing. The
            newest close known as of `as_of` has factor 1 (see `adjustment`).

        Raises:
            StoreError: `last` is later than `as_of`, or an action cannot be applied.
        """
        if last > as_of:
            raise StoreError(f"prices up to {last} were not known as of {as_of}")
        sessions = list(calendar.sessions(first, as_of))
        names = list(symbols)
        with self._connected() as connection:
            closes = self._closes(connection, as_of, names, sessions, calendar)
            known = self._known_actions(connection, as_of, first, as_of, calendar)
        if membership is not None:
            closes[~membership.mask(names, sessions)] = np.nan
        relevant = known[known["symbol"].isin(names)]
        days = [moment.date() for moment in relevant["ex_session"]]
        rows = zip(relevant["symbol"], days, relevant["kind"], relevant["value"], strict=True)
        try:
            factors = adjustment_factors(closes, sessions, names, (Action(*row) for row in rows))
        except AdjustmentError as error:
            raise StoreError(f"{self.universe} as of {as_of}: {error}") from error
        index = pd.DatetimeIndex(sessions, dtype="datetime64[ns]", name="session")
        return pd.DataFrame(closes * factors, index=index, columns=names)[: pd.Timestamp(last)]

    def newest_sessions(self) -> dict[str, date]:
        """The newest session of each symbol that has a bar."""
        with self._connected() as connection:
            sql = "SELECT symbol, max(session) FROM bars WHERE universe = ? AND NOT retracted GROUP BY symbol"
            rows = connection.execute(sql, [self.universe]).fetchall()
        newest = {str(symbol): session for symbol, session in rows}
        for one in self._tickers.renames:
            if newest.get(one.listing, date.max) <= one.until:
                del newest[one.listing]  # what had this ticker before is another company
        for one in self._tickers.renames:
            reached = min(newest.pop(one.ticker, date.min), one.until)
            if reached > date.min:
                newest[one.listing] = max(newest.get(one.listing, date.min), reached)
        return newest

    def stored_counts(self, symbols: Sequence[str], sessions: Sequence[date]) -> dict[str, int]:
        """Of each of `symbols`, how many of `sessions` have a bar."""
        with self._connected() as connection:
            sql = (
                "SELECT symbol, count(DISTINCT session) FROM bars WHERE universe = ? AND NOT retracted "
                "AND symbol IN (SELECT unnest(?::VARCHAR[])) AND session IN (SELECT unnest(?::DATE[])) GROUP BY symbol"
            )
            rows = connection.execute(sql, [self.universe, list(symbols), list(sessions)]).fetchall()
        wanted, renamed = set(sessions), {one.listing for one in self._tickers.renames}
        return {
            **dict.fromkeys(symbols, 0),
            **{str(symbol): int(count) for symbol, count in rows},
            **{symbol: len(wanted & self.stored_sessions(symbol)) for symbol in symbols if symbol in renamed},
        }

    def stored_sessions(self, symbol: str) -> set[date]:
        """The sessions on which a symbol has a bar."""
        with self._connected() as connection:
            sql = (
                "SELECT DISTINCT symbol, session FROM bars WHERE universe = ? AND NOT retracted "
                "AND symbol IN (SELECT unnest(?::VARCHAR[]))"
            )
            rows = connection.execute(sql, [self.universe, self._tickers.of([symbol])]).fetchall()
        return {session for ticker, session in rows if self._tickers.ticker(symbol, session) == ticker}

    def sources(self) -> tuple[str, ...]:
        """The sources whose bars are stored."""
        with self._connected() as connection:
            rows = connection.execute("SELECT DISTINCT source FROM bars WHERE universe = ?", [self.universe]).fetchall()
        return tuple(sorted(str(source) for (source,) in rows))

    def replace_history(
        self,
        connection: duckdb.DuckDBPyConnection,
        fetched: Fetched,
        source: str,
        fetched_at: datetime,
        calendar: TradingCalendar,
        reason: str,
    ) -> IngestReport:
        """Put another history in the place of the stored one, inside the caller's transaction, as newer versions.

        Bars and actions that `fetched` does not hold are retracted. What was known before `fetched_at` stays the
        answer as of sessions before it.
        """
        report = self.append(connection, fetched, source, fetched_at, calendar)
        moment = _as_utc(fetched_at)
        for table, frame in ((BARS, fetched.bars), (ACTIONS, fetched.actions)):
            stored = self._tickers.as_stored(frame, table.session)
            connection.register("kept", as_incoming(table, stored, calendar))
            retract_others(connection, table, "kept", universe=self.universe, at=moment, reason=reason)
            connection.unregister("kept")
        return report

    def versions(self, symbol: str, session: date) -> pd.DataFrame:
        """Every version of one bar in the order in which they became known, tombstones included."""
        with self._connected() as connection:
            sql = "SELECT * EXCLUDE (universe) FROM bars WHERE universe = ? AND symbol = ? AND session = ?"
            key = [self.universe, self._tickers.ticker(symbol, session), session]
            return connection.execute(f"{sql} ORDER BY known_at", key).df()

    def _closes(
        self,
        connection: duckdb.DuckDBPyConnection,
        as_of: date,
        symbols: list[str],
        sessions: list[date],
        calendar: TradingCalendar,
    ) -> np.ndarray:
        """Closes as traded, shape (sessions, symbols), NaN where there is no bar."""
        closes = np.full((len(sessions), len(symbols)), np.nan)
        if not sessions or not symbols:
            return closes
        known_by = _as_utc(calendar.decision_time(as_of))
        parameters = [self.universe, sessions[0], sessions[-1], known_by, self._tickers.of(symbols)]
        sql = newest_versions(BARS, ("close",), of_symbols=True)
        answer = connection.execute(sql, parameters).fetchnumpy()
        if self._tickers.renames:
            listed = self._tickers.as_listed(pd.DataFrame(answer), "session")
            answer = {name: listed[name].to_numpy() for name in listed.columns}
        days = np.array(sessions, dtype="datetime64[D]")
        stored = np.asarray(answer["session"]).astype("datetime64[D]")
        rows = np.searchsorted(days, stored)
        columns = pd.Index(symbols).get_indexer(pd.Index(answer["symbol"]))
        wanted = (days[rows] == stored) & (columns >= 0)  # what lies off the calendar belongs to no session
        closes[rows[wanted], columns[wanted]] = np.ma.filled(answer["close"], np.nan)[wanted]
        return closes

    def _known_actions(
        self,
        connection: duckdb.DuckDBPyConnection,
        as_of: date,
        first: date,
        last: date,
        calendar: TradingCalendar,
    ) -> pd.DataFrame:
        known_by = _as_utc(calendar.decision_time(as_of))
        sql = newest_versions(ACTIONS, ACTIONS.values) + " ORDER BY ex_session, symbol, kind"
        known = connection.execute(sql, [self.universe, first, min(last, as_of), known_by]).df()
        return self._tickers.as_listed(known, ACTIONS.session)

    def _retract(self, table: VersionedTable, key: tuple[str | date, ...], at: datetime, reason: str) -> None:
        with self._database.transaction() as connection:
            create_tables(connection)
            retract_version(connection, table, key, universe=self.universe, at=_as_utc(at), reason=reason)

    @contextmanager
    def _connected(self) -> Generator[duckdb.DuckDBPyConnection]:
        with self._database.connect() as connection:
            create_tables(connection)
            yield connection


_KEEP_REFUSED_SQL = (
    "INSERT INTO bars BY NAME SELECT universe, symbol, session, "
    + ", ".join(f"CAST(? AS DOUBLE) AS {name}" for name in BARS.values)
    + ", min(known_at) - INTERVAL 1 MICROSECOND AS known_at, any_value(known_basis) AS known_basis, "
    "CAST(? AS VARCHAR) AS source, true AS retracted, CAST(? AS VARCHAR) AS reason FROM bars "
    "WHERE universe = ? AND symbol = ? AND session = ? GROUP BY ALL HAVING count(*) = 1 AND NOT bool_or(retracted)"
)


def _as_utc(moment: datetime) -> datetime:
    """`moment` as the tables hold it: in UTC, without a time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).replace(tzinfo=None)
