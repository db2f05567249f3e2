"""The trial ledger: every design that was ever tried, and every look that the gate took at one.

The best of many lucky designs looks skilled. How lucky it would look depends on how many were tried on the same
history, so each try is written down when it starts and stays: promoted or not, finished or stopped, from the daily
graph, a walk-forward or a search. A design counts once a horizon. Trials count together where they trade one
instrument in common, whichever universe they belong to: what is earned on the same prices is luck of the same kind.

The day on which a design first stood in a universe's daily graph is the day of its declaration. What came later nobody
had seen who thought of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from regime_assets.library import tables
from regime_assets.library.keyed_rows import insert_new, move_key

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from regime_assets.library.database import Database
    from regime_assets.library.evaluation.metrics import PerformanceSummary

Kind = Literal["daily", "walk_forward", "try", "search"]
"""What tried a design: the daily graph, a walk-forward, a try, or a trial of a search."""

_SHARED = "(universe = ? OR list_has_any(traded, ?))"


class TrialError(Exception):
    """A trial cannot be recorded: it is no measurement."""


@dataclass(frozen=True)
class TrialStatistics:
    """What deflation needs to know of the trials.

    Attributes:
        count: designs tried, once a horizon, however often one was evaluated again.
        variance: of the designs' newest annualised Sharpe ratios; zero with fewer than two.
        evaluations: evaluations with a figure behind them.
    """

    count: int
    variance: float
    evaluations: int


_TABLES = (tables.TRIED_DESIGNS, tables.TRIALS, tables.LOOKS, tables.RENAMED_DESIGNS)
_DDL = "; ".join(table.ddl for table in _TABLES)


class TrialLedger:
    """Append-only tables `tried_designs`, `trials` and `looks` of a data folder's ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.place = database.place
        self._renamed: dict[tuple[str, str, str], str] | None = None  # read once: it is asked for many times a session

    def start(self, universe: str, horizon: str, design: str, traded: Sequence[str], kind: Kind, at: datetime) -> bool:
        """Record that a design is being tried, before anything is known of its outcome.

        Args:
            universe: the universe's name.
            horizon: `short` or `long`.
            design: hash over every setting of the design.
            traded: instruments whose returns it earns.
            kind: what tries it.
            at: now; the first moment stays when a design is tried again.

        Returns:
            Whether this was new.
        """
        naive = at.astimezone(UTC).replace(tzinfo=None)
        sql = "SELECT 1 FROM tried_designs WHERE design = ? AND universe = ? AND horizon = ? AND kind = ?"
        with self._database.at_once():
            if self._database.rows(sql, [design, universe, horizon, kind], ddl=_DDL):
                return False
            return self._insert(tables.TRIED_DESIGNS, [design, universe, horizon, kind, sorted(traded), naive])

    def rename(self, universe: str, horizon: str, former: str, design: str, at: datetime) -> bool:
        """Book under a design's present hash what was booked under a former one.

        Args:
            universe: the universe's name.
            horizon: `short` or `long`.
            former: the hash that an earlier version of the package gave the same design.
            design: the hash that it has now.
            at: now.

        Returns:
            Whether anything was booked under the former one.
        """
        place, self._renamed = [universe, horizon, former], None
        with self._database.transaction() as connection:
            _create(connection)
            known = "SELECT count(*) FROM tried_designs WHERE universe = ? AND horizon = ? AND design = ?"
            found = connection.execute(known, place).fetchone()
            if found is None or not found[0]:
                return False
            naive = at.astimezone(UTC).replace(tzinfo=None)
            insert_new(connection, tables.RENAMED_DESIGNS, [*place, design, naive])
            connection.execute(
                "UPDATE tried_designs SET started = former.started FROM (SELECT kind, started FROM tried_designs "
                "WHERE universe = ? AND horizon = ? AND design = ?) former WHERE tried_designs.universe = ? "
                "AND tried_designs.horizon = ? AND tried_designs.design = ? AND tried_designs.kind = former.kind "
                "AND former.started < tried_designs.started",
                [*place, universe, horizon, design],
            )
            for table in (tables.TRIED_DESIGNS, tables.TRIALS, tables.LOOKS):
                move_key(connection, table, "design", design, "universe = ? AND horizon = ? AND design = ?", place)
        return True

    def present_hash(self, universe: str, horizon: str, design: str) -> str:
        """The hash that a design has now, from the one that a bundle or a registered version was stored with."""
        if self._renamed is None:
            rows = self._database.rows("SELECT universe, horizon, former, design FROM renamed_designs", ddl=_DDL)
            self._renamed = {(row[0], row[1], row[2]): row[3] for row in rows}
        return self._renamed.get((universe, horizon, design), design)

    def designs(self, universe: str, horizon: str) -> frozenset[str]:
        """The hashes of all designs that were ever tried for a horizon of a universe."""
        if not (self._database.exists() and self._database.has_table(tables.TRIED_DESIGNS.name)):
            return frozenset()
        sql = "SELECT DISTINCT design FROM tried_designs WHERE universe = ? AND horizon = ?"
        return frozenset(row[0] for row in self._database.rows(sql, [universe, horizon]))

    def declared(self, universe: str, horizon: str, design: str) -> date | None:
        """The day, in UTC, on which a design first stood in the daily graph of a universe; None when it never did."""
        row = self._one(
            "SELECT min(started)::DATE FROM tried_designs"
            " WHERE universe = ? AND horizon = ? AND design = ? AND kind = 'daily'",
            [universe, horizon, design],
        )
        return row[0]

    def record(
        self, universe: str, horizon: str, session: date, design: str, *, sharpe: float, n_sessions: int
    ) -> bool:
        """Record what `design` showed as of `session`. A key is recorded once: what came first stays.

        Args:
            universe: the universe's name.
            horizon: `short` or `long`.
            session: as of which the trial was evaluated.
            design: hash over every setting of the design.
            sharpe: annualised, out of sample, net of costs.
            n_sessions: sessions behind it.

        Returns:
            Whether the key was new.

        Raises:
            TrialError: the ratio is no finite number, or no session is behind it.
        """
        if not isfinite(sharpe) or n_sessions < 1:
            raise TrialError(f"design {design} at {session}: a Sharpe ratio of {sharpe} over {n_sessions} sessions")
        return self._insert(tables.TRIALS, [universe, horizon, session, design, sharpe, n_sessions])

    def record_shown(
        self, universe: str, horizon: str, session: date, design: str, summary: PerformanceSummary
    ) -> None:
        """`record` what a track shows; one without variance has no ratio to record."""
        if summary.sharpe is not None:
            self.record(universe, horizon, session, design, sharpe=summary.sharpe, n_sessions=summary.sessions)

    def record_look(self, universe: str, horizon: str, session: date, design: str, alpha: float) -> bool:
        """Record that the gate looked at `design` and what it spent of the yearly budget; True when new."""
        return self._insert(tables.LOOKS, [universe, horizon, session, design, alpha])

    def statistics(self, universe: str, traded: Sequence[str]) -> TrialStatistics:
        """Count and variance of all designs tried so far on a history, whatever horizon or universe they were for.

        Trials that were started after a past session count when that session is run again: they were tried on it.

        Args:
            universe: the universe that asks.
            traded: its instruments; trials that trade one of them share its history.
        """
        row = self._one(
            f"""
            WITH shared AS (SELECT DISTINCT design, universe, horizon FROM tried_designs WHERE {_SHARED}),
            shown AS (
                SELECT design, horizon, arg_max(sharpe, session) AS sharpe, count(*) AS evaluations
                FROM trials SEMI JOIN shared USING (design, universe, horizon) GROUP BY design, horizon)
            SELECT (SELECT count(DISTINCT (design, horizon)) FROM shared),
                coalesce(var_samp(sharpe), 0), coalesce(sum(evaluations), 0) FROM shown
            """,
            [universe, sorted(traded)],
        )
        return TrialStatistics(count=int(row[0]), variance=float(row[1]), evaluations=int(row[2]))

    def alpha_spent(self, universe: str, horizon: str, as_of: date) -> float:
        """Error probability spent by looks in the 365 days before `as_of`; that day's own are not counted."""
        row = self._one(
            "SELECT coalesce(sum(alpha), 0) FROM looks"
            " WHERE universe = ? AND horizon = ? AND session > ? AND session < ?",
            [universe, horizon, as_of - timedelta(days=365), as_of],
        )
        return float(row[0])

    def last_look(self, universe: str, horizon: str, design: str, as_of: date) -> date | None:
        """Session of the newest look at `design` before `as_of`; None when there was none."""
        row = self._one(
            "SELECT max(session) FROM looks WHERE universe = ? AND horizon = ? AND design = ? AND session < ?",
            [universe, horizon, design, as_of],
        )
        return row[0]

    def _insert(self, table: tables.Table, values: Sequence[Any]) -> bool:
        with self._database.at_once():
            are_made = all(self._database.has_table(one.name) for one in _TABLES)
            with self._database.transaction([table.name] if are_made else None) as connection:
                if not are_made:
                    _create(connection)
                return insert_new(connection, table, values)

    def _one(self, sql: str, parameters: Sequence[Any]) -> tuple[Any, ...]:
        return self._database.rows(sql, parameters, ddl=_DDL)[0]  # aggregates always answer one row


def _create(connection: DuckDBPyConnection) -> None:
    connection.execute(_DDL)
