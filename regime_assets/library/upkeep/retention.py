"""What a universe no longer needs. What serves, what can be rolled back to and the first of each month always stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from regime_assets.library.atomic_files import remains_of_killed_writes
from regime_assets.library.clock import clock
from regime_assets.library.open_database import ledger_database
from regime_assets.library.production.names import model_name
from regime_assets.library.production.retention import StoredVersion, kept_versions
from regime_assets.library.research.walk_store import forget_runs
from regime_assets.library.shared_files import listed, remove, size_of
from regime_assets.library.universe import HORIZONS, Horizon
from regime_assets.library.workspace import WINDOWS_TABLE, Workspace

EARLIER_STATES = timedelta(days=7)
"""For which states of shared tables stay readable, and a file is kept that none names; a backup has as long."""
LONGEST_WRITE = timedelta(days=1)
"""What was staged longer ago belongs to a process that was killed."""
SESSION_NAMED = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Keep:
    """How much is kept, besides what serves and the first of each month; counts are of the newest.

    Attributes:
        versions: registered bundles of each horizon.
        walk_forwards: walk-forwards of each horizon, by when they were asked for.
        sessions: of reports, fitted models and stored windows. A session without its window cannot be replayed.
        run_days: of runs in Dagster and MLflow, with their events, curves and the UI's picture of their partitions.
    """

    versions: int = 30
    walk_forwards: int = 3
    sessions: int = 252
    run_days: int = 400


@dataclass(frozen=True)
class Removed:
    """What retention deletes of one kind.

    Attributes:
        what: the kind and whose it is.
        count: how many.
        size: bytes on the disk, where they are files.
    """

    what: str
    count: int
    size: int = 0

    def __str__(self) -> str:
        return f"{self.what}: {self.count}" + (f", {self.size / 1e6:.1f} MB" if self.size else "")


def retain(workspace: Workspace, keep: Keep, dry_run: bool = False) -> list[Removed]:
    """Delete what is older than `keep`; return what was deleted, or with `dry_run` what would be."""
    removed: list[Removed] = []
    for horizon in HORIZONS:
        name = model_name(workspace.universe.name, horizon)
        removed += [
            _versions(workspace, name, keep.versions, dry_run),
            _walk_forwards(workspace, horizon, keep.walk_forwards, dry_run),
            *_sessions(workspace, horizon, keep.sessions, dry_run),
            _windows(workspace, horizon, keep.sessions, dry_run),
        ]
    removed += _earlier_states(workspace, dry_run)
    removed.append(_old_files(workspace.home.pages, "morning pages of all universes", keep.sessions, dry_run))
    return [*removed, _remains(workspace.home.root, dry_run)]


def _remains(folder: Path, dry_run: bool) -> Removed:
    doomed = remains_of_killed_writes(folder, clock.system_now() - LONGEST_WRITE)
    size = sum(size_of(path) for path in doomed)
    if not dry_run:
        for path in doomed:
            remove(path)
    return Removed("remains of killed writes", len(doomed), size)


def _earlier_states(workspace: Workspace, dry_run: bool) -> Iterable[Removed]:
    """Of shared tables, the universe's and the ledger: what was replaced longer ago than anybody reads it."""
    for name, database in ((workspace.universe.name, workspace.database), ("ledger", ledger_database(workspace.home))):
        for what, count in database.compact(EARLIER_STATES, dry_run).items():
            yield Removed(f"{name}: {what}", count)


def _versions(workspace: Workspace, name: str, keep_last: int, dry_run: bool) -> Removed:
    doomed = workspace.registry.unneeded(name, keep_last)
    size = sum(size_of(stored.path) for stored in doomed)
    if not dry_run:
        workspace.registry.retention(name, keep_last)
    return Removed(f"{name}: versions", len(doomed), size)


def _walk_forwards(workspace: Workspace, horizon: Horizon, keep: int, dry_run: bool) -> Removed:
    what = f"{model_name(workspace.universe.name, horizon)}: walk-forwards"
    return Removed(what, len(forget_runs(workspace, horizon, keep, dry_run)))


def _sessions(workspace: Workspace, horizon: Horizon, keep: int, dry_run: bool) -> Iterable[Removed]:
    """Files and folders that carry a session at the beginning of their name."""
    name, universe = model_name(workspace.universe.name, horizon), workspace.universe.name
    for kind in ("reports", "models", "bundles"):
        yield _old_files(workspace.home.root / kind / universe / horizon, f"{name}: {kind}", keep, dry_run)


def _old_files(folder: Path, what: str, keep: int, dry_run: bool) -> Removed:
    found = [path for path in listed(folder) if SESSION_NAMED.match(path.name)]
    kept = kept_sessions([_session(path) for path in found], keep)
    doomed = [path for path in found if _session(path) not in kept]
    size = sum(size_of(path) for path in doomed)
    if not dry_run:
        for path in doomed:
            remove(path)
    return Removed(what, len(doomed), size)


def _windows(workspace: Workspace, horizon: Horizon, keep: int, dry_run: bool) -> Removed:
    what, database = f"{model_name(workspace.universe.name, horizon)}: windows", workspace.database
    if not database.has_table(WINDOWS_TABLE):
        return Removed(what, 0)
    sql = f"SELECT DISTINCT as_of FROM {WINDOWS_TABLE} WHERE horizon = ? AND universe = ? ORDER BY as_of"
    rows = database.query(sql, [horizon, workspace.universe.name])
    stored = [moment.date() for moment in rows["as_of"]]
    kept = kept_sessions(stored, keep)
    doomed = [session for session in stored if session not in kept]
    if not dry_run:
        for session in doomed:
            database.delete_partition(WINDOWS_TABLE, workspace.key(horizon, session))
    return Removed(what, len(doomed))


def kept_sessions(sessions: Sequence[date], keep_last: int) -> frozenset[date]:
    """The newest `keep_last` sessions, and the first of each month."""
    ordered = sorted(set(sessions))
    kept = kept_versions([StoredVersion(number, day) for number, day in enumerate(ordered)], (), keep_last)
    return frozenset(ordered[number] for number in kept)


def _session(path: Path) -> date:
    return date.fromisoformat(path.name[:10])
