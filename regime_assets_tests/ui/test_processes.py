"""One command starts the UI, shows the data folder's pages beside it, and ends all that it started."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import httpx
import pytest

from regime_assets.library.file_lock import file_lock
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.ui.processes import DagsterProcessError, run_dagster

LOCATIONS = "{ locationStatusesOrError { ... on WorkspaceLocationStatusEntries { entries { name loadStatus } } } }"


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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    in_the_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a script starts it: Ctrl-C is ignored
    command = [*in_the_background, sys.executable, "-m", "regime_assets.cli", "ui", "--port", str(port)]
    environment = os.environ | {HOME_VARIABLE: str(home.root), "PYTHONPATH": str(Path(__file__).parents[1])}
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while "The reports:" not in (tmp_path / "out").read_text():
            assert process.poll() is None, (tmp_path / "out").read_text()
            assert time.monotonic() < deadline, (tmp_path / "out").read_text()
            time.sleep(0.3)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            found = client.post("/graphql", json={"query": LOCATIONS}).json()["data"]["locationStatusesOrError"]
            assert found["entries"] == [{"name": "regime_assets", "loadStatus": "LOADED"}]
            assert "2022-12-28-backtest.html" in client.get("/regime-assets/reports/").text
            link = "/regime-assets/reports/us_large_cap/long/2022-12-28-backtest.html"
            assert client.get(link).text == "a report"
            assert "No universe has an answer yet" in client.get("/regime-assets/").text
            assert client.get("/runs").status_code == 200, "Dagster's own pages are where they were"
    finally:
        process.send_signal(signal.SIGTERM)
        ended = process.wait(timeout=60)
    assert ended == 0
    assert "Traceback" not in (tmp_path / "out").read_text()
    deadline = time.monotonic() + 15  # what imports for later runs ends after the module that it is at
    while left := session_of(process.pid):
        assert time.monotonic() < deadline, f"code server, daemon, web server or fork server has not ended: {left}"
        time.sleep(0.2)


def test_a_second_ui_on_one_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, said = Home(tmp_path), list[str]()
    monkeypatch.setattr("subprocess.Popen", None)  # nothing may be started
    with (
        file_lock(home.locks / "ui.lock", 5),
        pytest.raises(DagsterProcessError, match="another `regime-assets ui` runs on"),
    ):
        run_dagster(home, "127.0.0.1", 3999, "warning", said.append)
    assert said == []
