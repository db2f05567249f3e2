from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from regime_assets.cli import main
from regime_assets.library.database import Database
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.production.bundle import save_bundle
from regime_assets.library.production.registry import Registry
from regime_assets_tests.library.production.bundles import SESSION, stored_only_bundle

UNIVERSE = "us_large_cap"
MODEL = f"{UNIVERSE}.short"
pytestmark = pytest.mark.xdist_group("cli")  # one registry for all of them

REASON = ["--reason", "seen by a human"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two registered versions of one horizon; the second one serves, the first did before."""
    home = Home(tmp_path_factory.mktemp("home"))
    registry = registry_of(home)
    for version, session in enumerate((SESSION, date(2022, 3, 2)), start=1):
        built = home.bundle(UNIVERSE, "short", session)
        sha256 = save_bundle(stored_only_bundle(session, version, universe=UNIVERSE), built)
        registry.register(built, MODEL, sha256, {"verdict": "hold"})
        registry.promote(MODEL, version, "test", "promote")
    return home


def registry_of(home: Home) -> Registry:
    return Registry(home.mlflow_uri, home.mlflow_artifacts, home.locks, Database(home.database(UNIVERSE)))


@pytest.fixture(autouse=True)
def at_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(home.root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


REFUSED = {
    "there is no universe nowhere; there are us_large_cap": ["roll-back", "nowhere", "short", *REASON],
    "there is no universe nobody": ["status", "--universe", "nobody"],
    "us_large_cap.short 99: there is no such version": ["promote", UNIVERSE, "short", "99", *REASON],
    "no previous champion to roll back to": ["roll-back", UNIVERSE, "long", *REASON],
    "served 2021-03-01": ["served", UNIVERSE, "2021-03-01"],
    "short served 2021-03-01": ["replay", UNIVERSE, "short", "2021-03-01"],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused_is_one_line_and_code_1(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(REFUSED[message]) == 1
    told = capsys.readouterr()
    assert message in told.err
    assert (told.err.count("\n"), told.out) == (1, "")


def test_a_move_by_hand_wants_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["promote", UNIVERSE, "short", "1", "--reason", " "])
    assert "say why" in capsys.readouterr().err


def test_a_human_moves_the_champion_and_the_journal_says_why(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promote", UNIVERSE, "short", "1", *REASON]) == 0
    assert f"{MODEL}: version 1 of {SESSION} serves; the gate had said: hold" in capsys.readouterr().out
    assert main(["roll-back", UNIVERSE, "short", "--reason", "it was better before"]) == 0
    assert f"{MODEL}: version 2 of 2022-03-02 serves again" in capsys.readouterr().out
    moves = registry_of(home).history(MODEL)[2:]
    assert [(move.kind, move.reason) for move in moves] == [
        ("promotion", "seen by a human"),
        ("roll_back", "it was better before"),
    ]


def test_a_tracking_server_has_a_ui_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    assert main(["mlflow"]) == 1
    assert "https://mlflow.example.org" in capsys.readouterr().err


def test_the_mlflow_ui_answers_on_loopback_and_shows_the_versions(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    log = tmp_path / "mlflow.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "regime_assets.cli", "mlflow", "--port", port],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 120
            while True:
                with contextlib.suppress(httpx.TransportError):
                    page = client.get("/")
                    break
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            assert "MLflow" in page.text
            models = client.get("/ajax-api/2.0/mlflow/registered-models/search").json()["registered_models"]
        assert [model["name"] for model in models] == [MODEL]
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the server and the worker that it started
        process.wait(timeout=30)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mlflow.log"]  # nothing is left where it was started


def test_quarantine_prints_every_refusal(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    from regime_assets.library.database import Database
    from regime_assets.library.market.findings import findings_frame, found
    from regime_assets.library.market.quarantine import Quarantine, Refusal

    assert main(["quarantine", UNIVERSE]) == 0
    assert "0 rows" in capsys.readouterr().out
    findings = findings_frame([found("complete", "error", "KO", SESSION, bound="a bar a session")])
    refusal = Refusal("sample", SESSION, findings)
    Quarantine(Database(home.database(UNIVERSE)), UNIVERSE).refuse(refusal, datetime(2022, 3, 2, tzinfo=UTC))
    assert main(["quarantine", UNIVERSE, "--symbol", "KO", "--session", SESSION.isoformat()]) == 0
    told = capsys.readouterr().out
    assert "1 rows" in told
    assert "never" in told
    assert main(["quarantine", UNIVERSE, "--symbol", "AAPL"]) == 0
    assert "0 rows" in capsys.readouterr().out
