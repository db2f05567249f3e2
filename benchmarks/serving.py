"""What serving costs, and what a promotion costs those who are being served.

    python benchmarks/serving.py [--requests 2000] [--promotions 100]

Prints a markdown table: the registry (first start of its SQLite store, registration, promotion), the bundle (cold load
to first answer, memory), the service (cold start to first answer, latency over HTTP on loopback), and requests that
failed or mixed two champions while promotions were under way and clients kept asking at a bounded rate.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.policies.networks import Networks
from regime_assets.library.production.bundle import Bundle, save_bundle
from regime_assets.library.production.registry import Registry
from regime_assets.library.production.signal import combine, score
from regime_assets.library.serving.onnx_networks import OnnxMissingError, require_onnx, with_onnx_networks
from regime_assets.library.serving.published_signal import PublishedSignal, publish_signal
from regime_assets.library.serving.service import TOKEN_VARIABLE
from regime_assets_tests.library.production.bundles import random_bundle, random_features

MODEL = "us.short"
TOKEN = "benchmark-token-of-this-run"
ROWS = 252  # one year of sessions, as the regime filter would like them
CLIENTS, PAUSE_SECONDS, LOAD_ROWS = 4, 0.1, 60  # the bounded load: at most 40 requests a second

LOAD_PROGRAM = r"""
import re, sys, time
started = time.perf_counter()
from pathlib import Path
from regime_assets.library.production.bundle import load_bundle
from regime_assets.library.production.signal import score
bundle = load_bundle(Path(sys.argv[1]), sys.argv[2])
import numpy, pandas
names = list(bundle.regimes.vae.feature_names)
index = pandas.bdate_range(end=bundle.manifest.session, periods=252)
score(bundle, pandas.DataFrame(numpy.ones((252, len(names))), index=index, columns=names))
elapsed = time.perf_counter() - started
print(elapsed, int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


def bundle_of(seed: int) -> Bundle:
    """A bundle of the shipped design's shape with random weights: five linear policies, and the policy serves."""
    bundle = networks_bundle(seed)
    width = len(bundle.policy.centre)
    weights = np.random.default_rng(seed).normal(0.0, 0.1, (5, width + 1, 1)).astype(np.float32)
    weights[:, width:] = 0.0  # the shipped algorithm's decisions do not depend on the one before
    return replace(bundle, policy=replace(bundle.policy, actor=Networks((weights,), (np.zeros((5, 1), np.float32),))))


def networks_bundle(seed: int) -> Bundle:
    """The same with two hidden layers, as sampled algorithms train them: each decision reads the one before."""
    return random_bundle(seed, width=32, sequence_length=5, members=5, serves="policy")


def seconds(act: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def percentiles(samples: list[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    p50, p99 = np.percentile(np.asarray(samples) * 1e3, [50, 99])
    return f"{p50:.2f} / {p99:.2f} ms"


@contextlib.contextmanager
def running_service(home: Path) -> Iterator[tuple[httpx.Client, psutil.Process, float]]:
    """The service as its own process; gives a client, it, and the time from the start to the first health answer."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    module = "regime_assets.library.serving.service"
    command = [sys.executable, "-m", module, "--home", str(home), "--model", MODEL, "--port", port]
    command += ["--poll-seconds", "0.05"]  # so that hardly a promotion goes unseen
    started = time.perf_counter()
    with (home / "service.log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | {TOKEN_VARIABLE: TOKEN}, stdout=log, stderr=log)
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").status_code == 200:
                        break
                if process.poll() is not None:
                    raise RuntimeError((home / "service.log").read_text())
                time.sleep(0.005)
            yield client, psutil.Process(process.pid), time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def window(bundle: Bundle, n_rows: int) -> dict[str, Any]:
    """A request body."""
    features = random_features(bundle, n_rows)
    return {
        "sessions": [str(session.date()) for session in features.index],
        "names": list(features.columns),
        "rows": features.round(6).to_numpy().tolist(),
    }


def latency(client: httpx.Client, service: psutil.Process, requests: int, body: dict[str, Any] | None) -> str:
    """One client on one connection, that of Python's standard library: `httpx` itself takes as long as an answer.

    Told beside it is the CPU that the service took for a request, which other programs on the machine do not change.
    """
    headers = {"Authorization": client.headers["Authorization"], "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=30)
    samples: list[float] = []
    before = service.cpu_times()
    for _ in range(requests):
        started = time.perf_counter()
        connection.request("GET" if content is None else "POST", "/signal", content, headers)
        answer = connection.getresponse()
        answer.read()
        samples.append(time.perf_counter() - started)
        assert answer.status == 200, answer.status
    connection.close()
    after = service.cpu_times()
    spent = (after.user + after.system - before.user - before.system) / requests
    return f"{percentiles(samples[requests // 10 :])}, {spent * 1e3:.2f} ms of CPU"


def promote_under_load(
    client: httpx.Client, registry: Registry, promotions: int, exposures: dict[int, float], body: dict[str, Any]
) -> tuple[Counter[str], list[float], list[float]]:
    """Promotions in a row while clients ask; outcomes of the requests, their latencies, and promotion times."""
    outcomes: Counter[str] = Counter()
    latencies: list[float] = []
    finished = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=30) as own:
            while not finished.is_set():
                started = time.perf_counter()
                try:
                    answer = own.post("/signal", json=body)
                except httpx.TransportError as error:
                    outcomes[type(error).__name__] += 1
                    continue
                latencies.append(time.perf_counter() - started)
                if answer.status_code != 200:
                    outcomes[str(answer.status_code)] += 1
                else:
                    fields = answer.json()
                    right = fields["signal"]["exposure"] == exposures[fields["model_version"]]
                    outcomes["answered" if right else "mixed"] += 1
                time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    versions = list(exposures)
    times = [
        seconds(lambda n=number: registry.promote(MODEL, versions[(n + 1) % 2], "benchmark", "v"))
        for number in range(promotions)
    ]
    time.sleep(0.5)  # the last champion arrives
    finished.set()
    for thread in threads:
        thread.join()
    return outcomes, latencies, times


def measure_registry(home: Home, registry: Registry, bundles: list[Bundle]) -> list[tuple[str, str]]:
    """Registers both bundles as versions 1 and 2 and promotes the first."""
    importing = seconds(lambda: __import__("mlflow.tracking"))
    starting = seconds(lambda: registry.champion(MODEL))
    built = home.root / "built"
    saving, registering = [], []
    for bundle in bundles:
        saving.append(seconds(lambda b=bundle: save_bundle(b, built)))
        registering.append(seconds(lambda b=bundle: registry.register(built, MODEL, b.sha256(), {})))
    size = sum(file.stat().st_size for file in built.rglob("*") if file.is_file())
    registry.promote(MODEL, 1, "benchmark", "v")
    return [
        ("import of mlflow", f"{importing:.2f} s"),
        ("first start of the SQLite store", f"{starting:.2f} s"),
        ("bundle: size, saving", f"{size / 1024:.0f} KB, {saving[-1] * 1e3:.0f} ms"),
        ("registration", f"{registering[-1] * 1e3:.0f} ms"),
    ]


def measure_bundle(registry: Registry, bundle: Bundle) -> list[tuple[str, str]]:
    """Cold load in a fresh process, best of three, and scoring in this one."""
    stored = registry.versions(MODEL)[0]
    command = [sys.executable, "-c", LOAD_PROGRAM, str(stored.path), stored.sha256]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3)]
    elapsed, resident = min(tuple(map(float, run.split())) for run in runs)
    rows = [("cold load to first answer, in a process", f"{elapsed:.2f} s, {resident:.0f} MB resident")]
    networks = networks_bundle(1)
    runtimes = {"NumPy": bundle, "NumPy, policies that read their position": networks}
    with contextlib.suppress(OnnxMissingError):
        require_onnx()
        runtimes["ONNX Runtime, the same"] = with_onnx_networks(networks)
    for n_rows in (1, ROWS):
        features = random_features(bundle, n_rows)
        for name, served in runtimes.items():
            scored = [seconds(lambda b=served, f=features: score(b, f)) for _ in range(330)]
            rows.append((f"scoring {n_rows} sessions, in process, {name}", percentiles(scored[30:])))
    return rows


def measure_service(
    home: Home, registry: Registry, bundles: list[Bundle], options: argparse.Namespace
) -> list[tuple[str, str]]:
    """Over HTTP: cold start, latency, and what promotions do to those who ask."""
    body = window(bundles[0], ROWS)
    load = window(bundles[0], LOAD_ROWS)
    features = random_features(bundles[0], LOAD_ROWS).round(6)
    exposures = {version: score(bundle, features).exposure for version, bundle in enumerate(bundles, start=1)}
    signal = combine({"short": score(bundles[0], features)})
    publish_signal(home.mlflow_artifacts, PublishedSignal("us", {"short": 1}, datetime.now(UTC), signal))
    with running_service(home.root) as (client, service, up):
        first = up + seconds(lambda: client.post("/signal", json=body).raise_for_status())
        rows = [
            ("service: cold start to first answer", f"{first:.2f} s"),
            ("GET /signal", latency(client, service, options.requests, None)),
            ("POST /signal, 1 session", latency(client, service, options.requests, window(bundles[0], 1))),
            (f"POST /signal, {ROWS} sessions", latency(client, service, options.requests // 4, body)),
        ]
        outcomes, latencies, times = promote_under_load(client, registry, options.promotions, exposures, load)
        failed = sum(count for outcome, count in outcomes.items() if outcome != "answered")
        counter = "regime_assets_champion_reloads_total "
        reloads = next(line for line in client.get("/metrics").text.splitlines() if line.startswith(counter))
    return [
        *rows,
        (
            f"requests during {options.promotions} promotions, {CLIENTS} clients",
            f"{outcomes['answered']} answered, {failed} failed or mixed",
        ),
        ("their latency", percentiles(latencies)),
        ("promotion", percentiles(times)),
        ("champions taken over meanwhile", reloads.removeprefix(counter)),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--promotions", type=int, default=100)
    options = parser.parse_args()
    bundles = [bundle_of(seed) for seed in (1, 2)]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        registry = Registry(
            f"sqlite:///{home.root / 'mlflow.db'}", home.mlflow_artifacts, home.locks, DatabaseFile(home.database("us"))
        )
        rows = [
            *measure_registry(home, registry, bundles),
            *measure_bundle(registry, bundles[0]),
            *measure_service(home, registry, bundles, options),
        ]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| measure | p50 / p99, or one value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
