"""A lock among all that work on one deployment: a file's on a machine of its own, PostgreSQL's where machines share."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from regime_assets.library.file_lock import file_lock
from regime_assets.library.shared_storage import SharedStorage


@contextmanager
def deployment_lock(path: Path, timeout: float) -> Generator[None]:
    """Hold the lock that has this path, exclusively.

    Args:
        path: the lock's file; where machines share, its name alone counts.
        timeout: seconds to wait for it.

    Raises:
        LockTimeoutError: it was not had in time.
        OSError: the file cannot be made.
        PostgresError: the server cannot be reached.
    """
    shared = SharedStorage.from_environment()
    if shared is None:
        with file_lock(path, timeout):
            yield
        return
    from regime_assets.library.advisory_lock import advisory_lock

    with advisory_lock(shared, path.name, timeout):
        yield
