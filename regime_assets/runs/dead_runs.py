"""Runs whose process is gone: they end as failures, say so, and give their pool slots back.

Belongs here: telling dead runs from living ones, by the lease that each process holds (`library.lease`). Dagster itself
knows a run's status only, which a killed process cannot change any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.lease import hold_lease, holder, is_held
from regime_assets.runs.failure_record import record_dead_run

NEVER_STARTED = timedelta(minutes=10)
"""After which a run that was made counts as one that nobody starts; what is queued or launched has another status."""
ALIVE_STATUSES = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def hold_run(home: Home, run_id: str) -> None:
    """Let this process be the one that a run lives in."""
    hold_lease(home.run_lease(run_id))


def why_dead(home: Home, run_id: str) -> str | None:
    """Why a run counts as dead; None while it lives, or while it is not known."""
    lease = home.run_lease(run_id)
    if is_held(lease) is not False:
        return None
    return f"{holder(lease)} is gone: it was killed, or its machine or its disk failed. Start the run again"


def run_health(instance: dg.DagsterInstance, run: dg.DagsterRun) -> CheckRunHealthResult:
    """Whether the process of a run lives, as a launcher tells it; a dead one's pool slots are freed."""
    home = Home.from_environment()
    reason = why_dead(home, run.run_id)
    if reason is None:
        return CheckRunHealthResult(WorkerStatus.RUNNING)
    free_slots(instance, run.run_id)
    record_dead_run(home, run, reason)
    return CheckRunHealthResult(WorkerStatus.FAILED, reason)


def end_dead_runs(instance: dg.DagsterInstance, home: Home) -> Iterator[str]:
    """End every run whose process is gone and free its pool slots; give a sentence each."""
    for run in instance.get_runs(dg.RunsFilter(statuses=ALIVE_STATUSES)):
        reason = why_dead(home, run.run_id)
        if reason is not None:
            instance.report_run_failed(run, reason)
            record_dead_run(home, run, reason)
            free_slots(instance, run.run_id)
            yield f"run {run.run_id} of {run.job_name}: {reason}"
    yield from end_never_started(instance)


def end_never_started(instance: dg.DagsterInstance) -> Iterator[str]:
    """End every run that was made and that nobody will start: who made it ended in between. Give a sentence each."""
    before = clock.system_now() - NEVER_STARTED
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED], created_before=before)):
        reason = "it was made and never started: what made it was killed, or its disk was full. Start the run again"
        instance.report_run_failed(run, reason)
        yield f"run {run.run_id} of {run.job_name}: {reason}"


def free_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Give back what pool slots a run holds."""
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
