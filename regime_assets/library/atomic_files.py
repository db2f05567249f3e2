"""Files and folders that appear whole or not at all, readable by whom the umask lets read."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


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
