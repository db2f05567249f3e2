"""Starts runs as Celery tasks, and knows whether the process of a run still lives: a cluster's `dagster.yaml` names it.

Celery's own answer does not: a task whose worker was killed counts as started, or as ended once it was delivered again.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult
from dagster._serdes import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher

from regime_assets.runs.celery_app import SETTINGS
from regime_assets.runs.dead_runs import run_health

# dagster-celery declares its task anew at each launch, and Celery says so in nine lines of the daemon's log.
warnings.filterwarnings("ignore", message="Task name 'execute_job' is already registered")


class LeasedCeleryRunLauncher(CeleryRunLauncher):
    """Launches runs like dagster-celery's launcher, and finds those whose process is gone."""

    @classmethod
    def config_type(cls) -> Mapping[str, dg.Field]:
        """The broker's URL; everything else is `celery_app.SETTINGS`, which the workers read as well."""
        return {"broker": dg.Field(dg.StringSource, description="URL of the broker, redis://host:port/number")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """The launcher of a `dagster.yaml`."""
        broker = config_value["broker"]
        return cls(
            default_queue=SETTINGS["task_default_queue"],
            broker=broker,
            backend=broker,
            config_source=SETTINGS,
            inst_data=inst_data,
        )

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Ask whether the run's lease is held."""
        return run_health(self._instance, run)
