"""The service shows reports, page and signal that another machine wrote, and says so when it cannot ask for them."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from regime_assets.library.report.morning_page import Links
from regime_assets.library.serving.morning_pages import morning_route
from regime_assets.library.serving.polled_signal import PolledSignal
from regime_assets.library.serving.published_signal import PublishedSignalError
from regime_assets.library.serving.report_pages import report_routes
from regime_assets.library.serving.service import create_service
from regime_assets.library.shared_files import write_file
from regime_assets.library.shared_storage import STORAGE_VARIABLE
from regime_assets_tests.library.report.mornings import a_morning
from regime_assets_tests.machines import Machines

TOKEN = "a token of sixteen letters"


def test_pages_that_a_worker_wrote_are_served_from_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(tmp_path, monkeypatch, f"memory://{tmp_path.name}")
    home = machines.on("worker")
    write_file(home.pages / "us.morning.json", json.dumps(a_morning().to_document()).encode())
    report = home.reports / "us" / "short" / "2024-03-15-backtest.html"
    write_file(report, b"first")
    home = machines.on("service")
    pages = [morning_route(home, Links("reports")), *report_routes(home.reports)]
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(create_service(lambda: None, TOKEN, pages=pages), headers=bearer) as client:
        assert "The market is calm" in client.get("/").text
        assert "us/short/2024-03-15-backtest.html" in client.get("/reports/").text
        assert client.get("/reports/us/short/2024-03-15-backtest.html").text == "first"
        machines.on("worker")
        write_file(report, b"second")
        machines.on("service")
        assert client.get("/reports/us/short/2024-03-15-backtest.html").text == "second"
        assert client.get("/reports/us/short/2024-03-16-backtest.html").status_code == 404
        assert client.get("/reports/%2e%2e/pages/us.morning.json").status_code == 404


def test_a_signal_that_cannot_be_asked_for_is_no_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Machines(tmp_path, monkeypatch, f"memory://{tmp_path.name}").on("service")
    assert PolledSignal(home.mlflow_artifacts, "us", poll_seconds=60)() is None
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv(STORAGE_VARIABLE, f"s3://desk/{tmp_path.name}")
    with pytest.raises(PublishedSignalError, match="cannot be read"):
        PolledSignal(home.mlflow_artifacts, "us", poll_seconds=60)()
