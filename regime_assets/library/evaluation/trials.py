"""The trial ledger: every design that was ever tried, and every look that the gate took at one.

The best of many lucky designs looks skilled. How lucky it would look depends on how many were tried and how much
their Sharpe ratios differ, so each trial is written down once and stays, promoted or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from regime_assets.library.database import Database

_TRIALS = """
    CREATE TABLE IF NOT EXISTS trials (
        universe VARCHAR NOT NULL, horizon VARCHAR NOT NULL, session DATE NOT NULL, design VARCHAR NOT NULL,
        sharpe DOUBLE NOT NULL, n_sessions INTEGER NOT NULL,
        PRIMARY KEY (universe, horizon, session, design))
"""
_LOOKS = """
    CREATE TABLE IF NOT EXISTS looks (
        universe VARCHAR NOT NULL, horizon VARCHAR NOT NULL, session DATE NOT NULL, design VARCHAR NOT NULL,
        alpha DOUBLE NOT NULL,
        PRIMARY KEY (universe, horizon, session, design))
"""


class TrialError(Exception):
    """A trial cannot be recorded: it is no measurement."""


@dataclass(frozen=True)
class TrialStatistics:
    """What the deflated Sharpe ratio needs to know of the trials.

    Attributes:
        count: designs tried; a design counts once, however often it was evaluated again.
        variance: of the designs' newest annualised Sharpe ratios; zero with fewer than two.
        evaluations: rows of the ledger behind them.
    """

    count: int
    variance: float
    evaluations: int


class TrialLedger:
    """Append-only tables `trials` and `looks` of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, universe: str, horizon: str, session: date, design: str, *, sharpe: float, n_sessions: int
    ) -> bool:
        """Record that `design` was evaluated as of `session`. A key is recorded once: what came first stays.

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
        return self._insert("trials", [universe, horizon, session, design, sharpe, n_sessions])

    def record_look(self, universe: str, horizon: str, session: date, design: str, alpha: float) -> bool:
        """Record that the gate looked at `design` and what it spent of the yearly budget; True when new."""
        return self._insert("looks", [universe, horizon, session, design, alpha])

    def statistics(self, universe: str, horizon: str, as_of: date) -> TrialStatistics:
        """Count and variance of the designs tried up to `as_of`."""
        row = self._one(
            """
            SELECT count(*), coalesce(var_samp(sharpe), 0), coalesce(sum(evaluations), 0) FROM (
                SELECT design, arg_max(sharpe, session) AS sharpe, count(*) AS evaluations FROM trials
                WHERE universe = ? AND horizon = ? AND session <= ? GROUP BY design)
            """,
            [universe, horizon, as_of],
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

    def _insert(self, table: str, values: Sequence[Any]) -> bool:
        places = ", ".join("?" * len(values))
        with self._database.transaction() as connection:
            _create(connection)
            sql = f"INSERT INTO {table} VALUES ({places}) ON CONFLICT DO NOTHING RETURNING session"
            return connection.execute(sql, values).fetchone() is not None

    def _one(self, sql: str, parameters: Sequence[Any]) -> tuple[Any, ...]:
        with self._database.transaction() as connection:
            _create(connection)
            row = connection.execute(sql, parameters).fetchone()
        assert row is not None  # aggregates always answer one row
        return row


def _create(connection: DuckDBPyConnection) -> None:
    connection.execute(_TRIALS)
    connection.execute(_LOOKS)
