"""Runs that ended long ago: taken out of Dagster, with their events, and out of a local MLflow store.

Belongs here: what the run storages keep. Does not belong here: what the library's stores keep (`library.upkeep`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from regime_assets.library.clock import clock
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.lease import forget_lease
from regime_assets.library.upkeep.retention import Removed

AT_ONCE = 500


def remove_old_runs(instance: dg.DagsterInstance, home: Home, run_days: int, dry_run: bool = False) -> list[Removed]:
    """Delete the runs that ended more than `run_days` days ago; with `dry_run` only count them.

    The partitions that they materialized stay in the stores, and are shown as never materialized in the UI.
    """
    before = clock.system_now() - timedelta(days=run_days)
    old = dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=before)
    runs = instance.get_runs(old, limit=AT_ONCE)
    if not dry_run:
        for run in runs:
            instance.delete_run(run.run_id)
            forget_lease(home.run_lease(run.run_id))
    return [Removed("Dagster runs", len(runs)), Removed("MLflow runs", _mlflow(home, before.timestamp(), dry_run))]


def _mlflow(home: Home, before: float, dry_run: bool) -> int:
    from regime_assets.library.production.mlflow_client import open_client, sqlite_file

    if sqlite_file(home.mlflow_uri) is None:
        return 0  # a server's own keeper decides
    client = open_client(home.mlflow_uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    condition = f"attributes.end_time < {int(before * 1000)}"
    runs = [run.info.run_id for run in client.search_runs(experiments, condition, max_results=AT_ONCE)]
    if runs and not dry_run:
        for run in runs:
            client.delete_run(run)
        command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", home.mlflow_uri]
        environment = {**os.environ, HOME_VARIABLE: str(home.root), "MLFLOW_TRACKING_URI": home.mlflow_uri}
        subprocess.run([*command, "--run-ids", ",".join(runs)], env=environment, check=True, capture_output=True)
    return len(runs)
