"""Copies of a data folder, taken while everything runs, and made into a data folder again.

A backup lies in `<target>/backups/<moment>.json`: every file of the folder by the hash of its content, which is in
`<target>/objects/`. Backups to one target share what they have in common. Tables are copied as one committed state
each, SQLite files with SQLite's own backup; Dagster's and MLflow's are taken before the tables and tables before the
files that they name, so that what one store says of another one is there. What changed meanwhile is taken again. A
model that was just being replaced may be the new one beside the old row: its session is materialized again then.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from regime_assets.library.atomic_files import staging_folder, write_file_atomically
from regime_assets.library.clock import clock
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.shared_storage import SharedStorage

SQLITE_HEADER = b"SQLite format 3\0"
LEFT_OUT = frozenset({"locks", "calendars", "backups"})
"""What a folder makes anew, and its own backups."""

ROUNDS = 5
FORMAT = 1


class BackupError(Exception):
    """A backup cannot be taken, or is not what it should be; the message says why and what to do."""


@dataclass(frozen=True)
class Backup:
    """One backup.

    Attributes:
        name: the moment it was taken at.
        files: of the data folder, hash of the content by relative path.
        size: of the files together, in bytes.
        written: bytes that no earlier backup of the target had.
    """

    name: str
    files: dict[str, str]
    size: int
    written: int


def take_backup(home: Home, target: Path) -> Backup:
    """Copy the data folder to `target`, and verify the copy.

    Raises:
        BackupError: there is no data folder, the target lies in it or cannot be written, or the universes' tables did
            not hold still for as long as a copy of their files takes.
    """
    _refuse_shared("backup")
    target = target.resolve()
    if not home.root.is_dir():
        raise BackupError(f"{home.root}: no data folder to copy")
    if target.is_relative_to(home.root.resolve()):
        raise BackupError(f"{target}: lies in the data folder itself; name a place outside")
    try:
        with tempfile.TemporaryDirectory(prefix=".taking-", dir=_made(target)) as scratch:
            taken = _Taken(home, target, Path(scratch))
            files = taken.all_files()
        name = clock.system_now().strftime("%Y-%m-%dT%H%M%S.%fZ")
        document = {"format": FORMAT, "taken": name, "files": files}
        write_file_atomically(target / "backups" / f"{name}.json", json.dumps(document, indent=1).encode())
    except OSError as error:
        raise BackupError(f"{target}: cannot be written: {error}; nothing was added to its backups") from error
    size = sum(_object(target, sha256).stat().st_size for sha256 in files.values())
    return Backup(name, files, size, taken.written)


def backups(target: Path) -> list[str]:
    """The names of a target's backups, oldest first."""
    return sorted(path.stem for path in (target / "backups").glob("*.json"))


def restore(target: Path, home: Home, name: str | None = None) -> Backup:
    """Make a backup into a data folder, every file verified by its hash.

    Args:
        target: where backups lie.
        home: the folder to make; it must not exist, or be empty.
        name: which backup; the newest one when None.

    Raises:
        BackupError: the folder holds something, there is no such backup, or it is damaged: then no folder was made.
    """
    _refuse_shared("restore")
    if home.root.exists() and any(home.root.iterdir()):
        raise BackupError(
            f"{home.root}: holds something already, and is left as it is; move it away, or restore to a new folder "
            "(REGIME_ASSETS_HOME)"
        )
    chosen = name or next(reversed(backups(target)), None)
    if chosen is None:
        raise BackupError(f"{target}: no backup in it")
    files = _files(target, chosen)
    try:
        with staging_folder(home.root) as staging:
            for place, sha256 in files.items():
                _restore_file(target, sha256, staging / place)
            if home.root.exists():
                home.root.rmdir()
            os.rename(staging, home.root)
    except OSError as error:
        raise BackupError(f"{home.root}: cannot be written: {error}; no folder was made") from error
    size = sum((home.root / place).stat().st_size for place in files)
    return Backup(chosen, files, size, size)


def verify(target: Path, name: str) -> list[str]:
    """The objects of a backup that are missing or damaged."""
    return sorted({sha256 for sha256 in _files(target, name).values() if _hash(_object(target, sha256)) != sha256})


def _refuse_shared(command: str) -> None:
    """What machines share is copied by the tools of its servers, which one machine's copy could not replace."""
    shared = SharedStorage.from_environment()
    if shared is not None:
        raise BackupError(
            f"{command} copies the data folder of one machine, and this deployment keeps its tables and files in "
            f"{shared.shown_catalog} and {shared.storage}: dump the database first (pg_dump), then copy the storage; "
            "docs/scaling.md says how to restore both"
        )


class _Taken:
    """The files of one backup while it is taken."""

    def __init__(self, home: Home, target: Path, scratch: Path) -> None:
        self._home = home
        self._target = target
        self._scratch = scratch
        self._seen: dict[str, tuple[int, int, str]] = {}
        self.written = 0

    def all_files(self) -> dict[str, str]:
        files = {self._place(path): self._sqlite(path) for path in self._kinds("sqlite")}
        for _ in range(ROUNDS):
            tables = {self._place(path): self._duckdb(path) for path in self._kinds("duckdb")}
            plain = self._plain_files()
            if tables == {self._place(path): self._duckdb(path) for path in self._kinds("duckdb")}:
                return dict(sorted((files | tables | plain).items()))
        raise BackupError(
            f"{self._home.root}: its tables changed during each of {ROUNDS} copies; take the backup when no run is in "
            "the middle of a session"
        )

    def _place(self, path: Path) -> str:
        return path.relative_to(self._home.root).as_posix()

    def _kinds(self, wanted: str) -> Iterator[Path]:
        for path in sorted(self._home.root.rglob("*")):
            parts = path.relative_to(self._home.root).parts
            if parts[0] in LEFT_OUT or any(part.startswith(".") for part in parts) or not path.is_file():
                continue
            if _kind(path) == wanted:
                yield path

    def _sqlite(self, path: Path) -> str:
        copy = self._scratch / "sqlite"
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(path, timeout=60)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return self._keep(copy)

    def _duckdb(self, path: Path) -> str:
        copy = self._scratch / "duckdb"
        with DatabaseFile(path).connect() as connection:  # holds the file's lock: nobody writes
            connection.execute("CHECKPOINT")
            shutil.copyfile(path, copy)
        return self._keep(copy)

    def _plain_files(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in self._kinds("file"):
            try:
                status, place = path.stat(), self._place(path)
                before = self._seen.get(place)
                if before is None or before[:2] != (status.st_mtime_ns, status.st_size):
                    shutil.copyfile(path, self._scratch / "file")
                    before = (status.st_mtime_ns, status.st_size, self._keep(self._scratch / "file"))
                    self._seen[place] = before
                found[place] = before[2]
            except FileNotFoundError:  # deleted meanwhile
                continue
        return found

    def _keep(self, copy: Path) -> str:
        """Move a copy to the objects, unless it is there; return its hash."""
        sha256 = str(_hash(copy))
        place = _object(self._target, sha256)
        if _hash(place) != sha256:
            place.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("rb") as file:
                os.fsync(file.fileno())
            self.written += copy.stat().st_size
            os.replace(copy, place)
        return sha256


def _kind(path: Path) -> str:
    if path.name.endswith((".lock", ".duckdb.wal", ".db-wal", ".db-shm", ".db-journal")):
        return "passing"
    if path.suffix == ".duckdb":
        return "duckdb"
    with path.open("rb") as file:
        return "sqlite" if file.read(len(SQLITE_HEADER)) == SQLITE_HEADER else "file"


def _files(target: Path, name: str) -> dict[str, str]:
    path = target / "backups" / f"{name}.json"
    try:
        document = json.loads(path.read_bytes())
        newer, files = document["format"] > FORMAT, {str(k): str(v) for k, v in document["files"].items()}
    except FileNotFoundError:
        raise BackupError(f"{target}: no backup {name}; there are {', '.join(backups(target)) or 'none'}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{path}: damaged; restore an earlier one: {', '.join(backups(target))}") from error
    if newer:
        raise BackupError(f"{path}: written by a newer version of regime_assets; restore it with that one")
    for place in files:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise BackupError(f"{path}: names {place}, which leads out of a data folder")
    return files


def _restore_file(target: Path, sha256: str, place: Path) -> None:
    source = _object(target, sha256)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, place)
    except FileNotFoundError as error:
        raise BackupError(f"{source}: missing; restore another backup; no folder was made") from error
    if _hash(place) != sha256:
        raise BackupError(
            f"{source}: damaged, its content has another hash; restore another backup; no folder was made"
        )


def _hash(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _object(target: Path, sha256: str) -> Path:
    return target / "objects" / sha256[:2] / sha256


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
