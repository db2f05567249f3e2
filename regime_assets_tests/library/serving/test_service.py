from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import regime_assets
from regime_assets.library.production.bundle import Bundle, BundleError, save_bundle
from regime_assets.library.production.champion_pointer import ChampionPointer, write_pointer
from regime_assets.library.production.signal import Signal, combine, score
from regime_assets.library.regimes.explanation import pulls
from regime_assets.library.serving.named_components import NamedComponents
from regime_assets.library.serving.published_signal import (
    FollowedSignal,
    PublishedSignal,
    PublishedSignalError,
    publish_signal,
    read_published_signal,
)
from regime_assets.library.serving.served_champion import PointedChampion, ServedChampion
from regime_assets.library.serving.service import TOKEN_VARIABLE, ServiceError, create_service, main
from regime_assets.library.serving.service_guard import LARGEST_BODY
from regime_assets_tests.library.production.bundles import SESSION, random_bundle, random_features

MODEL = "us.short"
TOKEN = "a-token-of-enough-characters"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def serve(root: Path, bundle: Bundle, version: int) -> str:
    """Store a bundle and let the pointer name it, as a promotion does."""
    sha256 = bundle.sha256()
    save_bundle(bundle, root / MODEL / sha256)
    write_pointer(root, ChampionPointer(MODEL, version, sha256, bundle.manifest.session))
    return sha256


def window(features: pd.DataFrame) -> dict[str, Any]:
    return {
        "sessions": [str(session.date()) for session in features.index],
        "names": list(features.columns),
        "rows": features.to_numpy().tolist(),
    }


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(seed=1)


@pytest.fixture(scope="module")
def features(bundle: Bundle) -> pd.DataFrame:
    return random_features(bundle)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    root = tmp_path_factory.mktemp("artifacts")
    serve(root, bundle, version=1)
    return root


def service_of(root: Path) -> FastAPI:
    return create_service(PointedChampion(root, MODEL), TOKEN, FollowedSignal(root, "us"), poll_seconds=0.01)


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[TestClient]:
    with TestClient(service_of(root)) as client:
        yield client


def test_it_answers_as_the_library_does(client: TestClient, bundle: Bundle, features: pd.DataFrame) -> None:
    answer = client.post("/signal", headers=HEADERS, json=window(features))
    assert answer.status_code == 200
    assert Signal.from_document(answer.json()["signal"]) == score(bundle, features)
    assert answer.json()["bundle_sha256"] == bundle.sha256()
    regime = client.post("/regime", headers=HEADERS, json=window(features)).json()
    assert regime["regime"] == score(bundle, features).regime
    assert regime["session"] == SESSION.isoformat()
    path = bundle.regimes.infer(features)
    why = pulls(bundle.regimes, features, path.states)
    assert why is not None
    assert regime["why"] == why.iloc[-1].to_dict()


@pytest.mark.parametrize("path", ["/signal", "/regime", "/metrics", "/openapi.json", "/nowhere"])
@pytest.mark.parametrize(
    "headers",
    [{}, *({"Authorization": text} for text in ("Bearer ", TOKEN, f"Bearer {TOKEN}x", "Bearer ä".encode()))],
)
def test_without_the_token_nothing_is_told(client: TestClient, path: str, headers: dict[str, Any]) -> None:
    for answer in (client.get(path, headers=headers), client.post(path, headers=headers, content=b"x" * 10**6)):
        assert answer.status_code == 401
        assert set(answer.json()) == {"detail"}


def test_health_needs_no_token_and_says_nothing_else(client: TestClient) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_large_body_is_refused_before_it_is_parsed(client: TestClient) -> None:
    declared = client.post("/signal", headers=HEADERS, content=b"[" * (LARGEST_BODY + 1))
    chunked = client.post("/signal", headers=HEADERS, content=iter([b"[" * 1000] * 100))
    lying = client.post("/signal", headers=HEADERS | {"Content-Length": "-5"}, content=b"{}")
    assert [declared.status_code, chunked.status_code, lying.status_code] == [413, 413, 413]
    assert client.post("/signal", headers=HEADERS, content=b"[" * LARGEST_BODY).status_code in (400, 422)


def broken(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def apply(body: dict[str, Any]) -> dict[str, Any]:
        change(body)
        return body

    return apply


BROKEN = {
    "nan": broken(lambda body: body["rows"][0].__setitem__(0, math.nan)),
    "infinity": broken(lambda body: body["rows"][-1].__setitem__(3, -math.inf)),
    "text": broken(lambda body: body["rows"][0].__setitem__(0, "1.0")),
    "null": broken(lambda body: body["rows"][0].__setitem__(0, None)),
    "boolean": broken(lambda body: body["rows"][0].__setitem__(0, True)),
    "short row": broken(lambda body: body["rows"][4].pop()),
    "long row": broken(lambda body: body["rows"][4].append(0.0)),
    "missing row": broken(lambda body: body["rows"].pop()),
    "no rows": broken(lambda body: body.update(rows=[], sessions=[])),
    "other names": broken(lambda body: body["names"].reverse()),
    "missing name": broken(lambda body: body["names"].pop()),
    "unsorted": broken(lambda body: body["sessions"].reverse()),
    "twice": broken(lambda body: body["sessions"].__setitem__(1, body["sessions"][0])),
    "no date": broken(lambda body: body["sessions"].__setitem__(1, "yesterday")),
    "before all markets": broken(lambda body: body["sessions"].__setitem__(0, "0001-01-01")),
    "far future": broken(lambda body: body["sessions"].__setitem__(-1, "9999-12-31")),
    "extra": broken(lambda body: body.update(model="../x")),
    "missing key": broken(lambda body: body.pop("names")),
    "list": lambda _: [],  # type: ignore[dict-item]
}


@pytest.mark.parametrize("fault", BROKEN)
def test_input_that_does_not_fit_is_unprocessable(client: TestClient, features: pd.DataFrame, fault: str) -> None:
    body = json.dumps(BROKEN[fault](window(features)))  # writes NaN and Infinity, as careless clients do
    answer = client.post("/signal", headers=HEADERS, content=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_number_beyond_the_floats_is_unprocessable(client: TestClient, features: pd.DataFrame) -> None:
    for number in ("1e999", "9" * 400):
        body = json.dumps(window(features)).replace('"rows": [[', f'"rows": [[{number}, ', 1)
        answer = client.post("/signal", headers=HEADERS, content=body)
        assert answer.status_code == 422
        assert "999" not in answer.text  # the input is not echoed


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.fixed_dictionaries({"sessions": JSON_VALUES, "names": JSON_VALUES, "rows": JSON_VALUES}) | JSON_VALUES


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50))
def test_no_body_makes_it_fail(client: TestClient, body: bytes) -> None:
    assert client.post("/signal", headers=HEADERS, content=body).status_code in (400, 422)


def test_it_follows_the_pointer_and_keeps_the_old_champion_when_the_new_one_is_unsound(
    tmp_path: Path, features: pd.DataFrame
) -> None:
    bundles = [random_bundle(seed=seed) for seed in (1, 2, 3)]
    serve(tmp_path, bundles[0], version=1)
    champion = ServedChampion(PointedChampion(tmp_path, MODEL), poll_seconds=60)
    champion.refresh()
    first = champion.current
    champion.refresh()
    assert champion.current is first

    damaged = serve(tmp_path, bundles[1], version=2)
    arrays = tmp_path / MODEL / damaged / "vae" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    champion.refresh()
    assert champion.current is first
    assert champion.failures == 1
    (tmp_path / MODEL / "champion.json").write_text("{")
    champion.refresh()
    assert champion.current is first

    serve(tmp_path, bundles[2], version=3)
    champion.refresh()
    assert champion.current is not None
    assert champion.current.pointer.version == 3
    assert score(champion.current.bundle, features) == score(bundles[2], features)
    assert (champion.reloads, champion.failures) == (2, 2)


def test_a_promotion_reaches_a_running_service(tmp_path: Path, features: pd.DataFrame) -> None:
    with TestClient(service_of(tmp_path)) as client:
        assert client.get("/health").status_code == 503
        assert client.post("/signal", headers=HEADERS, json=window(features)).status_code == 503
        sha256 = serve(tmp_path, random_bundle(seed=4), version=7)
        for _ in range(500):
            if client.get("/health").status_code == 200:
                break
        answer = client.post("/signal", headers=HEADERS, json=window(features))
        assert (answer.json()["model_version"], answer.json()["bundle_sha256"]) == (7, sha256)


def test_the_published_signal_is_the_newest_sessions(root: Path, client: TestClient, bundle: Bundle) -> None:
    def published(session: date) -> PublishedSignal:
        short = replace(score(bundle, random_features(bundle)), session=session)
        long = replace(score(random_bundle(seed=2), random_features(bundle)), session=session)
        combined = combine({"short": short, "long": long})
        return PublishedSignal("us", {"short": 1, "long": 4}, datetime(2022, 3, 1, 22, tzinfo=UTC), combined)

    assert client.get("/signal", headers=HEADERS).status_code == 404
    assert publish_signal(root, published(SESSION))
    assert not publish_signal(root, published(date(2022, 2, 1)))
    assert read_published_signal(root, "us") == published(SESSION)
    answer = client.get("/signal", headers=HEADERS).json()
    assert answer == json.loads(json.dumps(published(SESSION).to_document()))
    regime = client.get("/regime", headers=HEADERS).json()
    assert regime["regime"] == published(SESSION).signal.regime
    assert set(regime["posteriors"]) == {"short", "long"}
    figures = client.get("/metrics", headers=HEADERS).text
    age = float(re.findall(r"^regime_assets_signal_age_seconds (.*)$", figures, re.MULTILINE)[0])
    assert age == pytest.approx((datetime.now(UTC) - published(SESSION).decided_at).total_seconds(), abs=60)
    (root / "us.signal.json").write_text("{}")
    assert "regime_assets_signal_age_seconds" not in client.get("/metrics", headers=HEADERS).text
    with pytest.raises(PublishedSignalError, match=r"us\.signal\.json"):
        read_published_signal(root, "us")
    assert client.get("/signal", headers=HEADERS).status_code == 503
    assert publish_signal(root, published(date(2022, 2, 1)))  # a spoiled copy keeps nobody from publishing


def test_metrics_count_requests_without_a_label_per_path(client: TestClient, bundle: Bundle) -> None:
    for number in range(3):
        client.get(f"/scan/{number}", headers=HEADERS)
    text = client.get("/metrics", headers=HEADERS).text
    assert 'path="other",status="404"} 3' in text
    assert "/scan" not in text
    assert f'version="1",sha256="{bundle.sha256()}"' in text
    for line in text.splitlines():
        assert line.startswith("# TYPE ") or float(line.rsplit(" ", 1)[1]) >= 0


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for path in ("/signal", "/health", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"


def test_logs_hold_neither_token_nor_query_nor_body(
    client: TestClient, features: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="regime_assets"):
        client.post("/signal?key=hidden-in-query", headers=HEADERS, json=window(features))
        client.get("/signal", headers={"Authorization": "Bearer wrong-secret"})
        client.get("/line%0Abreak", headers=HEADERS)
    assert len(caplog.records) == 3
    assert all("\n" not in message for message in caplog.messages)
    text = "".join(caplog.messages)
    assert not [s for s in (TOKEN, "hidden-in-query", "wrong-secret", str(features.iat[0, 0])) if s in text]


@pytest.mark.parametrize("token", ["", "short"])
def test_it_does_not_start_without_a_real_token(root: Path, token: str) -> None:
    with pytest.raises(ServiceError, match="REGIME_ASSETS_TOKEN") as raised:
        create_service(PointedChampion(root, MODEL), token)
    assert "short" not in str(raised.value)


def test_the_program_serves_on_loopback_without_torch_mlflow_or_the_database(
    tmp_path: Path, features: pd.DataFrame, bundle: Bundle
) -> None:
    serve(tmp_path / "mlflow_artifacts", bundle, version=1)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = (
        "import sys, atexit\n"
        "heavy = {'torch', 'mlflow', 'duckdb', 'sklearn', 'stable_baselines3', 'matplotlib', 'dagster'}\n"
        "atexit.register(lambda: print('heavy:', sorted(heavy & set(sys.modules)), flush=True))\n"
        "from regime_assets.library.serving.service import main\n"
        f"main(['--home', {str(tmp_path)!r}, '--model', {MODEL!r}, '--port', '{port}', '--poll-seconds', '0.02'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {TOKEN_VARIABLE: TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=HEADERS) as client:
            wait_for(client, process)
            answer = client.post("/signal", json=window(features))
            assert Signal.from_document(answer.json()["signal"]) == score(bundle, features)
            with contextlib.suppress(httpx.TransportError):  # the connection may close before all is sent
                assert client.post("/signal", content=b"[" * 10_000_000).status_code == 413
            assert client.get("/health", headers={"x-long": "x" * 20_000}).status_code == 431
            serve(tmp_path / "mlflow_artifacts", random_bundle(seed=5), version=2)
            deadline = time.monotonic() + 30
            while client.post("/regime", json=window(features)).json()["model_version"] != 2:
                assert time.monotonic() < deadline
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert "heavy: []" in output
    assert TOKEN not in output


def wait_for(client: httpx.Client, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health").status_code == 200:
                return
        time.sleep(0.05)
    pytest.fail(f"the service did not come up: {process.communicate()[0] if process.poll() is not None else ''}")


def test_the_program_refuses_to_start_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(SystemExit, match=TOKEN_VARIABLE):
        main(["--home", str(tmp_path), "--model", MODEL])
    with pytest.raises(SystemExit, match="does not match"):
        main(["--home", str(tmp_path), "--model", "../x"])


def test_the_program_says_what_the_onnx_runtime_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.setattr("regime_assets.library.serving.onnx_networks.find_spec", lambda _: None)
    with pytest.raises(SystemExit, match=r"onnx and onnxruntime not installed"):
        main(["--home", str(tmp_path), "--model", MODEL, "--runtime", "onnx"])


def test_a_champion_is_prepared_once_before_it_serves(root: Path, features: pd.DataFrame) -> None:
    prepared: list[Bundle] = []

    def prepare(bundle: Bundle) -> Bundle:
        prepared.append(bundle)
        return replace(bundle, manifest=replace(bundle.manifest, serves="policy"))

    load = PointedChampion(root, MODEL, prepare)
    first = load()
    assert first is not None
    assert load() is first
    assert len(prepared) == 1
    assert score(first.bundle, features) != score(prepared[0], features)


def test_a_bundle_with_a_component_of_the_users_own_serves_when_the_universes_file_names_it(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_nets.py").write_text(
        "from regime_assets.library.encoders.mlp_vae import MlpVae\n"
        "from regime_assets.library.encoders.settings import MlpVaeSettings\n"
        "class Net(MlpVae):\n    Settings, version = MlpVaeSettings, 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    regimes = replace(bundle.regimes, vae=replace(bundle.regimes.vae, use="their_nets:Net"))
    serve(tmp_path, replace(bundle, regimes=regimes), version=1)
    file = tmp_path / "universes" / "us.yaml"
    file.parent.mkdir()
    shipped = (Path(regime_assets.__file__).parent / "universes" / "us_large_cap.yaml").read_text()
    file.write_text(shipped.replace("name: us_large_cap", "name: us"))
    load = PointedChampion(tmp_path, MODEL, allowed=NamedComponents(file.parent, "us"))
    with pytest.raises(BundleError, match="made with their_nets:Net, which the universe does not name"):
        load()
    assert "their_nets" not in sys.modules
    file.write_text(file.read_text() + 'challengers:\n  theirs: {encoder: {use: "their_nets:Net"}}\n')
    loaded = load()
    assert loaded is not None
    assert loaded.bundle.regimes.vae.use == "their_nets:Net"
