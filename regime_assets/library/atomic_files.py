"""Files and folders that appear whole or not at all, readable by whom the umask lets read."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

STAGED = re.compile(r"\..+-[0-9a-f]{12}")
"""The name of what is written beside its place, until it is renamed."""


def remains_of_killed_writes(folder: Path, older_than_seconds: float) -> list[Path]:
    """Staged files and folders below `folder` whose process was killed before it renamed or removed them."""
    latest = time.time() - older_than_seconds
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        staged = [name for name in (*folders, *files) if STAGED.fullmatch(name)]
        folders[:] = [name for name in folders if name not in staged]
        found += [path for path in (Path(parent, name) for name in staged) if path.lstat().st_mtime < latest]
    return sorted(found)


def write_file_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: synced to the disk first, renamed over the old file after."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = _beside(path)
    try:
        with staging.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staging, path)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise


@contextmanager
def staging_folder(path: Path) -> Generator[Path]:
    """An empty folder beside `path`, to be filled and renamed; what is left of it at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = _beside(path)
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _beside(path: Path) -> Path:
    # Not `tempfile`, whose files and folders are their owner's alone whatever the umask says.
    return path.with_name(f".{path.name}-{secrets.token_hex(6)}")
