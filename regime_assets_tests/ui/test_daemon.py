"""The daemon reads the assets anew when they are other ones, or when it cannot ask, and looks after backfills often."""

import logging
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon import backfill, controller

from regime_assets.ui import daemon
from regime_assets.ui.daemon import when_changed


class Server:
    """A code server that may be gone."""

    def __init__(self, server_id: str | None) -> None:
        self.server_id = server_id

    def get_server_id(self) -> str:
        if self.server_id is None:
            raise ConnectionError("no one answers")
        return self.server_id


class Location(GrpcServerCodeLocation):
    """What was read from a server, without the connection."""

    def __init__(self, read: str, now: str | None) -> None:
        self._server_id, self.client, self.grpc_server_registry = read, Server(now), None  # type: ignore[assignment]

    def cleanup(self) -> None:
        """There is nothing to close."""


def workspace(read: str | None, now: str | None) -> Any:
    """One whose location was read from server `read`, or could not be loaded."""
    location = None if read is None else Location(read, now)
    entries = {"regime_assets": SimpleNamespace(code_location=location)}
    return SimpleNamespace(get_current_workspace=lambda: SimpleNamespace(code_location_entries=entries))


@pytest.mark.parametrize(
    ("read", "now", "reads"),
    [("one", "one", False), ("one", "two", True), ("one", None, True), (None, None, True)],
    ids=["the same server", "another one", "a server that is gone", "a location that did not load"],
)
def test_it_reads_the_assets_of_another_server_only(read: str | None, now: str | None, reads: bool) -> None:
    refreshed: list[Any] = []
    when_changed(refreshed.append)(workspace(read, now))
    assert bool(refreshed) == reads


def test_it_looks_after_backfills_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    class Ended(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            return True

    def look(*_: Any, **__: Any) -> Iterator[None]:
        yield None

    monkeypatch.setattr(controller, "DEFAULT_DAEMON_INTERVAL_SECONDS", controller.DEFAULT_DAEMON_INTERVAL_SECONDS)
    monkeypatch.setattr(WorkspaceProcessContext, "refresh_workspace", WorkspaceProcessContext.refresh_workspace)
    monkeypatch.setattr(daemon, "dagsters_own", lambda: None)
    monkeypatch.setattr(backfill, "execute_backfill_iteration", look)
    daemon.main()
    loop = backfill.execute_backfill_iteration_loop(SimpleNamespace(), logging.getLogger(), Ended())  # type: ignore
    while not waited:
        next(loop)
    assert 0 < waited[0] <= daemon.BACKFILL_SECONDS
