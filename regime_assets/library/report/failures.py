"""What failed, one small file a universe: a step, a job, a tick of a sensor; kept until it succeeds.

The event log holds every failure; the page, the service and the command line cannot read it, and must not miss one.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path

from regime_assets.library.clock import clock
from regime_assets.library.deployment_lock import deployment_lock
from regime_assets.library.home import Home
from regime_assets.library.report.morning import Failure
from regime_assets.library.shared_files import read_file, write_file

MOST_FAILURES = 50
LOCK_SECONDS = 30.0
RUN, TICK, JOB = "the run", "tick", "job"
"""Beginnings of the names of what is no asset: a whole run, a tick of a sensor or schedule, a job by hand."""

JOB_DAYS = 7
"""How long a job that was started by hand, or a tick, is shown: nobody may ever start it again."""

WHAT_TO_DO = {
    "raw_prices": "See what was held back with `regime-assets quarantine {universe}`; when the source is in order, "
    "materialize the session again.",
    "daily_signal": "The last answer stands. Materialize daily_signal of the session again.",
    RUN: "The champion goes on. Start the run again in Dagster under Runs, or materialize the session again.",
    TICK: "It is tried again by itself. If it fails again, read its error in Dagster under Automation.",
    JOB: "What it should have changed stays as it was. Read its run in Dagster, and start it again.",
}
OTHERWISE = "The champion goes on. Read the step's log in Dagster, then materialize the session again."


def record_failure(home: Home, universe: str, step: str, session: date, why: str) -> None:
    """Keep a step's failure, instead of an earlier one of the same step."""
    with deployment_lock(_lock(home, universe), LOCK_SECONDS):
        rows = [row for row in _read(_path(home, universe)) if row["step"] != step]
        rows.append({"step": step, "session": session.isoformat(), "why": why})
        _write(home, universe, rows[-MOST_FAILURES:])


def forget_failures(home: Home, universe: str, steps: Collection[str], session: date) -> None:
    """Drop the failures of steps that succeeded for that session or a later one."""
    newest = session.isoformat()

    def is_kept(row: dict[str, str]) -> bool:
        return row["step"] not in steps or row["session"] > newest

    if all(map(is_kept, _read(_path(home, universe)))):  # as a rule, and a network away where machines share
        return
    with deployment_lock(_lock(home, universe), LOCK_SECONDS):
        _write(home, universe, [row for row in _read(_path(home, universe)) if is_kept(row)])


def recorded_failures(home: Home, universe: str) -> tuple[Failure, ...]:
    """What failed and did not succeed since, newest session first."""
    rows = sorted(_read(_path(home, universe)), key=lambda row: row["session"], reverse=True)
    oldest = clock.today() - timedelta(days=JOB_DAYS)
    return tuple(
        Failure(
            session=date.fromisoformat(row["session"]),
            what=f"{row['step'].removeprefix(f'{TICK} ').removeprefix(f'{JOB} ')} failed",
            why=row["why"],
            todo=_todo(row["step"]).format(universe=universe),
            step=row["step"],
        )
        for row in rows
        if not row["step"].startswith((TICK, JOB)) or date.fromisoformat(row["session"]) >= oldest
    )


def _todo(step: str) -> str:
    kind = next((kind for kind in (RUN, TICK, JOB) if step.startswith(kind)), step.rpartition("/")[2])
    return WHAT_TO_DO.get(kind, OTHERWISE)


def _read(path: Path) -> list[dict[str, str]]:
    try:
        rows: list[dict[str, str]] = json.loads(read_file(path))
        return rows
    except FileNotFoundError:
        return []


def _write(home: Home, universe: str, rows: list[dict[str, str]]) -> None:
    path = _path(home, universe)
    write_file(path, json.dumps(rows, indent=1).encode())


def _path(home: Home, universe: str) -> Path:
    return home.pages / f"{universe}.failures.json"


def _lock(home: Home, universe: str) -> Path:
    return home.locks / f"{universe}.failures.lock"
