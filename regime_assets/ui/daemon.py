"""Dagster's daemon, which reads the assets when they are other ones and looks after backfills every few seconds.

Dagster's own reads the assets every minute, which is most of what an idle daemon of many universes costs. A code server
has another id once it was reloaded or started again. And it looks after a backfill every half minute, for which there
is no setting: a look asks for the prices of one run, so that five years began with half an hour of waiting. Run it with
`python -m regime_assets.ui.daemon` and the options of `dagster-daemon`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon import controller
from dagster._daemon.cli import main as dagsters_own

BACKFILL_SECONDS = 5
"""Between two looks whether a backfill's next run can be asked for."""


def when_changed(refresh: Callable[[Any], None]) -> Callable[[Any], None]:
    """`refresh`, a method of the process's workspace, left out while each of its code servers is the one it knows."""

    @wraps(refresh)
    def refresh_changed(workspace: Any) -> None:
        entries = workspace.get_current_workspace().code_location_entries.values()
        if not entries or not all(_is_unchanged(entry.code_location) for entry in entries):
            refresh(workspace)

    return refresh_changed


def _is_unchanged(location: Any) -> bool:
    """Whether the server of a location is the one that was read; what cannot be asked is read anew."""
    if not isinstance(location, GrpcServerCodeLocation) or location.grpc_server_registry is not None:
        return False
    try:
        return location.client.get_server_id() == location.server_id
    except Exception:  # gone, or starting again: the refresh that follows says what is wrong
        return False


def main() -> None:
    """Dagster's own command with such a workspace and such looks."""
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = BACKFILL_SECONDS  # read by the backfills' loop when it begins
    WorkspaceProcessContext.refresh_workspace = when_changed(WorkspaceProcessContext.refresh_workspace)
    dagsters_own()


if __name__ == "__main__":
    main()
