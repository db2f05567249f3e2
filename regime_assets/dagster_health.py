"""Dagster's side of the doctor: daemons, the queue, dead runs and the pool slots that they hold.

Belongs here: what the event log and the run storage say. Does not belong here: the stores of the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.upkeep.findings import Finding
from regime_assets.runs.dead_runs import ALIVE_STATUSES, end_dead_runs, free_slots, why_dead

SILENT_SECONDS = 300.0
WAITS_TOO_LONG = timedelta(hours=1)


def dagster_findings(instance: dg.DagsterInstance, home: Home, repair: bool) -> Iterator[Finding]:
    """Look at runs, slots, queue and daemons."""
    yield from _dead_runs(instance, home, repair)
    yield from _slots(instance, repair)
    yield from _queue(instance)
    yield from _daemons(instance)


def _dead_runs(instance: dg.DagsterInstance, home: Home, repair: bool) -> Iterator[Finding]:
    if repair:
        for sentence in end_dead_runs(instance, home):
            yield Finding("repaired", "runs", f"ended: {sentence}")
    living = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=ALIVE_STATUSES)):
        reason = why_dead(home, run.run_id)
        if reason is None:
            living += 1
        else:
            remedy = "the daemon ends it within a minute; without one: `regime-assets doctor --repair`"
            yield Finding("fault", f"run {run.run_id}", reason, remedy)
    yield Finding("ok", "runs", f"{living} under way")


def _slots(instance: dg.DagsterInstance, repair: bool) -> Iterator[Finding]:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    holding = list(storage.get_concurrency_run_ids())
    finished = instance.get_runs(dg.RunsFilter(run_ids=holding, statuses=FINISHED_STATUSES)) if holding else []
    for run in finished:
        if repair:
            free_slots(instance, run.run_id)
            yield Finding("repaired", "pools", f"a slot of run {run.run_id}, which has ended, was freed")
        else:
            remedy = "the daemon frees it within a minute; without one: `regime-assets doctor --repair`"
            yield Finding("fault", "pools", f"run {run.run_id} has ended and holds a slot", remedy)
    if not finished:
        yield Finding("ok", "pools", f"slots are held by {len(holding)} runs, all under way")


def _queue(instance: dg.DagsterInstance) -> Iterator[Finding]:
    queued = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    late = [r for r in queued if clock.system_now() - r.create_timestamp > WAITS_TOO_LONG]
    if late:
        oldest = min(record.create_timestamp for record in late)
        remedy = "start the daemon (`regime-assets ui`); look at what runs before it in the UI"
        yield Finding("warning", "queue", f"{len(late)} runs wait since {oldest:%Y-%m-%d %H:%M} UTC or later", remedy)
    else:
        yield Finding("ok", "queue", f"{len(queued)} runs wait")


def _daemons(instance: dg.DagsterInstance) -> Iterator[Finding]:
    now = clock.system_now().timestamp()
    beats = instance.get_daemon_heartbeats()
    if not beats:
        yield Finding("warning", "daemon", "none ever ran on this folder", "automation needs one: `regime-assets ui`")
    for name, beat in sorted(beats.items()):
        age = now - beat.timestamp
        if age > SILENT_SECONDS:
            remedy = "start it: `regime-assets ui`"
            yield Finding("warning", f"daemon {name.lower()}", f"silent for {age / 60:.0f} minutes", remedy)
        elif beat.errors:
            yield Finding("warning", f"daemon {name.lower()}", str(beat.errors[0].message).strip()[:200], "")
        else:
            yield Finding("ok", f"daemon {name.lower()}", f"beat {age:.0f} s ago")
