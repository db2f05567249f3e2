from __future__ import annotations

import contextlib
import json
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
from regime_assets.cli.printing import say_table
from regime_assets.definitions import SHIPPED_UNIVERSES
from regime_assets.library.database_file import DatabaseFile
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
        built = home.bundle(UNIVERSE, "short", "design", session)
        sha256 = save_bundle(stored_only_bundle(session, version, universe=UNIVERSE), built)
        registry.register(built, MODEL, sha256, {"verdict": "hold"})
        registry.promote(MODEL, version, "test", "promote")
    return home


def registry_of(home: Home) -> Registry:
    return Registry(home.mlflow_uri, home.mlflow_artifacts, home.locks, DatabaseFile(home.database(UNIVERSE)))


@pytest.fixture(autouse=True)
def at_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(home.root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


BAR = ["--session", "2022-12-28"]
ORDERED = ["--by", "ann", "--rule", "ordered"]
REFUSED = {
    "there is no universe nowhere; there are us_large_cap": ["roll-back", "nowhere", "short", *REASON],
    "there is no universe nobody": ["status", "--universe", "nobody"],
    "us_large_cap.short 99: there is no such version": ["promote", UNIVERSE, "short", "99", *REASON],
    "no previous champion to roll back to": ["roll-back", UNIVERSE, "long", *REASON],
    "quarantine accept needs --by, --rule": ["quarantine", "accept", UNIVERSE, "--symbol", "KO", *BAR, *REASON],
    "holds no ordered of KO": ["quarantine", "accept", UNIVERSE, "--symbol", "KO", *BAR, *REASON, *ORDERED],
    "state the close": ["quarantine", "correct", UNIVERSE, "--symbol", "KO", *BAR, *REASON, "--by", "ann"],
    "served 2021-03-01": ["served", UNIVERSE, "2021-03-01"],
    "short served 2021-03-01": ["replay", UNIVERSE, "short", "2021-03-01"],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused_is_one_line_and_code_1(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(REFUSED[message]) == 1
    told = capsys.readouterr()
    assert message in told.err
    assert (told.err.count("\n"), told.out) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["first-run", "--sessions", "0"], "'0' is no count: write 1 or more"),
        (["first-run", "--sessions", "-2"], "'-2' is no count"),
        (["served", UNIVERSE, "28.12.2022"], "'28.12.2022' is no date: write YYYY-MM-DD, for example 2022-12-28"),
    ],
)
def test_what_is_no_command_line_is_code_2_and_says_what_to_write(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_fault_of_the_program_is_one_sentence_and_its_traceback_waits_for_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("regime_assets.cli.shown.open_universes", broken)
    assert main(["status"]) == 70
    told = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in told
    assert "--debug" in told
    assert "Traceback" not in told
    with pytest.raises(ZeroDivisionError):
        main(["status", "--debug"])


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_folder_of_universes_that_is_none_is_refused_everywhere(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / kind
    if kind == "file":
        named.write_text("")
    monkeypatch.setenv("REGIME_ASSETS_UNIVERSES", str(named))
    assert main(["status"]) == 1
    told = capsys.readouterr().err
    assert str(named) in told
    assert "name the folder of the YAML files" in told


def test_the_only_universe_needs_no_name_and_one_of_several_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGIME_ASSETS_UNIVERSES", str(tmp_path))
    assert main(["history"]) == 1
    assert "holds no universe" in capsys.readouterr().err
    shipped = (SHIPPED_UNIVERSES / "us_large_cap.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(shipped.replace("name: us_large_cap", "name: mine"))
    assert main(["history"]) == 0
    assert "mine/short, champions: none yet" in capsys.readouterr().out
    (tmp_path / "other.yaml").write_text(shipped)
    assert main(["history"]) == 1
    assert "say which with --universe mine or us_large_cap" in capsys.readouterr().err


def test_history_tells_who_served_when_and_a_script_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", UNIVERSE, "--horizon", "short"]) == 0
    told = capsys.readouterr().out
    assert f"{SESSION}  promotion  version 1: test" in told
    assert max(map(len, told.splitlines())) <= 80
    assert main(["history", "--json"]) == 0
    short = json.loads(capsys.readouterr().out)["horizons"]["short"]["champions"]
    assert [move["version"] for move in short[:2]] == [1, 2]


def test_status_before_the_first_session_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    told = capsys.readouterr().out
    assert "no session was materialized yet" in told
    assert "regime-assets first-run --universe us_large_cap" in told
    assert main(["status", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["universe"], found["session"]) == (UNIVERSE, None)


def test_a_table_that_is_too_wide_is_read_downwards_and_no_word_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pandas as pd

    rows = pd.DataFrame({"rule": ["complete"], "why": ["KO has no bar on 2022-03-02, " * 4], "held back": [""]})
    monkeypatch.setenv("COLUMNS", "200")
    say_table(rows, "held back")
    assert "rule      why" in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "60")
    say_table(rows, "held back")
    told = capsys.readouterr().out.splitlines()
    assert told[2].split() == ["rule", "complete"]
    assert max(map(len, told)) <= 60
    assert all("2022-03-02," in line or "2022-" not in line for line in told)


def test_the_command_says_its_version_and_completes_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("regime-assets ")
    assert main(["completion", "bash"]) == 0
    assert "history" in capsys.readouterr().out


def test_the_ui_refuses_a_port_that_is_taken_and_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["ui", "--port", str(port)]) == 1
    told = capsys.readouterr()
    assert f"regime-assets ui --port {port + 1}" in told.err
    assert told.out == "", "nothing was announced"


def test_a_move_by_hand_wants_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["promote", UNIVERSE, "short", "1", "--reason", " "])
    assert "say it in words" in capsys.readouterr().err


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
    from regime_assets.library.database_file import DatabaseFile
    from regime_assets.library.market.findings import findings_frame, found
    from regime_assets.library.market.quarantine import Quarantine, Refusal

    assert main(["quarantine", UNIVERSE]) == 0
    assert "0 rows" in capsys.readouterr().out
    findings = findings_frame([found("complete", "error", "KO", SESSION, bound="a bar a session")])
    refusal = Refusal("sample", SESSION, findings)
    Quarantine(DatabaseFile(home.database(UNIVERSE)), UNIVERSE).refuse(refusal, datetime(2022, 3, 2, tzinfo=UTC))
    assert main(["quarantine", UNIVERSE, "--symbol", "KO", "--session", SESSION.isoformat()]) == 0
    told = capsys.readouterr().out
    assert "1 rows" in told
    assert "never" in told
    assert main(["quarantine", UNIVERSE, "--symbol", "AAPL"]) == 0
    assert "0 rows" in capsys.readouterr().out
