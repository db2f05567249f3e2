"""Steps that failed, one small file a universe: kept until the step succeeds for the session, for whoever looks next.

The event log holds every failure; the page, the service and the command line cannot read it, and must not miss one.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.file_lock import file_lock
from regime_assets.library.home import Home
from regime_assets.library.report.morning import Failure

MOST_FAILURES = 50
LOCK_SECONDS = 30.0
WHAT_TO_DO = {
    "raw_prices": "See what was held back with `regime-assets quarantine {universe}`; when the source is in order, "
    "materialize the session again.",
    "daily_signal": "The last answer stands. Materialize daily_signal of the session again.",
}
OTHERWISE = "The champion goes on. Read the step's log in Dagster, then materialize the session again."


def record_failure(home: Home, universe: str, step: str, session: date, why: str) -> None:
    """Keep a step's failure, instead of an earlier one of the same step."""
    with file_lock(_lock(home, universe), LOCK_SECONDS):
        rows = [row for row in _read(_path(home, universe)) if row["step"] != step]
        rows.append({"step": step, "session": session.isoformat(), "why": why})
        _write(home, universe, rows[-MOST_FAILURES:])


def forget_failure(home: Home, universe: str, step: str, session: date) -> None:
    """Drop a step's failure when the step succeeded for that session or a later one."""
    if not _path(home, universe).exists():
        return
    with file_lock(_lock(home, universe), LOCK_SECONDS):
        rows = _read(_path(home, universe))
        newest = session.isoformat()
        kept = [row for row in rows if row["step"] != step or row["session"] > newest]
        if kept != rows:
            _write(home, universe, kept)


def recorded_failures(home: Home, universe: str) -> tuple[Failure, ...]:
    """What failed and did not succeed since, newest session first."""
    rows = sorted(_read(_path(home, universe)), key=lambda row: row["session"], reverse=True)
    return tuple(
        Failure(
            session=date.fromisoformat(row["session"]),
            what=f"{row['step']} failed",
            why=row["why"],
            todo=WHAT_TO_DO.get(row["step"].rpartition("/")[2], OTHERWISE).format(universe=universe),
        )
        for row in rows
    )


def _read(path: Path) -> list[dict[str, str]]:
    try:
        rows: list[dict[str, str]] = json.loads(path.read_bytes())
        return rows
    except FileNotFoundError:
        return []


def _write(home: Home, universe: str, rows: list[dict[str, str]]) -> None:
    path = _path(home, universe)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file_atomically(path, json.dumps(rows, indent=1).encode())


def _path(home: Home, universe: str) -> Path:
    return home.pages / f"{universe}.failures.json"


def _lock(home: Home, universe: str) -> Path:
    return home.locks / f"{universe}.failures.lock"
