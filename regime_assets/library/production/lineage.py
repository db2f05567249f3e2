"""Which fitted model descends from which, and which may be descended from.

A design's models are a line of their own: none of them descends from another design's. Acceptance is data: a model
that broke a blocking rule is kept with its reason, and is never an ancestor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.acceptance import RuleOutcome, accepted, refusal
from regime_assets.library.artifact import Parts, read_artifact, write_artifact
from regime_assets.library.database import Database
from regime_assets.library.home import Home
from regime_assets.library.regimes.regime_model import RegimePath
from regime_assets.library.shared_files import rename_folder

MODELS_TABLE = "models"
OUTCOMES_TABLE = "rule_outcomes"
PATHS_TABLE = "regime_path"
OF_A_DESIGN = frozenset(
    {
        *(MODELS_TABLE, OUTCOMES_TABLE, PATHS_TABLE, "vae_curves", "rl_policy_curves"),
        *("decisions", "backtests", "judgements"),
    }
)
"""Tables whose rows belong to a design."""


class LineageError(Exception):
    """A model that is needed was not fitted, or was not accepted."""


@dataclass(frozen=True)
class ModelRecord:
    """One fitted model: where it lies, what it came from, and whether it may be used.

    Attributes:
        kind: the asset that fitted it (vae, latents, gmm, rl_policy).
        session: its partition, the last session that it has seen.
        parent: hash of the model that it was warm-started from; empty when trained from scratch.
        data_hash: hash of the window that it was fitted on.
        figures: what the fit reports, one number a name.
    """

    kind: str
    session: date
    sha256: str
    parent: str
    warm_started: bool
    seed: int
    data_hash: str
    code_version: str
    figures: dict[str, float]
    accepted: bool
    refusal: str


class Lineage:
    """The fitted models of one universe, horizon and design."""

    def __init__(self, database: Database, home: Home, universe: str, horizon: str, design: str) -> None:
        self._database = database
        self._home = home
        self.universe = universe
        self.horizon = horizon
        self.design = design

    def at_once(self) -> AbstractContextManager[None]:
        """A block whose reads attach the database once, if they have to."""
        return self._database.at_once()

    def as_one(self, kind: str) -> AbstractContextManager[None]:
        """A block whose writes of a model of this kind, and of what belongs to it, are one transaction."""
        return self._database.one_transaction([MODELS_TABLE, OUTCOMES_TABLE, PATHS_TABLE, f"{kind}_curves"])

    def record(self, record: ModelRecord, parts: Parts, outcomes: Sequence[RuleOutcome]) -> ModelRecord:
        """Store a fitted model and the outcome of every rule it was held against; return the record as stored."""
        sha256 = write_artifact(self._folder(record.kind, record.session), parts)
        stored = replace(record, sha256=sha256, accepted=accepted(outcomes), refusal=refusal(outcomes))
        row = asdict(stored) | {"figures": json.dumps(stored.figures, sort_keys=True)}
        for name in ("kind", "session"):
            del row[name]
        self.record_outcomes(record.kind, record.session, outcomes)
        self._database.replace_partition(MODELS_TABLE, self._key(record.kind, record.session), pd.DataFrame([row]))
        return stored

    def record_outcomes(self, subject: str, session: date, outcomes: Sequence[RuleOutcome]) -> None:
        """Store the outcome of every rule that `subject` of `session` was held against."""
        if not outcomes:
            self._database.delete_partition(OUTCOMES_TABLE, self._key(subject, session))
            return
        rows = pd.DataFrame([asdict(outcome) for outcome in outcomes]).astype({"value": "float64"})
        self._database.replace_partition(OUTCOMES_TABLE, self._key(subject, session), rows)

    def record_curves(self, kind: str, session: date, curves: pd.DataFrame) -> None:
        """Store the training curves of one fit, a row an epoch or a rollout."""
        key = {name: value for name, value in self._key(kind, session).items() if name != "kind"}
        self._database.replace_partition(f"{kind}_curves", key, curves)

    def curves(self, kind: str, session: date) -> pd.DataFrame:
        """The curves that `record_curves` stored; empty when there are none."""
        key = {name: value for name, value in self._key(kind, session).items() if name != "kind"}
        return self._database.read_partition(f"{kind}_curves", key)

    def record_path(self, session: date, path: RegimePath) -> None:
        """Store what the session's regimes say of its window, a row a session of it."""
        rows = pd.DataFrame(path.latents, columns=[f"z{i}" for i in range(path.latents.shape[1])])
        for number in range(path.posteriors.shape[1]):
            rows[f"posterior_{number}"] = path.posteriors[:, number]
        rows.insert(0, "session", path.sessions)
        rows["state"], rows["rule_exposure"] = path.states, path.rule_exposure
        rows["reconstruction_error"], rows["names"] = path.reconstruction_error, ",".join(path.names)
        self._database.replace_partition(PATHS_TABLE, self._path_key(session), rows)

    def find_path(self, session: date) -> pd.DataFrame:
        """The rows that `record_path` stored; empty when there are none."""
        return self._database.read_partition(PATHS_TABLE, self._path_key(session), order_by="session")

    def path(self, session: date) -> RegimePath:
        """What `record_path` stored.

        Raises:
            LineageError: nothing was.
        """
        rows = self.find_path(session)
        if rows.empty:
            raise LineageError(
                f"the regimes' path of {self.universe}/{self.horizon}, {session} is not stored: materialize gmm again"
            )
        held = rows.dropna(axis=1, how="all")  # other designs of the same table have more latents or regimes

        def numbered(prefix: str) -> NDArray[np.float64]:
            count = sum(str(name).removeprefix(prefix).isdigit() for name in held.columns)
            return held[[f"{prefix}{i}" for i in range(count)]].to_numpy(np.float64)

        return RegimePath(
            sessions=pd.DatetimeIndex(rows["session"].astype("datetime64[ns]")),
            names=tuple(str(rows["names"].iloc[0]).split(",")),
            latents=numbered("z"),
            posteriors=numbered("posterior_"),
            states=rows["state"].to_numpy(np.int64),
            reconstruction_error=rows["reconstruction_error"].to_numpy(np.float64),
            rule_exposure=rows["rule_exposure"].to_numpy(np.float64),
        )

    def record_unfitted(self, kind: str, session: date, reason: str) -> None:
        """Store that a session has no model of `kind`, because something below it was not accepted."""
        row = {
            "sha256": "",
            "parent": "",
            "warm_started": False,
            "seed": 0,
            "data_hash": "",
            "code_version": "",
            "figures": "{}",
            "accepted": False,
            "refusal": reason,
        }
        self._database.replace_partition(MODELS_TABLE, self._key(kind, session), pd.DataFrame([row]))
        self._database.delete_partition(OUTCOMES_TABLE, self._key(kind, session))

    def outcomes(self, subject: str, session: date) -> tuple[RuleOutcome, ...]:
        """The outcomes that `record_outcomes` stored; empty when there are none."""
        return self.outcomes_of(subject, [session])[session]

    def outcomes_of(self, subject: str, sessions: Sequence[date]) -> dict[date, tuple[RuleOutcome, ...]]:
        """The outcomes of some sessions, each in the order in which they were stored."""
        found: dict[date, list[RuleOutcome]] = {session: [] for session in sessions}
        if self._database.has_table(OUTCOMES_TABLE):
            sql = (
                f"SELECT session, rule, value, bound, passed, blocking, detail FROM {OUTCOMES_TABLE} "
                "WHERE universe = ? AND horizon = ? AND design = ? AND kind = ? AND session BETWEEN ? AND ? "
                "ORDER BY rowid"
            )
            own = [self.universe, self.horizon, self.design, subject, min(sessions), max(sessions)]
            for session, rule, value, bound, passed, blocking, detail in self._database.rows(sql, own):
                day = _day(session)
                if day in found:
                    measured = None if value is None or math.isnan(value) else float(value)
                    outcome = RuleOutcome(str(rule), measured, str(bound), bool(passed), bool(blocking), str(detail))
                    found[day].append(outcome)
        return {session: tuple(outcomes) for session, outcomes in found.items()}

    def latest_accepted(self, kind: str, before: date) -> ModelRecord | None:
        """The newest accepted model of `kind` of a session strictly before `before`."""
        return self._first("accepted AND session < ? ORDER BY session DESC LIMIT 1", kind, before)

    def latest_full_retrain(self, kind: str, as_of: date) -> ModelRecord | None:
        """The newest accepted model of `kind` that was trained from scratch, up to and including `as_of`."""
        condition = "accepted AND NOT warm_started AND session <= ? ORDER BY session DESC LIMIT 1"
        return self._first(condition, kind, as_of)

    def find(self, kind: str, session: date) -> ModelRecord | None:
        """The model of one session, accepted or not; None when it was not fitted."""
        return self.of_session(session).get(kind)

    def of_session(self, session: date) -> dict[str, ModelRecord]:
        """All models of one session by kind, accepted or not."""
        return {record.kind: record for record in self._records("session = ?", session)}

    def require(self, kind: str, session: date) -> ModelRecord:
        """The accepted model of one session.

        Raises:
            LineageError: it was not fitted, or it was not accepted (the reason is named).
        """
        return self.required([kind], session)[kind]

    def required(self, kinds: Sequence[str], session: date) -> dict[str, ModelRecord]:
        """The accepted models of one session by kind.

        Raises:
            LineageError: one was not fitted, or was not accepted (the reason is named).
        """
        records = self.of_session(session)
        for kind in kinds:
            name = f"{kind} of {self.universe}/{self.horizon}, {session}"
            if kind not in records:
                raise LineageError(f"{name} was not materialized")
            if not records[kind].accepted:
                raise LineageError(f"{name} was not accepted: {records[kind].refusal}")
        return {kind: records[kind] for kind in kinds}

    def load(self, record: ModelRecord) -> Parts:
        """The model itself, its hash checked against the record."""
        return read_artifact(self._folder(record.kind, record.session), record.sha256)

    def take_over(self, former: str) -> None:
        """Book what was stored under a former hash of the design under the present one."""
        place = [self.universe, self.horizon, former]
        sessions: list[date] = []
        with self._database.transaction() as connection:
            sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
            tables = {row[0] for row in connection.execute(sql).fetchall()}
            if MODELS_TABLE in tables:
                sql = f"SELECT DISTINCT session FROM {MODELS_TABLE} WHERE universe = ? AND horizon = ? AND design = ?"
                sessions = [row[0] for row in connection.execute(sql, place).fetchall()]
            for session in sessions:  # before the rows, so that a run that is killed here does it again
                old = self._home.model(self.universe, self.horizon, former, "", session)
                rename_folder(old, self._home.model(self.universe, self.horizon, self.design, "", session))
            for table in sorted(tables.intersection(OF_A_DESIGN)):
                sql = f"UPDATE {table} SET design = ? WHERE universe = ? AND horizon = ? AND design = ?"
                connection.execute(sql, [self.design, *place])

    def _folder(self, kind: str, session: date) -> Path:
        return self._home.model(self.universe, self.horizon, self.design, kind, session)

    def _path_key(self, session: date) -> dict[str, Any]:
        return {"universe": self.universe, "horizon": self.horizon, "design": self.design, "as_of": session}

    def _key(self, kind: str, session: date) -> dict[str, Any]:
        own = {"universe": self.universe, "horizon": self.horizon, "design": self.design}
        return {**own, "kind": kind, "session": session}

    def _first(self, condition: str, kind: str, session: date) -> ModelRecord | None:
        return next(iter(self._records(f"kind = ? AND {condition}", kind, session)), None)

    def _records(self, condition: str, *parameters: object) -> list[ModelRecord]:
        if not self._database.has_table(MODELS_TABLE):
            return []
        lane = "universe = ? AND horizon = ? AND design = ?"
        sql = f"SELECT {', '.join(_COLUMNS)} FROM {MODELS_TABLE} WHERE {lane} AND {condition}"
        return [
            _record(row) for row in self._database.rows(sql, [self.universe, self.horizon, self.design, *parameters])
        ]


def stored_designs(database: Database, universe: str, horizon: str) -> tuple[str, ...]:
    """Hashes of the designs of which models are stored, also of those that are in the universe's file no more."""
    if not database.has_table(MODELS_TABLE):
        return ()
    sql = f"SELECT DISTINCT design FROM {MODELS_TABLE} WHERE universe = ? AND horizon = ? ORDER BY design"
    return tuple(map(str, database.query(sql, [universe, horizon])["design"]))


_COLUMNS = tuple(field.name for field in fields(ModelRecord))


def _record(row: Sequence[Any]) -> ModelRecord:
    named = dict(zip(_COLUMNS, row, strict=True))
    return ModelRecord(
        kind=str(named["kind"]),
        session=_day(named["session"]),
        sha256=str(named["sha256"]),
        parent=str(named["parent"]),
        warm_started=bool(named["warm_started"]),
        seed=int(named["seed"]),
        data_hash=str(named["data_hash"]),
        code_version=str(named["code_version"]),
        figures=json.loads(named["figures"]),
        accepted=bool(named["accepted"]),
        refusal=str(named["refusal"]),
    )


def _day(stored: date) -> date:
    return stored.date() if isinstance(stored, datetime) else stored
