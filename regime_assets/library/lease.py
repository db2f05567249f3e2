"""A lease that ends with its process, however it went: on a file, or in PostgreSQL where machines share.

Who asks whether a run is alive asks the kernel, or the server, not a status that only the run itself would change.
"""

from __future__ import annotations

from pathlib import Path

from regime_assets.library import file_lease
from regime_assets.library.shared_storage import SharedStorage


def hold_lease(path: Path) -> None:
    """Hold the lease `path` as long as this process lives; several processes may hold the same one.

    Where machines share, its name alone counts.
    """
    shared = SharedStorage.from_environment()
    if shared is None:
        file_lease.hold_lease(path)
        return
    from regime_assets.library import shared_lease

    shared_lease.hold_lease(shared, path.name)


def release_leases() -> None:
    """Give back every lease of this process, which lives on and turns to something else."""
    shared = SharedStorage.from_environment()
    if shared is None:
        file_lease.release_leases()
        return
    from regime_assets.library import shared_lease

    shared_lease.release_leases(shared)


def is_held(path: Path) -> bool | None:
    """Whether a living process holds the lease; None when there never was one, or while that cannot be told."""
    shared = SharedStorage.from_environment()
    if shared is None:
        return file_lease.is_held(path)
    from regime_assets.library import shared_lease

    return shared_lease.is_held(shared, path.name)


def holder(path: Path) -> str:
    """The process that took the lease, for a message."""
    shared = SharedStorage.from_environment()
    if shared is None:
        return file_lease.holder(path)
    from regime_assets.library import shared_lease

    return shared_lease.holder(shared, path.name)


def forget_lease(path: Path) -> None:
    """Remove what is left of a lease that nobody needs to ask for any more."""
    if SharedStorage.from_environment() is None:  # the server forgets by itself
        path.unlink(missing_ok=True)
