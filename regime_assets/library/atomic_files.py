"""Files and folders that appear whole or not at all, readable by whom the umask lets read."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

STAGED = re.compile(r"\..+-[0-9a-f]{12}")
"""The name of what is written beside its place, until it is renamed."""

_REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "let this user write there"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room on the disk"),
}


def remains_of_killed_writes(folder: Path, before: datetime) -> list[Path]:
    """Staged files and folders below `folder`, last written before a moment of the machine's clock.

    Those of a day ago belong to a process that was killed before it renamed or removed them.
    """
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        staged = [name for name in (*folders, *files) if STAGED.fullmatch(name)]
        folders[:] = [name for name in folders if name not in staged]
        for path in (Path(parent, name) for name in staged):
            with suppress(FileNotFoundError):  # renamed by whoever is just writing it
                if path.lstat().st_mtime < before.timestamp():
                    found.append(path)
    return sorted(found)


class NotWrittenError(OSError):
    """The system does not take a file or folder; the message names it and says what to do."""


@contextmanager
def writing(path: Path) -> Generator[None]:
    """A block that writes `path`, or in its place.

    Raises:
        NotWrittenError: this user may not, or there is no room.
    """
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is None or isinstance(error, NotWrittenError):
            raise
        place = path if error.filename is None else error.filename
        raise NotWrittenError(error.errno, f"cannot be written: {error.strerror}; {remedy}", str(place)) from error


def write_file_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: synced to the disk first, renamed over the old file after.

    Raises:
        NotWrittenError: this user may not, or there is no room; the old file stays.
    """
    staging = _beside(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_synced(staging, content)
            os.replace(staging, path)
    except BaseException:
        with suppress(OSError):
            staging.unlink(missing_ok=True)
        raise


def _write_synced(staging: Path, content: bytes) -> None:
    with staging.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def staging_folder(path: Path) -> Generator[Path]:
    """An empty folder beside `path`, to be filled and renamed; what is left of it at the end is removed.

    Raises:
        NotWrittenError: this user may not write there, or there is no room.
    """
    staging = _beside(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            staging.mkdir()
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _beside(path: Path) -> Path:
    # Not `tempfile`, whose files and folders are their owner's alone whatever the umask says.
    return path.with_name(f".{path.name}-{secrets.token_hex(6)}")
