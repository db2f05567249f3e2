"""Celery as a warm pool of run workers: one task is one run, and a worker's process keeps its imports for the next one.

    celery -A regime_assets.runs.celery_app worker --queues dagster --concurrency 2

A task is acknowledged when its run has ended, so that a run whose worker was killed before it began is taken by another
one. A run that had begun is not begun twice: Dagster ignores the second delivery, the launcher finds the run's process
gone (`celery_launcher`), and the run is tried again as a new one.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

BROKER_VARIABLE = "REGIME_ASSETS_BROKER"
LONGEST_RUN_SECONDS = 4 * 3600
"""`max_runtime_seconds` of the deployment's dagster.yaml."""

SETTINGS: dict[str, Any] = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    # A message that nobody acknowledged is delivered again after this; earlier, runs would be delivered twice.
    "broker_transport_options": {"visibility_timeout": LONGEST_RUN_SECONDS + 3600},
    "broker_connection_retry_on_startup": True,
    "task_track_started": True,
    "task_ignore_result": False,
    "result_expires": 24 * 3600,
    "task_default_queue": "dagster",
    "task_default_priority": 5,
    # A worker's process is replaced after this many runs, or when a run left more than 4 GB behind.
    "worker_max_tasks_per_child": 100,
    "worker_max_memory_per_child": 4_000_000,
}


def celery_app(broker: str) -> Celery:
    """The application that launcher and workers share; what tasks returned is kept where the broker is."""
    return make_app({"broker": broker, "backend": broker, "config_source": SETTINGS})


@task_postrun.connect
def forget_run(**_: object) -> None:
    """Hold a run's lease no longer than its task: a run that could not even store its failure is then found dead."""
    from regime_assets.library.lease import release_leases

    release_leases()


app = celery_app(os.environ.get(BROKER_VARIABLE, "redis://127.0.0.1:6379/0"))
execute_job = create_execute_job_task(app)
resume_job = create_resume_job_task(app)
