"""Point-in-time facts (macro series by vintage, company reports by filing date): appended, never overwritten.

The archives date every version themselves. That date is taken over where nobody can have read the subject without it:
when the subject is loaded for the first time, and for what was published after the last answer that was given. What an
archive dates back to before that counts from the moment it was fetched, so that an answer given once stays the same.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from regime_assets.library import tables
from regime_assets.library.keyed_rows import put
from regime_assets.library.market.sources.base import FACT_COLUMNS
from regime_assets.library.market.versions import SAME_VALUE_TOLERANCE, StoreError

if TYPE_CHECKING:
    import duckdb

    from regime_assets.library.database import Database
    from regime_assets.library.market.calendar import TradingCalendar
    from regime_assets.library.market.sources.base import FetchedFacts

KEY = ("subject", "fact", "period")


class FactsReport(NamedTuple):
    """What one ingestion wrote.

    Attributes:
        dated_by_archive: versions known from the moment that the archive states.
        known_late: versions known from the moment they were fetched, because answers had been given without them.
    """

    dated_by_archive: int
    known_late: int


class Question(NamedTuple):
    """What a source was asked, so that the next run asks only for what is new since.

    Attributes:
        request: everything that an answer depends on besides subject and day, as text. After another request a subject
            is asked for whole.
        since: subject → the first day of publication that was asked for; None where it was asked for whole.
    """

    request: str
    since: Mapping[str, date | None]


class LastAsked(NamedTuple):
    """When a subject was answered last, and when it was last asked for whole; UTC without a time zone."""

    at: datetime
    whole_at: datetime


class FactsStore:
    """The facts of one universe from one source."""

    def __init__(self, database: Database, universe: str, source: str) -> None:
        self._database = database
        self.universe = universe
        self.source = source

    def ingest(
        self,
        fetched: FetchedFacts,
        fetched_at: datetime,
        answered_until: datetime,
        question: Question | None = None,
    ) -> FactsReport:
        """Append the versions that are not stored yet; one transaction. The same answer twice writes no fact.

        A version is identified by subject, fact, period and the moment at which the archive says it was published. One
        whose value the archive changes afterwards is stored beside the first, known from `fetched_at`.

        Args:
            fetched: a source's answer, complete for its subjects: every version of every period asked for, or every one
                since a day of publication.
            fetched_at: when it was received, with a time zone.
            answered_until: up to which moment facts are read from this answer: the decision time of the newest session
                that it was fetched for. The later of the two is kept with each subject of the answer.
            question: what was asked, kept with each subject that did not fail; those had nothing new that are missing
                in the answer. Without it, nothing is kept.

        Raises:
            StoreError: a version occurs twice, or has no finite value.
            ValueError: a moment has no time zone.
        """
        moment, until = _as_utc(fetched_at), max(_as_utc(fetched_at), _as_utc(answered_until))
        incoming = _as_incoming(fetched.facts)
        with self._database.transaction() as connection:
            _create_tables(connection)
            connection.register("incoming_facts", incoming)
            connection.execute(_FRESH_SQL, {"universe": self.universe, "source": self.source})
            connection.execute(
                "INSERT INTO facts BY NAME SELECT $universe AS universe, $source AS source, subject, fact, period, "
                "value, published_at, CASE WHEN late THEN greatest(published_at, $fetched_at) ELSE published_at END "
                "AS known_at, CASE WHEN late THEN 'observed' ELSE 'archive' END AS known_basis FROM fresh ORDER BY ALL",
                {"universe": self.universe, "source": self.source, "fetched_at": moment},
            )
            counts = connection.execute("SELECT count(*), count(*) FILTER (late) FROM fresh").fetchone()
            asked = {} if question is None else question.since
            for subject in sorted({*fetched.facts["subject"], *asked} - set(fetched.failures)):
                sql = "SELECT max(answered_until) FROM facts_answered WHERE universe = ? AND source = ? AND subject = ?"
                known = connection.execute(sql, [self.universe, self.source, subject]).fetchall()[0][0]
                row = [self.universe, self.source, subject, max(until, known or until)]
                put(connection, tables.FACTS_ANSWERED, row)
            if question is not None:
                self._remember(connection, question, sorted(set(asked) - set(fetched.failures)), moment)
            connection.execute("DROP TABLE fresh")
        total, late = counts if counts is not None else (0, 0)
        return FactsReport(total - late, late)

    def last_asked(self, request: str) -> dict[str, LastAsked]:
        """When each subject was answered last by this very request; subjects that never were are left out."""
        with self._connected() as connection:
            sql = (
                "SELECT subject, asked_at, whole_at FROM facts_asked WHERE universe = ? AND source = ? AND request = ?"
            )
            rows = connection.execute(sql, [self.universe, self.source, request]).fetchall()
        return {str(subject): LastAsked(at, whole_at) for subject, at, whole_at in rows}

    def facts(self, as_of: date, calendar: TradingCalendar, subjects: Sequence[str] | None = None) -> pd.DataFrame:
        """The newest version of every fact and period that was known at the decision time of `as_of`.

        Args:
            as_of: a session.
            calendar: gives the decision time.
            subjects: series or companies; all that are stored when not given.

        Returns:
            Columns subject, fact, period, value, published_at, known_at (UTC, without a time zone) and known_basis
            ('archive' or 'observed'); ordered by subject, fact and period.
        """
        known_by = _as_utc(calendar.decision_time(as_of))
        wanted = "" if subjects is None else "AND subject IN (SELECT unnest($subjects::VARCHAR[])) "
        parameters: dict[str, object] = {"universe": self.universe, "source": self.source, "known_by": known_by}
        if subjects is not None:
            parameters["subjects"] = list(subjects)
        sql = (
            "SELECT subject, fact, period, value, published_at, known_at, known_basis FROM facts "
            f"WHERE universe = $universe AND source = $source AND known_at <= $known_by {wanted}"
            "QUALIFY row_number() OVER (PARTITION BY subject, fact, period ORDER BY published_at DESC, known_at DESC) "
            "= 1 ORDER BY subject, fact, period"
        )
        with self._connected() as connection:
            return connection.execute(sql, parameters).df()

    def latest(self, as_of: date, calendar: TradingCalendar, subjects: Sequence[str] | None = None) -> pd.DataFrame:
        """Of each subject's fact, the period that ends last among those known as of `as_of`; columns as in `facts`.

        Of flows that end on one day, the one over the shortest period.
        """
        known = self.facts(as_of, calendar, subjects)
        ends = known["period"].str.split("/").str[-1]
        ordered = known.assign(_end=ends).sort_values(["subject", "fact", "_end", "period"])
        return ordered.drop(columns="_end").drop_duplicates(["subject", "fact"], keep="last").reset_index(drop=True)

    def history(self, as_of: date, calendar: TradingCalendar, subjects: Sequence[str]) -> pd.DataFrame:
        """Every version of the facts of `subjects` that was known at the decision time of `as_of`.

        Returns:
            Columns subject, fact, period, value, published_at, known_at; in the order in which they became known.
        """
        sql = (
            "SELECT subject, fact, period, value, published_at, known_at FROM facts WHERE universe = ? AND source = ? "
            "AND known_at <= ? AND subject IN (SELECT unnest(?::VARCHAR[])) ORDER BY known_at, published_at, period"
        )
        known_by = _as_utc(calendar.decision_time(as_of))
        with self._connected() as connection:
            return connection.execute(sql, [self.universe, self.source, known_by, list(subjects)]).df()

    def versions(self, subject: str, fact: str, period: str) -> pd.DataFrame:
        """Every version of one fact about one period, in the order in which they became known."""
        with self._connected() as connection:
            sql = (
                "SELECT value, published_at, known_at, known_basis FROM facts WHERE universe = ? AND source = ? "
                "AND subject = ? AND fact = ? AND period = ? ORDER BY known_at, published_at"
            )
            return connection.execute(sql, [self.universe, self.source, subject, fact, period]).df()

    def _remember(
        self, connection: duckdb.DuckDBPyConnection, question: Question, subjects: Sequence[str], moment: datetime
    ) -> None:
        for subject in subjects:
            sql = "SELECT max(whole_at) FROM facts_asked WHERE universe = ? AND source = ? AND subject = ?"
            known = connection.execute(sql, [self.universe, self.source, subject]).fetchall()[0][0]
            whole_at = moment if question.since[subject] is None else known
            row = [self.universe, self.source, subject, question.request, moment, whole_at]
            put(connection, tables.FACTS_ASKED, row)

    @contextmanager
    def _connected(self) -> Generator[duckdb.DuckDBPyConnection]:
        with self._database.connect() as connection:
            _create_tables(connection)
            yield connection


# A version counts as stored when the newest row under its identity has its value.
_FRESH_SQL = (
    "CREATE TEMP TABLE fresh AS WITH stored AS (SELECT subject, fact, period, published_at, "
    "arg_max(value, known_at) AS value FROM facts WHERE universe = $universe AND source = $source GROUP BY ALL) "
    "SELECT i.*, coalesce(s.value IS NOT NULL OR i.published_at <= a.answered_until, false) AS late "
    "FROM incoming_facts i LEFT JOIN stored s USING (subject, fact, period, published_at) "
    "LEFT JOIN (SELECT subject, answered_until FROM facts_answered WHERE universe = $universe AND source = $source) a "
    "USING (subject) "
    f"WHERE s.value IS NULL OR abs(i.value - s.value) > {SAME_VALUE_TOLERANCE} * abs(s.value)"
)


def _create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    for table in (tables.FACTS, tables.FACTS_ANSWERED, tables.FACTS_ASKED):
        connection.execute(table.ddl)


def _as_incoming(facts: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in FACT_COLUMNS if name not in facts.columns]
    if missing:
        raise StoreError(f"facts: the columns {missing} are missing")
    rows = facts.loc[:, list(FACT_COLUMNS)].rename(columns={"known_at": "published_at"})
    twice = rows[rows.duplicated([*KEY, "published_at"])]
    if not twice.empty:
        raise StoreError(f"facts: {' '.join(str(twice.iloc[0][name]) for name in KEY)} twice at one moment")
    unusable = rows[~rows["value"].abs().lt(float("inf"))]
    if not unusable.empty:
        raise StoreError(f"facts: {' '.join(str(unusable.iloc[0][name]) for name in KEY)} has no finite value")
    return rows.assign(published_at=rows["published_at"].dt.tz_convert("UTC").dt.tz_localize(None))


def _as_utc(moment: datetime) -> datetime:
    """`moment` as the tables hold it: in UTC, without a time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).replace(tzinfo=None)
