"""Dagster's three processes on the data folder: code server, daemon and web server.

They are started and ended together. One that dies in between is started again, so that a night's schedule does not
stand still because a process was killed for its memory.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from regime_assets.instance import prepare_dagster_home
from regime_assets.library.file_lock import LockTimeoutError, file_lock
from regime_assets.library.home import Home
from regime_assets.metadata import PAGES

DEFINITIONS, LOCATION = "regime_assets.definitions", "regime_assets"
LONGEST_START_SECONDS = 180.0
LONGEST_END_SECONDS = 20.0
LOCK_SECONDS = 1.0
SHORTEST_LIFE_SECONDS = 60.0
"""A process that ends sooner after its start is not started again: what ended it is still there."""


class DagsterProcessError(Exception):
    """The UI cannot run; the message says why and what to do."""


def run_dagster(home: Home, host: str, port: int, log_level: str, say: Callable[[str], None]) -> None:
    """Run the UI and its daemon until interrupted.

    Args:
        home: the data folder.
        host, port: of the web server.
        log_level: of what the processes print.
        say: prints a line.

    Raises:
        DagsterProcessError: the port is taken, or one of the processes ended soon after its start.
    """
    if _is_taken(host, port):
        raise DagsterProcessError(
            f"port {port} of {host} is taken, perhaps by another `regime-assets ui`. End that one, or take another "
            f"port: regime-assets ui --port {port + 1}"
        )
    environment = prepare_dagster_home(home)
    address = f"http://{_reached_at(host)}:{port}"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        try:
            stack.enter_context(file_lock(home.locks / "ui.lock", LOCK_SECONDS))
        except LockTimeoutError:
            raise DagsterProcessError(
                f"another `regime-assets ui` runs on {home.root}: end that one; with two daemons every schedule would "
                "ask twice"
            ) from None
        code, workspace = Path(folder, "code.sock"), Path(folder, "workspace.yaml")
        workspace.write_text(f"load_from: [{{grpc_server: {{socket: {code}, location_name: {LOCATION}}}}}]\n")
        own = ("--use-python-environment-entry-point", "--location-name", LOCATION, "--log-level", log_level)
        where = ("--host", host, "--port", str(port), "--dagster-log-level", log_level)
        commands: dict[str, tuple[str, ...]] = {
            "code server": ("dagster", "code-server", "start", "-m", DEFINITIONS, "--socket", str(code), *own),
            "daemon": ("regime_assets.ui.daemon", "run", "-w", str(workspace), "--log-level", log_level),
            "web server": ("regime_assets.ui.web_server", "-w", str(workspace), *where),
        }
        running: dict[str, _Process] = {}
        stack.callback(_end, running)

        def start(name: str) -> None:
            running[name] = _Process(subprocess.Popen([sys.executable, "-m", *commands[name]], env=environment))

        say("Starting Dagster, which takes about ten seconds ...")
        start("code server")
        _wait(running, "code server", lambda: _listens(code))
        start("daemon")
        start("web server")
        _wait(running, "web server", lambda: _serves(f"{address}/server_info"))
        say(f"The graph:   {address}\nThe reports: {address}{PAGES}/reports/\nCtrl-C ends both.")
        while True:
            for name in _ended(running):
                if time.monotonic() - running[name].since < SHORTEST_LIFE_SECONDS:
                    raise DagsterProcessError(_how(name, running[name].process))
                say(f"{_how(name, running[name].process)}; it is started again")
                start(name)
            time.sleep(1.0)


@dataclass(frozen=True)
class _Process:
    """A process and when it was started, on the monotonic clock."""

    process: subprocess.Popen[bytes]
    since: float = field(default_factory=time.monotonic)


def _ended(running: dict[str, _Process]) -> list[str]:
    return [name for name, started in running.items() if started.process.poll() is not None]


def _how(name: str, process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code < 0:
        return f"the {name} was ended by signal {-code} ({signal.strsignal(-code)})"
    return f"the {name} ended with code {code}; its own lines above say why"


def _wait(running: dict[str, _Process], name: str, answers: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while not answers():
        for gone in _ended(running):
            raise DagsterProcessError(_how(gone, running[gone].process))
        if time.monotonic() > deadline:
            raise DagsterProcessError(
                f"the {name} did not answer within {LONGEST_START_SECONDS:.0f} s. Start again with --log-level info to "
                "see how far it gets."
            )
        time.sleep(0.2)


def _end(running: dict[str, _Process]) -> None:
    """The web server and the daemon first: they ask the code server to the last."""
    processes = [running[name].process for name in ("web server", "daemon", "code server") if name in running]
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(LONGEST_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _serves(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((_reached_at(host), port)) == 0


def _reached_at(host: str) -> str:
    """An address that a browser on this machine can open."""
    return "127.0.0.1" if host in ("0.0.0.0", "") else host
