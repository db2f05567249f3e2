"""What somebody decided about single bars: accepted as they are, corrected, or taken back. Append-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from regime_assets.library import tables
from regime_assets.library.market.sources.base import PRICE_FIELDS, Fetched
from regime_assets.library.market.versions import SAME_VALUE_TOLERANCE

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.database import Database
    from regime_assets.library.market.calendar import TradingCalendar
    from regime_assets.library.market.quarantine import Quarantine
    from regime_assets.library.market.store import MarketStore

Kind = Literal["accept", "correct", "retract"]


@dataclass(frozen=True)
class Decision:
    """One decision about one bar.

    Attributes:
        kind: what was decided.
        symbol: whose bar.
        session: of which session.
        rule: the accepted rule; empty for the other kinds.
        bar: the right values of a corrected bar by field.
        refused: the vendor's values that they stand for; empty when the vendor has no bar.
        reason: why.
        by: who decided.
    """

    kind: Kind
    symbol: str
    session: date
    reason: str
    by: str
    rule: str = ""
    bar: Mapping[str, float] = field(default_factory=dict[str, float])
    refused: Mapping[str, float] = field(default_factory=dict[str, float])

    def covers(self, rule: str, symbol: str, session: date | None) -> bool:
        """Whether it accepts this finding."""
        return self.kind == "accept" and (self.rule, self.symbol, self.session) == (rule, symbol, session)

    @property
    def span(self) -> tuple[date, date]:
        """First and last session that it is about."""
        return self.session, self.session

    @property
    def told(self) -> str:
        """The decision in one line."""
        what = self.rule if self.kind == "accept" else ", ".join(f"{k} {v:.6g}" for k, v in self.bar.items())
        return f"{self.symbol} {self.session}: {self.kind} {what}: {self.reason} ({self.by})"


class DecisionStore:
    """The decisions of one universe."""

    def __init__(self, database: Database, universe: str) -> None:
        self._database = database
        self.universe = universe

    def record(self, decision: Decision, at: datetime) -> None:
        """Append a decision; it takes the place of the earlier ones about the same bar, but for accepted rules."""
        values = [self.universe, decision.kind, decision.symbol, decision.session, decision.rule]
        values += [decision.bar.get(name) for name in PRICE_FIELDS]
        values += [decision.refused.get(name) for name in PRICE_FIELDS]
        values += [decision.reason, decision.by, _as_utc(at)]
        with self._database.transaction() as connection:
            _create_table(connection)
            connection.execute(f"INSERT INTO bar_decisions VALUES ({', '.join('?' * len(values))})", values)

    def standing(self) -> tuple[Decision, ...]:
        """The decisions that hold now: those after the last one that took a bar back."""
        with self._database.connect() as connection:
            return self.standing_in(connection)

    def in_force(
        self, as_of: date, market: MarketStore, quarantine: Quarantine, calendar: TradingCalendar
    ) -> tuple[Decision, ...]:
        """The standing decisions whose bar was known as of a session: those that a window up to it stands on.

        A decision that no run has carried out yet is none of them, nor one whose bar became known later.
        """
        known_by = _as_utc(calendar.decision_time(as_of))
        with self._database.connect() as connection:
            _create_table(connection)
            rows = connection.execute(
                "SELECT kind, symbol, session, rule, max(decided_at) FROM bar_decisions "
                "WHERE universe = ? AND session <= ? GROUP BY ALL",
                [self.universe, as_of],
            ).fetchall()
        decided = {(kind, symbol, session, rule): at for kind, symbol, session, rule, at in rows}
        return tuple(
            one
            for one in (self.standing() if decided else ())
            if (at := decided.get((one.kind, one.symbol, one.session, one.rule))) is not None
            and (known_at := _carried_out(one, at, market, quarantine)) is not None
            and known_at <= known_by
        )

    def standing_in(self, connection: duckdb.DuckDBPyConnection) -> tuple[Decision, ...]:
        """`standing` on a connection of the caller."""
        _create_table(connection)
        rows = connection.execute(
            "SELECT * EXCLUDE (universe, decided_at) FROM bar_decisions d WHERE universe = ? AND kind <> 'retract' "
            "AND decided_at > (SELECT coalesce(max(decided_at), TIMESTAMP '1900-01-01') FROM bar_decisions r "
            "WHERE r.kind = 'retract' AND r.universe = d.universe AND r.symbol = d.symbol "
            "AND r.session = d.session) ORDER BY decided_at",
            [self.universe],
        ).fetchall()
        newest = {(row[1], row[2], row[0], row[3]): _decision(row) for row in rows}
        return tuple(newest.values())


def corrected(fetched: Fetched, decisions: tuple[Decision, ...], first: date, last: date) -> Fetched:
    """The answer with the corrections of the bars that it repeats, or lacks, in the sessions [first, last].

    A correction holds for the vendor's values that it was stated for. Other values are an answer of their own.
    """
    within = tuple(one for one in decisions if one.kind == "correct" and first <= one.session <= last)
    bars = as_corrected(fetched.bars, within)
    for decision in within:
        rows = (bars["symbol"] == decision.symbol) & (bars["session"] == pd.Timestamp(decision.session))
        if not rows.any():
            values = {name: decision.bar.get(name, np.nan) for name in PRICE_FIELDS}
            row = {"symbol": decision.symbol, "session": pd.Timestamp(decision.session), **values}
            bars = pd.concat([bars, pd.DataFrame([row])], ignore_index=True)
    ordered = bars.sort_values(["symbol", "session"], ignore_index=True)
    failures = {symbol: why for symbol, why in fetched.failures.items() if symbol not in set(bars["symbol"])}
    return Fetched(ordered, fetched.actions, failures, fetched.currencies)


def as_corrected(bars: pd.DataFrame, decisions: tuple[Decision, ...]) -> pd.DataFrame:
    """Bars with the corrections of those whose values they repeat.

    Args:
        bars: columns symbol, session and `PRICE_FIELDS`.
        decisions: those that stand.
    """
    for decision in decisions:
        rows = (bars["symbol"] == decision.symbol) & (bars["session"] == pd.Timestamp(decision.session))
        if decision.kind == "correct" and any(_same(bar, decision.refused) for _, bar in bars[rows].iterrows()):
            stated = bars[rows].iloc[[0]].assign(**{name: decision.bar.get(name, np.nan) for name in PRICE_FIELDS})
            bars = pd.concat([bars[~rows], stated], ignore_index=True)  # one bar, though the vendor has two
    return bars


def _carried_out(
    decision: Decision, decided_at: datetime, market: MarketStore, quarantine: Quarantine
) -> datetime | None:
    """From when on the bar that a decision let in is known; None while no run has stored it."""
    versions = market.versions(decision.symbol, decision.session)
    versions = versions[~versions["retracted"]]
    later = versions[versions["known_at"] >= decided_at]["known_at"]
    if len(later):
        return later.iloc[0].to_pydatetime()
    # A bar that is dated back to its session's decision says nothing of when it was stored; the quarantine does.
    stored = quarantine.history(decision.symbol, [decision.session])["accepted_at"]
    if not (stored >= decided_at).any() or versions.empty:
        return None
    return versions["known_at"].iloc[-1].to_pydatetime()


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _same(bar: pd.Series, refused: Mapping[str, float]) -> bool:
    return all(
        bool(np.isclose(float(bar[name]), value, rtol=SAME_VALUE_TOLERANCE, atol=0.0, equal_nan=True))
        for name, value in refused.items()
    )


def _decision(row: tuple[object, ...]) -> Decision:
    kind, symbol, session, rule, *rest = row
    bar = {name: float(str(v)) for name, v in zip(PRICE_FIELDS, rest[:5], strict=True) if v is not None}
    refused = {name: float(str(v)) for name, v in zip(PRICE_FIELDS, rest[5:10], strict=True) if v is not None}
    assert isinstance(session, date)
    assert kind in ("accept", "correct", "retract")
    return Decision(kind, str(symbol), session, str(rest[10]), str(rest[11]), str(rule), bar, refused)


def _create_table(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(tables.BAR_DECISIONS.ddl)
