"""A lock on a file that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class LockTimeoutError(Exception):
    """Another process or thread held the lock for too long."""


@contextmanager
def file_lock(path: Path, timeout: float) -> Generator[None]:
    """Hold the lock on `path` exclusively, between processes and between threads.

    Args:
        path: the lock's file; created, never removed.
        timeout: seconds to wait for it.

    Raises:
        LockTimeoutError: it was not had in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LockTimeoutError(f"{path}: held by another process for more than {timeout:.0f} s") from None
                time.sleep(0.01)
        yield
