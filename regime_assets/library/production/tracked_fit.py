"""One nested MLflow run a fit: where it comes from as tags, its figures, and its curves as metrics by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from regime_assets.library.clock import clock

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from regime_assets.library.production.lineage import ModelRecord

DAGSTER_RUN_TAG, PARENT_TAG = "dagster_run_id", "mlflow.parentRunId"
LARGEST_BATCH = 1000  # metrics that MLflow takes in one call


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
            None when there are none.
    """
    from mlflow.entities import Metric

    tags = {
        "session": record.session.isoformat(),
        "kind": record.kind,
        "accepted": str(record.accepted),
    }
    parameters = {
        "seed": record.seed,
        "start": f"warm, from {record.parent}" if record.parent else "from scratch",
        "window": record.data_hash,
        "model": record.sha256,
    }
    now = int(clock.system_now().timestamp() * 1000)
    metrics = [Metric(key, float(value), now, 0) for key, value in figures.items() if math.isfinite(value)]
    if curves is not None:
        metrics += [Metric(key, value, now, step) for key, value, step in _points(curves)]
    place = mlflow.active_run().info.experiment_id  # MLflow would start it in its default experiment
    with mlflow.start_run(experiment_id=place, run_name=f"{name} {record.session}", nested=True, tags=tags) as run:
        client = mlflow.MlflowClient()
        mlflow.log_params(parameters)
        for first in range(0, len(metrics), LARGEST_BATCH):
            client.log_batch(run.info.run_id, metrics[first : first + LARGEST_BATCH])
        if curves is not None:
            mlflow.log_table(curves, "curves.json")
        return run.info.run_id


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
