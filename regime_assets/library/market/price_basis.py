"""What the bars of a universe were asked for with: source, price basis, currencies, calendar, symbols, windows.

Kept with the bars, append-only, so that a change is named in the run that first works with it, and so that bars of
another basis never meet those that are stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from regime_assets.library import tables
from regime_assets.library.market.findings import Finding, found

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.database import Database


class PriceBasisError(Exception):
    """Bars that cannot be continued with those of another source."""


@dataclass(frozen=True)
class AskedWith:
    """What bars were asked for with.

    Attributes:
        source: name of the source.
        basis: a `PriceBasis`.
        calendar: name of the calendar.
        history_start: first day, ISO.
        symbols: instruments.
        windows: what else decides what models see, by name.
        currencies: symbol → unit of its prices, where the source names it.
    """

    source: str
    basis: str
    calendar: str
    history_start: str
    symbols: tuple[str, ...]
    windows: Mapping[str, Any]
    currencies: Mapping[str, str]

    def changes_since(self, before: AskedWith) -> list[str]:
        """What differs from `before`, a sentence each."""
        changes = [
            f"{label}: {was} before, {now} now"
            for label, was, now in (
                ("source", f"{before.source} ({before.basis})", f"{self.source} ({self.basis})"),
                ("calendar", before.calendar, self.calendar),
                ("history_start", before.history_start, self.history_start),
                *((name, before.windows.get(name), now) for name, now in self.windows.items()),
            )
            if was != now
        ]
        for label, names in (
            ("new symbols", set(self.symbols) - set(before.symbols)),
            ("symbols no longer asked for", set(before.symbols) - set(self.symbols)),
        ):
            if names:
                changes.append(f"{label}: {', '.join(sorted(names))}")
        return changes


class PriceBasisStore:
    """What one universe's bars were asked for with, by the time from which on."""

    def __init__(self, database: Database, universe: str) -> None:
        self._database = database
        self.universe = universe

    def newest(self) -> AskedWith | None:
        """The newest entry; None before the first ingestion."""
        with self._database.connect() as connection:
            return self.newest_in(connection)

    def newest_in(self, connection: duckdb.DuckDBPyConnection) -> AskedWith | None:
        """`newest` on an open connection."""
        _create_table(connection)
        sql = "SELECT settings FROM price_basis WHERE universe = ? ORDER BY known_at DESC LIMIT 1"
        row = connection.execute(sql, [self.universe]).fetchone()
        if row is None:
            return None
        settings = json.loads(row[0])
        return AskedWith(**settings | {"symbols": tuple(settings["symbols"])})

    def append(self, connection: duckdb.DuckDBPyConnection, asked: AskedWith, at: datetime) -> None:
        """Add an entry inside the caller's transaction."""
        _create_table(connection)
        moment = at.astimezone(UTC).replace(tzinfo=None)
        settings = json.dumps(asked.__dict__, sort_keys=True)
        connection.execute("INSERT INTO price_basis VALUES (?, ?, ?)", [self.universe, moment, settings])


def changed_currencies(before: Mapping[str, str], now: Mapping[str, str], session: Any) -> Iterable[Finding]:
    """Rule `currency`: a symbol's prices stay in the unit in which they are stored."""
    for symbol in sorted(now):
        if symbol in before and before[symbol] != now[symbol]:
            yield found(
                "currency",
                "error",
                symbol,
                session,
                bound=f"prices in {before[symbol]}, as those that are stored",
                detail=f"the source says {now[symbol]}; if it changed for good, load the history anew: "
                "`regime-assets reload UNIVERSE`",
            )


def _create_table(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(tables.PRICE_BASIS.ddl)
