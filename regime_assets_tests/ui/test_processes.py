"""One command starts the UI, shows the data folder's pages beside it, and ends all that it started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import pytest

from regime_assets.library.file_lock import file_lock
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.ui.processes import DagsterProcessError, run_dagster

LOCATIONS = "{ locationStatusesOrError { ... on WorkspaceLocationStatusEntries { entries { name loadStatus } } } }"


@dataclass
class UI:
    """A `regime-assets ui` of a test.

    Attributes:
        process: the command.
        address: of its web server.
        out: the file that it and its processes print to.
    """

    process: subprocess.Popen[bytes]
    address: str
    out: Path

    def said(self) -> str:
        return self.out.read_text()

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 180
        while words not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.3)


@contextmanager
def started_ui(home: Home, program: list[str]) -> Generator[UI]:
    """Start the UI as a script does in the background, where Ctrl-C is ignored; end it by SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    in_the_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    command = [*in_the_background, sys.executable, *program, "ui", "--port", str(port)]
    environment = os.environ | {HOME_VARIABLE: str(home.root), "PYTHONPATH": str(Path(__file__).parents[2])}
    out = home.root.with_name("out")
    with out.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    ui = UI(process, f"http://127.0.0.1:{port}", out)
    try:
        ui.wait_for("The reports:")
        yield ui
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def session_of(leader: int) -> list[str]:
    """The processes that a command started, its own children's among them."""
    found = subprocess.run(["pgrep", "--session", str(leader), "-a"], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


@pytest.mark.xdist_group("cli")
def test_the_ui_serves_graph_and_reports_and_leaves_no_process_behind(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    report = home.report("us_large_cap", "long", "backtest", date(2022, 12, 28))
    report.parent.mkdir(parents=True)
    report.write_text("a report")
    with started_ui(home, ["-m", "regime_assets.cli"]) as ui, httpx.Client(base_url=ui.address, timeout=60) as client:
        found = client.post("/graphql", json={"query": LOCATIONS}).json()["data"]["locationStatusesOrError"]
        assert found["entries"] == [{"name": "regime_assets", "loadStatus": "LOADED"}]
        assert "2022-12-28-backtest.html" in client.get("/regime-assets/reports/").text
        link = "/regime-assets/reports/us_large_cap/long/2022-12-28-backtest.html"
        assert client.get(link).text == "a report"
        assert "No universe has an answer yet" in client.get("/regime-assets/").text
        assert client.get("/runs").status_code == 200, "Dagster's own pages are where they were"
    assert ui.process.returncode == 0
    assert "Traceback" not in ui.said()
    deadline = time.monotonic() + 15  # what imports for later runs ends after the module that it is at
    while left := session_of(ui.process.pid):
        assert time.monotonic() < deadline, f"code server, daemon, web server or fork server has not ended: {left}"
        time.sleep(0.2)


# The command as it is, but that a process may be started again as soon as it was started.
HASTY = """
from regime_assets.cli import main
from regime_assets.ui import processes

processes.SHORTEST_LIFE_SECONDS = 0.0
main()
"""


@pytest.mark.xdist_group("cli")
def test_a_process_that_is_killed_is_started_again_and_everything_answers(tmp_path: Path) -> None:
    with started_ui(Home(tmp_path / "data"), ["-c", HASTY]) as ui:
        modules = {
            "code server": "code-server",
            "daemon": "regime_assets.ui.daemon",
            "web server": "regime_assets.ui.web_server",
        }
        killed: dict[str, int] = {}
        for name, module in modules.items():
            killed[module] = process_of(ui, module)
            os.kill(killed[module], signal.SIGKILL)
            ui.wait_for(f"the {name} was ended by signal 9 (Killed); it is started again")
        deadline = time.monotonic() + 120
        while not all_answer(ui):
            assert time.monotonic() < deadline, ui.said()
            time.sleep(1.0)
        for module, first in killed.items():
            assert process_of(ui, module) != first
    assert ui.process.returncode == 0


def process_of(ui: UI, module: str) -> int:
    """The process of the UI that runs a module."""
    return next(int(line.split()[0]) for line in session_of(ui.process.pid) if f" {module} " in line)


def all_answer(ui: UI) -> bool:
    """Whether the web server serves the code location as its code server gives it."""
    try:
        answer = httpx.post(f"{ui.address}/graphql", json={"query": LOCATIONS}, timeout=60).json()["data"]
    except httpx.TransportError:
        return False
    return answer["locationStatusesOrError"]["entries"] == [{"name": "regime_assets", "loadStatus": "LOADED"}]


def test_a_second_ui_on_one_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, said = Home(tmp_path), list[str]()
    monkeypatch.setattr("subprocess.Popen", None)  # nothing may be started
    with (
        file_lock(home.locks / "ui.lock", 5),
        pytest.raises(DagsterProcessError, match="another `regime-assets ui` runs on"),
    ):
        run_dagster(home, "127.0.0.1", 3999, "warning", said.append)
    assert said == []
