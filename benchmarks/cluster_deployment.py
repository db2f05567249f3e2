"""A deployment on this machine: its servers, Dagster's processes and two workers, asked as the UI asks."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from cluster_processes import Gate, Processes, broker_program, free_port, listens, python, serves

ROOT = Path(__file__).parents[1]
BUCKET = "desk"
MOST_MINUTES = 45.0
MOST_LAUNCHES = 6


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
        command = python("-m", "regime_assets.ui.daemon", "run", "--workspace", str(workspace))
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
