"""What is tracked in MLflow: a nested run a fit, with its origin, figures and curves, and a run's own figures by step.

A call of MLflow costs some 10 ms of CPU, whatever it carries: each run is made, filled and ended by one call each.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from regime_assets.library.clock import clock

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from regime_assets.library.production.lineage import ModelRecord

DAGSTER_RUN_TAG, PARENT_TAG = "dagster_run_id", "mlflow.parentRunId"
LARGEST_BATCH = 1000  # metrics that MLflow takes in one call
INHERITED_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
CURVES_FILE = "curves.json"
TABLES_TAG = "mlflow.loggedArtifacts"
"""Names the tables of a run that MLflow's UI shows beside those of other runs, as `mlflow.log_table` does."""


def track_fit(
    mlflow: Any, name: str, record: ModelRecord, figures: Mapping[str, float], curves: pd.DataFrame | None
) -> str:
    """Log a fit below the active run; return the nested run's identifier.

    Args:
        mlflow: the module, or what stands for it, with an active run.
        name: of the run, "{horizon}.{kind}".
        record: the fitted model's record.
        figures: of the fit; what could not be measured is left out.
        curves: of the training: the first column counts its steps, `seed` names the member where there are several;
            None when there are none, or none shall be logged.
    """
    from mlflow.entities import Metric, Param

    parent, client = mlflow.active_run(), mlflow.MlflowClient()
    tags = {
        **{name: value for name in INHERITED_TAGS if (value := parent.data.tags.get(name))},
        "session": record.session.isoformat(),
        "kind": record.kind,
        "accepted": str(record.accepted),
        PARENT_TAG: parent.info.run_id,
        **({TABLES_TAG: json.dumps([{"path": CURVES_FILE, "type": "table"}])} if curves is not None else {}),
    }
    parameters = {
        "seed": record.seed,
        "start": f"warm, from {record.parent}" if record.parent else "from scratch",
        "window": record.data_hash,
        "model": record.sha256,
    }
    now = _now()
    metrics = [Metric(key, float(value), now, 0) for key, value in figures.items() if math.isfinite(value)]
    if curves is not None:
        metrics += [Metric(key, value, now, step) for key, value, step in _points(curves)]
    # MLflow would start it in its default experiment.
    made = client.create_run(parent.info.experiment_id, tags=tags, run_name=f"{name} {record.session}")
    identifier: str = made.info.run_id
    status = "FAILED"
    try:
        first = metrics[:LARGEST_BATCH]
        client.log_batch(identifier, first, params=[Param(key, str(value)) for key, value in parameters.items()])
        for batch in _batches(metrics[LARGEST_BATCH:]):
            client.log_batch(identifier, batch)
        if curves is not None:
            client.log_text(identifier, curves.to_json(orient="split"), CURVES_FILE)
        status = "FINISHED"
    finally:
        client.set_terminated(identifier, status)
    return identifier


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
