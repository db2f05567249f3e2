"""The promotion journal: who served when, and why, as tables of the universe's database. It decides what serves.

A promotion is one row, and one transaction: it happened or it did not. The alias in MLflow, the tags there and the
pointer file are mirrors of the newest row. Beside the promotions stand the versions, with what is needed to register
them again where MLflow's store is lost.
"""

from __future__ import annotations

import getpass
import json
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

from regime_assets.library import tables
from regime_assets.library.clock import clock
from regime_assets.library.database import Database
from regime_assets.library.keyed_rows import insert_new

if TYPE_CHECKING:
    import duckdb

Kind = Literal["promotion", "roll_back"]

PROMOTIONS_TABLE, VERSIONS_TABLE = "promotions", "bundle_versions"
WRITTEN = (PROMOTIONS_TABLE, VERSIONS_TABLE)

_CREATE = f"{tables.PROMOTIONS.ddl}; {tables.BUNDLE_VERSIONS.ddl}"
_COLUMNS = (
    "kind, session, champion, previous, champion_before, previous_before, reason, verdict, author, identifier, made_at"
)


@dataclass(frozen=True)
class Aliases:
    """The versions that the two aliases name; None where an alias does not exist."""

    champion: int | None
    previous: int | None


@dataclass(frozen=True)
class Destination:
    """The versions that the two aliases shall name; without `previous`, its alias goes."""

    champion: int
    previous: int | None


def author() -> str:
    """The user that this process runs as."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown user"


@dataclass(frozen=True)
class Move:
    """One promotion or roll-back.

    Attributes:
        kind: which of the two.
        session: as of which the new champion serves.
        before, after: what the aliases named.
        reason: why.
        verdict: the gate's verdict; empty for a roll-back.
        author: the user whose process made it.
        identifier: its own, for ever.
        made_at: when, aware.
    """

    kind: Kind
    session: date
    before: Aliases
    after: Destination
    reason: str
    verdict: str
    author: str = field(default_factory=author)
    identifier: str = field(default_factory=lambda: uuid.uuid4().hex)
    made_at: datetime = field(default_factory=clock.now)


@dataclass(frozen=True)
class JournalledVersion:
    """One registered bundle, as it was registered.

    Attributes:
        version: MLflow's number of it.
        sha256: the bundle's hash.
        session: its partition.
        run_id: the MLflow run that made it; None when there was none.
        tags: as they were at the registration.
    """

    version: int
    sha256: str
    session: date
    run_id: str | None
    tags: Mapping[str, str]


class PromotionJournal:
    """Moves and versions of all models of one universe. Writers hold the model's lock; readers need none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def together(self) -> AbstractContextManager[None]:
        """A block whose reads and writes attach the database once, if they have to."""
        return self._database.at_once()

    def record(self, model_name: str, move: Move) -> None:
        """Let a move happen: from here on its champion serves."""
        with self._writing(PROMOTIONS_TABLE) as connection:
            _append(connection, model_name, move)

    def moves(self, model_name: str) -> list[Move]:
        """Every move, oldest first."""
        sql = f"SELECT {_COLUMNS} FROM {PROMOTIONS_TABLE} WHERE model_name = ? ORDER BY number"
        return [_move(row) for row in self._rows(sql, model_name)]

    def last_move(self, model_name: str, as_of: date | None = None, kind: Kind | None = None) -> Move | None:
        """The newest move, of those as of a session or of a kind; None when there is none."""
        asked = {"session <= ?": as_of, "kind = ?": kind}
        conditions = {condition: value for condition, value in asked.items() if value is not None}
        sql = f"SELECT {_COLUMNS} FROM {PROMOTIONS_TABLE} WHERE model_name = ? "
        sql += "".join(f"AND {condition} " for condition in conditions) + "ORDER BY number DESC LIMIT 1"
        found = self._rows(sql, model_name, *conditions.values())
        return _move(found[0]) if found else None

    def moves_of(self, model_name: str, version: int) -> list[Move]:
        """The moves that let a version serve or let another one serve in its place, oldest first."""
        sql = (
            f"SELECT {_COLUMNS} FROM {PROMOTIONS_TABLE} WHERE model_name = ? AND (champion = ? OR champion_before = ?) "
        )
        return [_move(row) for row in self._rows(sql, model_name, version, version)]

    def serving(self, model_name: str) -> Aliases:
        """What serves, and what served before it."""
        last = self.last_move(model_name)
        return Aliases(last.after.champion, last.after.previous) if last else Aliases(None, None)

    def add_version(self, model_name: str, version: JournalledVersion) -> None:
        """Record a registered version; one that is known already stays as it is."""
        values = [
            version.version,
            version.sha256,
            version.session,
            version.run_id,
            json.dumps(dict(version.tags), sort_keys=True),
        ]
        with self._writing(VERSIONS_TABLE) as connection:
            insert_new(connection, tables.BUNDLE_VERSIONS, [model_name, *values])

    def forget_version(self, model_name: str, version: int) -> None:
        """Remove the record of a version that was deleted."""
        with self._writing(VERSIONS_TABLE) as connection:
            sql = f"DELETE FROM {VERSIONS_TABLE} WHERE model_name = ? AND version = ?"
            connection.execute(sql, [model_name, version])

    def versions(
        self, model_name: str, *, number: int | None = None, session: date | None = None, sha256: str | None = None
    ) -> list[JournalledVersion]:
        """Every version that was registered and not deleted, oldest first; those of a number, session or hash alone."""
        asked = {"version": number, "session": session, "sha256": sha256}
        conditions = {column: value for column, value in asked.items() if value is not None}
        sql = f"SELECT version, sha256, session, run_id, tags FROM {VERSIONS_TABLE} WHERE model_name = ? "
        sql += "".join(f"AND {column} = ? " for column in conditions) + "ORDER BY version"
        return [
            JournalledVersion(version, sha256, session, run_id, json.loads(tags))
            for version, sha256, session, run_id, tags in self._rows(sql, model_name, *conditions.values())
        ]

    def model_names(self) -> list[str]:
        """Every model that has a version."""
        return [row[0] for row in self._rows(f"SELECT DISTINCT model_name FROM {VERSIONS_TABLE} ORDER BY model_name")]

    def import_moves(self, model_name: str, moves: Sequence[Move]) -> None:
        """Take over moves that were journalled elsewhere, unless there are some already; one transaction."""
        with self._writing(PROMOTIONS_TABLE) as connection:
            sql = f"SELECT 1 FROM {PROMOTIONS_TABLE} WHERE model_name = ? LIMIT 1"
            if connection.execute(sql, [model_name]).fetchone() is None:
                for move in moves:
                    _append(connection, model_name, move)

    @contextmanager
    def _writing(self, table: str) -> Generator[duckdb.DuckDBPyConnection]:
        """A transaction that writes one of the tables, which it makes where they are not there yet."""
        with self._database.at_once():
            are_made = all(self._database.has_table(name) for name in WRITTEN)
            with self._database.transaction([table] if are_made else WRITTEN) as connection:
                if not are_made:
                    connection.execute(_CREATE)
                yield connection

    def _rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self._database.rows(sql, parameters, ddl=_CREATE)


def _append(connection: duckdb.DuckDBPyConnection, model_name: str, move: Move) -> None:
    sql = f"INSERT INTO {PROMOTIONS_TABLE} (model_name, number, {_COLUMNS}) SELECT ?, coalesce(max(number), 0) + 1, "
    sql += f"?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM {PROMOTIONS_TABLE} WHERE model_name = ?"
    row = [
        move.kind,
        move.session,
        move.after.champion,
        move.after.previous,
        move.before.champion,
        move.before.previous,
        move.reason,
        move.verdict,
        move.author,
        move.identifier,
        move.made_at.astimezone(UTC).replace(tzinfo=None),
    ]
    connection.execute(sql, [model_name, *row, model_name])


def _move(row: Sequence[Any]) -> Move:
    kind, session, champion, previous, champion_before, previous_before, reason, verdict, by, identifier, at = row
    return Move(
        kind=kind,
        session=session,
        before=Aliases(champion_before, previous_before),
        after=Destination(champion, previous),
        reason=reason,
        verdict=verdict,
        author=by,
        identifier=identifier,
        made_at=at.replace(tzinfo=UTC),
    )
