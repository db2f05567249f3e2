"""The deployment log: what served on which session, on which inputs, with which answer, and why.

Append-only. A second answer for a session (a corrected input, a backfill) is a second row and replaces nothing;
recording the newest answer again writes nothing, so that a retried step leaves one row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from regime_assets.library import tables
from regime_assets.library.database import Database
from regime_assets.library.production.signal import Signal

DEPLOYMENTS_TABLE = "deployments"

_COLUMNS = (
    "universe, horizon, session, model_version, bundle_sha256, inputs_hash, features, regime, posteriors, exposure, "
    "weights, latents, reconstruction_error, decided_at, reason"
)


@dataclass(frozen=True)
class Deployment:
    """One answer of one champion.

    Attributes:
        universe, horizon: whose champion.
        model_version: its version in the registry.
        bundle_sha256: its bundle.
        inputs_hash: hash of all feature rows that it read.
        features: the newest of those rows, by feature.
        signal: its answer, the session included.
        decided_at: when it was given, aware.
        reason: why this model answered ("champion", "roll-back of version 7", "backfill").
    """

    universe: str
    horizon: str
    model_version: int
    bundle_sha256: str
    inputs_hash: str
    features: Mapping[str, float]
    signal: Signal
    decided_at: datetime
    reason: str


def inputs_hash(features: pd.DataFrame) -> str:
    """SHA-256 over sessions, names and bytes of feature rows."""
    digest = hashlib.sha256("|".join(str(name) for name in features.columns).encode())
    digest.update(pd.DatetimeIndex(features.index).strftime("%Y-%m-%d").str.cat(sep="|").encode())
    digest.update(np.ascontiguousarray(features.to_numpy(dtype=np.float64)).tobytes())
    return digest.hexdigest()


class DeploymentLog:
    """The table `deployments` of the project's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, deployment: Deployment) -> bool:
        """Append an answer in one transaction; False when it is the newest of its session already.

        Raises:
            ValueError: `decided_at` is naive, or a number is NaN or infinite.
        """
        if deployment.decided_at.tzinfo is None:
            raise ValueError(f"decided_at {deployment.decided_at} has no time zone")
        row = _row(deployment)
        with self._database.transaction([DEPLOYMENTS_TABLE]) as connection:
            connection.execute(tables.DEPLOYMENTS.ddl)
            place = deployment.universe, deployment.horizon, deployment.signal.session
            newest = connection.execute(_NEWEST_SQL, _newest(*place, None)).fetchone()
            if newest is not None and _answer(_deployment(newest)) == _answer(deployment):
                return False
            marks = ", ".join("?" * len(row))
            connection.execute(
                f"INSERT INTO {DEPLOYMENTS_TABLE} ({_COLUMNS}, number) SELECT {marks}, coalesce(max(number), 0) + 1 "
                f"FROM {DEPLOYMENTS_TABLE} WHERE universe = ? AND horizon = ? AND session = ?",
                [*row, *place],
            )
        return True

    def served(self, universe: str, horizon: str, session: date, by: datetime | None = None) -> Deployment | None:
        """The answer for a session.

        Args:
            universe, horizon: whose champion.
            session: the session that it is about.
            by: only answers decided until then, aware; the time of the fill tells what was really held. None: the
                newest answer, a backfill included.
        """
        if not self._database.has_table(DEPLOYMENTS_TABLE):
            return None
        rows = self._database.rows(_NEWEST_SQL, _newest(universe, horizon, session, by))
        return _deployment(rows[0]) if rows else None

    def answers(self, universe: str, horizon: str, session: date) -> tuple[Deployment, ...]:
        """Every answer for a session, in the order in which they were given."""
        sql = f"""
            SELECT {_COLUMNS} FROM {DEPLOYMENTS_TABLE}
            WHERE universe = ? AND horizon = ? AND session = ? ORDER BY decided_at, number"""
        rows = self._database.rows(sql, [universe, horizon, session], ddl=tables.DEPLOYMENTS.ddl)
        return tuple(_deployment(row) for row in rows)

    def weights(self, universe: str, horizon: str, first: date, last: date) -> dict[date, dict[str, float]]:
        """What the newest answer of each session in [first, last] decided, ascending: weight by symbol."""
        sql = f"""
            SELECT session, weights FROM {DEPLOYMENTS_TABLE}
            WHERE universe = ? AND horizon = ? AND session BETWEEN ? AND ?
            QUALIFY row_number() OVER (PARTITION BY session ORDER BY decided_at DESC, number DESC) = 1
            ORDER BY session"""
        rows = self._database.rows(sql, [universe, horizon, first, last], ddl=tables.DEPLOYMENTS.ddl)
        decided = json.loads(f"[{','.join(text for _, text in rows)}]")
        return {session: weights for (session, _), weights in zip(rows, decided, strict=True)}

    def history(
        self, universe: str, horizon: str, first: date, last: date, newest: int | None = None
    ) -> tuple[Deployment, ...]:
        """The newest answer of each session in [first, last], ascending; with `newest` of that many last sessions."""
        sql = f"""
            SELECT {_COLUMNS} FROM {DEPLOYMENTS_TABLE}
            WHERE universe = ? AND horizon = ? AND session BETWEEN ? AND ?
            QUALIFY row_number() OVER (PARTITION BY session ORDER BY decided_at DESC, number DESC) = 1
            ORDER BY session DESC LIMIT ?"""
        rows = self._database.rows(sql, [universe, horizon, first, last, newest], ddl=tables.DEPLOYMENTS.ddl)
        return tuple(_deployment(row) for row in reversed(rows))


def _answer(deployment: Deployment) -> tuple[Any, ...]:
    return deployment.model_version, deployment.bundle_sha256, deployment.inputs_hash, deployment.signal


_NEWEST_SQL = f"""
    SELECT {_COLUMNS} FROM {DEPLOYMENTS_TABLE}
    WHERE universe = ? AND horizon = ? AND session = ? AND decided_at <= ?
    ORDER BY decided_at DESC, number DESC LIMIT 1"""


def _newest(universe: str, horizon: str, session: date, by: datetime | None) -> list[Any]:
    return [universe, horizon, session, datetime.max if by is None else _utc(by)]


def _row(deployment: Deployment) -> list[Any]:
    signal = deployment.signal
    return [
        deployment.universe,
        deployment.horizon,
        signal.session,
        deployment.model_version,
        deployment.bundle_sha256,
        deployment.inputs_hash,
        _json(dict(deployment.features)),
        signal.regime,
        _json(signal.posteriors),
        signal.exposure,
        _json(signal.weights),
        _json(list(signal.latents)),
        signal.reconstruction_error,
        _utc(deployment.decided_at),
        deployment.reason,
    ]


def _deployment(row: Sequence[Any]) -> Deployment:
    universe, horizon, session, version, sha256, hashed, features, regime, posteriors, *rest = row
    exposure, weights, latents, reconstruction_error, decided_at, reason = rest
    return Deployment(
        universe=universe,
        horizon=horizon,
        model_version=version,
        bundle_sha256=sha256,
        inputs_hash=hashed,
        features=json.loads(features),
        signal=Signal(
            session=session,
            regime=regime,
            posteriors=json.loads(posteriors),
            exposure=exposure,
            weights=json.loads(weights),
            latents=tuple(json.loads(latents)),
            reconstruction_error=reconstruction_error,
        ),
        decided_at=decided_at.replace(tzinfo=UTC),
        reason=reason,
    )


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
