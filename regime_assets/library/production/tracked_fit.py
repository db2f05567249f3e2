"""What is tracked in MLflow: a nested run a fit, with its origin, figures and curves, and a run's own figures by step.

A call of MLflow costs some 10 ms of CPU, whatever it carries, and a local store waits for the disk at each: the fits of
a step are written there together. A server is told of each by MLflow's own calls.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regime_assets.library.clock import clock
from regime_assets.library.production.mlflow_client import sqlite_file

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from regime_assets.library.production.lineage import ModelRecord

DAGSTER_RUN_TAG, PARENT_TAG = "dagster_run_id", "mlflow.parentRunId"
LARGEST_BATCH = 1000  # metrics that MLflow takes in one call
RUN_NAME_TAG, USER_TAG = "mlflow.runName", "mlflow.user"
INHERITED_TAGS = (USER_TAG, "mlflow.source.name", "mlflow.source.type")
CURVES_FILE = "curves.json"
TABLES_TAG = "mlflow.loggedArtifacts"
"""Names the tables of a run that MLflow's UI shows beside those of other runs, as `mlflow.log_table` does."""


@dataclass(frozen=True)
class TrackedFit:
    """What MLflow shall show of a fit.

    Attributes:
        name: of its run, "{horizon}.{kind}".
        record: the fitted model's record.
        figures: of the fit; what could not be measured is left out.
        curves: of the training: the first column counts its steps, `seed` names the member where there are several;
            None when there are none, or none shall be logged.
    """

    name: str
    record: ModelRecord
    figures: Mapping[str, float]
    curves: pd.DataFrame | None

    @property
    def run_name(self) -> str:
        """Of its run."""
        return f"{self.name} {self.record.session}"

    def tags(self, parent: Run) -> dict[str, str]:
        """Of its run below another one."""
        return {
            **{name: value for name in INHERITED_TAGS if (value := parent.data.tags.get(name))},
            "session": self.record.session.isoformat(),
            "kind": self.record.kind,
            "accepted": str(self.record.accepted),
            PARENT_TAG: parent.info.run_id,
            **({TABLES_TAG: json.dumps([{"path": CURVES_FILE, "type": "table"}])} if self.curves is not None else {}),
        }

    @property
    def parameters(self) -> dict[str, str]:
        """What the fit came from."""
        record = self.record
        return {
            "seed": str(record.seed),
            "start": f"warm, from {record.parent}" if record.parent else "from scratch",
            "window": record.data_hash,
            "model": record.sha256,
        }

    @property
    def points(self) -> list[tuple[str, float, int]]:
        """Every finite figure and point of the curves as (metric, value, step)."""
        measured = [(key, float(value), 0) for key, value in self.figures.items() if math.isfinite(value)]
        return measured if self.curves is None else [*measured, *_points(self.curves)]


@contextmanager
def fits_together(mlflow: Any) -> Generator[Callable[[TrackedFit], None]]:
    """Take the fits of a run's sessions, and log them at the end of the block, also of one that raises.

    Args:
        mlflow: the module, or what stands for it, with an active run.
    """
    taken: list[TrackedFit] = []
    try:
        yield taken.append
    finally:
        if taken:
            track_fits(mlflow, taken)


def track_fits(mlflow: Any, fits: Sequence[TrackedFit]) -> list[str]:
    """Log fits as runs below the active one, to a local store in one transaction; return their identifiers.

    Args:
        mlflow: the module, or what stands for it, with an active run.
        fits: in the order of their runs.
    """
    parent, client = mlflow.active_run(), mlflow.MlflowClient()
    if sqlite_file(mlflow.get_tracking_uri()) is None:
        return [_sent(client, parent, fit) for fit in fits]
    identifiers = _stored_together(client, parent, fits)
    for identifier, fit in zip(identifiers, fits, strict=True):
        if fit.curves is not None:
            try:
                client.log_text(identifier, fit.curves.to_json(orient="split"), CURVES_FILE)
            except BaseException:
                client.set_terminated(identifier, "FAILED")
                raise
    return identifiers


def _sent(client: MlflowClient, parent: Run, fit: TrackedFit) -> str:
    """Log a fit by MLflow's own calls."""
    from mlflow.entities import Metric, Param

    now = _now()
    metrics = [Metric(key, value, now, step) for key, value, step in fit.points]
    # MLflow would start it in its default experiment.
    made = client.create_run(parent.info.experiment_id, tags=fit.tags(parent), run_name=fit.run_name)
    identifier: str = made.info.run_id
    status = "FAILED"
    try:
        first = metrics[:LARGEST_BATCH]
        client.log_batch(identifier, first, params=[Param(key, value) for key, value in fit.parameters.items()])
        for batch in _batches(metrics[LARGEST_BATCH:]):
            client.log_batch(identifier, batch)
        if fit.curves is not None:
            client.log_text(identifier, fit.curves.to_json(orient="split"), CURVES_FILE)
        status = "FINISHED"
    finally:
        client.set_terminated(identifier, status)
    return identifier


def _stored_together(client: MlflowClient, parent: Run, fits: Sequence[TrackedFit]) -> list[str]:
    """Write fits into the tables of a local store as MLflow's own calls would, which take five transactions a fit."""
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
    from sqlalchemy import insert

    now, identifiers = _now(), [uuid.uuid4().hex for _ in fits]
    rows: dict[Any, list[dict[str, Any]]] = {SqlRun: [], SqlTag: [], SqlParam: [], SqlMetric: [], SqlLatestMetric: []}
    for identifier, fit in zip(identifiers, fits, strict=True):
        tags = fit.tags(parent) | {RUN_NAME_TAG: fit.run_name}
        rows[SqlRun].append(
            {
                "run_uuid": identifier,
                "name": fit.run_name,
                "artifact_uri": str(parent.info.artifact_uri).replace(parent.info.run_id, identifier),
                "experiment_id": int(parent.info.experiment_id),
                "source_type": "UNKNOWN",
                "source_name": "",
                "entry_point_name": "",
                "source_version": "",
                "user_id": tags.get(USER_TAG, "unknown"),
                "status": "FINISHED",
                "start_time": now,
                "end_time": now,
                "lifecycle_stage": "active",
            }
        )
        rows[SqlTag] += [{"run_uuid": identifier, "key": key, "value": value} for key, value in tags.items()]
        rows[SqlParam] += [
            {"run_uuid": identifier, "key": key, "value": value} for key, value in fit.parameters.items()
        ]
        points = dict.fromkeys(fit.points)
        newest = {key: (value, step) for key, value, step in sorted(points, key=lambda point: (point[2], point[1]))}
        own = {"run_uuid": identifier, "timestamp": now, "is_nan": False}
        rows[SqlMetric] += [{**own, "key": key, "value": value, "step": step} for key, value, step in points]
        rows[SqlLatestMetric] += [
            {**own, "key": key, "value": value, "step": step} for key, (value, step) in newest.items()
        ]
    store: Any = client._tracking_client.store  # pyright: ignore[reportPrivateUsage]
    with store.ManagedSessionMaker(read_only=False) as session:
        for table, values in rows.items():
            if values:
                session.execute(insert(table), values)
    return identifiers


@contextmanager
def figures_together(mlflow: Any) -> Generator[Callable[[Mapping[str, float], int], None]]:
    """Take the figures of a run's sessions, and log them at the end of the block, also of one that raises.

    Args:
        mlflow: the module, or what stands for it, with an active run.

    Returns:
        A function of figures by name and of their step; what is not finite is left out.
    """
    from mlflow.entities import Metric

    taken: list[Any] = []

    def take(figures: Mapping[str, float], step: int) -> None:
        now = _now()
        taken.extend(Metric(key, float(value), now, step) for key, value in figures.items() if math.isfinite(value))

    try:
        yield take
    finally:
        for batch in _batches(taken):
            mlflow.MlflowClient().log_batch(mlflow.active_run().info.run_id, batch)


def _batches(metrics: list[Any]) -> list[list[Any]]:
    return [metrics[first : first + LARGEST_BATCH] for first in range(0, len(metrics), LARGEST_BATCH)]


def _now() -> int:
    return int(clock.system_now().timestamp() * 1000)


def close_abandoned_runs(client: MlflowClient, is_alive: Callable[[str], bool]) -> list[str]:
    """End, as killed, the open runs whose Dagster run lives no more, with the fits nested in them; return their ids.

    Args:
        client: of a store whose runs' processes `is_alive` knows, those of other machines too.
        is_alive: whether the process of a Dagster run lives.
    """
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    opened = client.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=1000)
    dagster_runs = {run.info.run_id: run.data.tags.get(DAGSTER_RUN_TAG) for run in opened}
    dead: list[str] = []
    for run in opened:
        outermost = run.data.tags.get(PARENT_TAG, run.info.run_id)
        dagster_run = dagster_runs.get(outermost)
        if dagster_run is None and outermost in dagster_runs:
            continue  # none of this project's: somebody's own
        if dagster_run is None or not is_alive(dagster_run):
            client.set_terminated(run.info.run_id, "KILLED")
            dead.append(run.info.run_id)
    return dead


def _points(curves: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
    """Every finite point of the curves as (metric, value, step)."""
    columns = [str(column) for column in curves.columns]
    for row in curves.to_dict("records"):
        member = f".seed_{int(row['seed'])}" if "seed" in row else ""
        for column in columns[1:]:
            if column != "seed" and math.isfinite(row[column]):
                yield f"curve.{column}{member}", float(row[column]), int(row[columns[0]])
