"""A lock on a file that the kernel frees when its holder dies.

It is `flock`, on Linux and macOS; Windows has none, and the project runs there in WSL. Whoever has to wait blocks in
the kernel, which wakes the waiting ones in the order in which they came; a loop that asks again and again would let
luck decide. `flock` itself knows no time limit, so a thread waits in the caller's place.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from regime_assets.library.atomic_files import writing


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
        OSError: the file cannot be made; a NotWrittenError where this user may not.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not _Waiting(descriptor).succeeds(timeout):
            raise LockTimeoutError(f"{path}: held by another process for more than {timeout:.0f} s") from None
    except BaseException:
        os.close(descriptor)
        raise
    try:
        yield
    finally:
        os.close(descriptor)


class _Waiting:
    """A thread that blocks in `flock`. One that comes too late gives the lock back at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._answered = threading.Event()
        self._guard = threading.Lock()
        self._given_up = False

    def succeeds(self, timeout: float) -> bool:
        """Whether the lock was had within `timeout` seconds; the descriptor is the caller's only then."""
        threading.Thread(target=self._block, name="file-lock", daemon=True).start()
        try:
            self._answered.wait(timeout)
        except BaseException:
            if not self._gives_up():
                os.close(self._descriptor)
            raise
        return not self._gives_up()

    def _gives_up(self) -> bool:
        with self._guard:
            self._given_up = not self._answered.is_set()
        return self._given_up

    def _block(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._guard:
            if not self._given_up:
                self._answered.set()
                return
        os.close(self._descriptor)
