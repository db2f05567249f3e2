"""A lease that ends with its process: a lock on a file, held until the process is gone, however it went.

Who asks whether a run is alive asks the kernel, not a status that only the run itself would change.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from regime_assets.library.atomic_files import writing
from regime_assets.library.clock import clock

ABANDONED_SECONDS = 24 * 3600.0
"""After which the file of a lease that nobody holds is removed."""

_held: dict[Path, int] = {}


def hold_lease(path: Path) -> None:
    """Hold the lease `path` as long as this process lives; several processes may hold the same one."""
    path = path.absolute()
    if path in _held:
        return
    with writing(path):
        _hold(path)


def _hold(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent)
    # Locked before it has its name, so that nobody finds it free in between.
    staging = path.with_name(f".{path.name}-{os.getpid()}")
    descriptor = os.open(path if path.exists() else staging, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    if staging.exists():
        os.replace(staging, path)
    _held[path] = descriptor


def release_leases() -> None:
    """Give back every lease of this process."""
    while _held:
        _, descriptor = _held.popitem()
        os.close(descriptor)


def is_held(path: Path) -> bool | None:
    """Whether a living process holds the lease; None when there never was one."""
    if path.absolute() in _held:
        return True
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(path: Path) -> str:
    """The process that took the lease, for a message."""
    try:
        return f"process {path.read_text().split()[0]}"
    except (OSError, IndexError):
        return "its process"


def _remove_abandoned(folder: Path) -> None:
    for path in folder.iterdir():
        if clock.system_now().timestamp() - path.stat().st_mtime > ABANDONED_SECONDS and is_held(path) is False:
            path.unlink(missing_ok=True)
