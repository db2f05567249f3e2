"""What shared tables cost beside a file: a partition's write and read, and whole sessions, whose answers must be equal.

    REGIME_ASSETS_CATALOG=postgresql://… REGIME_ASSETS_STORAGE=s3://… python benchmarks/lake.py [--sessions 3]

Prints two markdown tables. Sessions run in processes of their own, the first ones too; the CPU time is the process's,
without PostgreSQL's. Tables of earlier calls are left alone: each call has a universe of its own name.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from regime_assets.library.database import Database
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.open_database import universe_database
from regime_assets.library.shared_storage import CATALOG_VARIABLE, STORAGE_VARIABLE

ROWS = 2000
TIMES = 20
DECIDED = ("decisions", "daily_signal", "judgements", "drift_report", "regime_path", "live_performance")


class Cost(NamedTuple):
    """Median wall seconds, and mean CPU seconds of this process."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall * 1000:.1f} | {self.cpu * 1000:.1f}"


def operations(database: Database) -> dict[str, Cost]:
    """What each operation costs, by its name."""
    import numpy as np
    import pandas as pd

    many = pd.DataFrame({"position": range(ROWS), "value": np.random.default_rng(1).normal(size=ROWS)})
    one = many.head(1)
    found = {"first write of a process": _timed(1, lambda _: database.replace_partition("warm", {"k": 0}, one))}
    found[f"replace {ROWS:,} rows"] = _timed(TIMES, lambda _: database.replace_partition("many", {"k": 1}, many))
    found["replace one row"] = _timed(TIMES, lambda _: database.replace_partition("one", {"k": 1}, one))

    def read(number: int) -> None:
        database.query(f"SELECT * FROM many WHERE k = 1 AND {number} = {number}")  # no answer is remembered

    found[f"read {ROWS:,} rows"] = _timed(TIMES, read)
    found["read them again"] = _timed(TIMES, lambda _: database.read_partition("many", {"k": 1}))
    return found


def _timed(times: int, call: Callable[[int], object]) -> Cost:
    seconds: list[float] = []
    cpu = time.process_time()
    for number in range(times):
        begin = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - begin)
    return Cost(statistics.median(seconds), (time.process_time() - cpu) / times)


def sessions_of(folder: str, universe: str, number: int) -> None:
    """Materialize sessions in this process; print the last one's CPU and wall seconds, and what was decided."""
    import dagster as dg
    from session import materialize

    from regime_assets.definitions import build_definitions
    from regime_assets.instance import prepare_dagster_home
    from regime_assets.library.universe import load_universe
    from regime_assets.library.workspace import Workspace

    home = Home(Path(folder) / "home")
    os.environ["REGIME_ASSETS_HOME"] = str(home.root)
    os.environ.update(prepare_dagster_home(home))
    file = Path(folder) / "universes" / f"{universe}.yaml"
    workspace = Workspace(load_universe(file), home)
    last = workspace.universe.last_partition or date.today()
    days = workspace.calendar.sessions(workspace.universe.first_partition, last)[-number:]
    definitions = build_definitions(home, file.parent)
    cpu = wall = 0.0
    with dg.DagsterInstance.get() as instance:
        for day in days:
            cpu, wall = time.process_time(), time.perf_counter()
            materialize(universe, day, instance, definitions)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    decided = {
        table: workspace.database.query(f"SELECT * FROM {table} ORDER BY ALL").to_json(double_precision=15)
        for table in DECIDED
    }
    hashes = {
        f"{horizon} {day} {kind}": record.sha256
        for horizon in ("short", "long")
        for day in days
        for kind, record in workspace.lineage(horizon).of_session(day).items()
    }
    print(json.dumps({"cpu": cpu, "wall": wall, "answers": {**decided, **hashes}}))


def ran(source: Path, universe: str, number: int, shared: bool) -> dict[str, object]:
    """The same sessions of the same universe in a process of its own, in a file or in shared tables."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "universes").mkdir()
        text = source.read_text().replace(f"name: {source.stem}", f"name: {universe}")
        (Path(folder) / "universes" / f"{universe}.yaml").write_text(text)
        places = () if shared else (CATALOG_VARIABLE, STORAGE_VARIABLE)
        environment = {name: value for name, value in os.environ.items() if name not in places}
        command = [sys.executable, __file__, "--in-process", folder, universe, "--sessions", str(number)]
        answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, object] = json.loads(answer.stdout.splitlines()[-1])
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--sessions", type=int, default=3, help="of which the last is measured; 0: none")
    parser.add_argument("--in-process", nargs=2, metavar=("FOLDER", "UNIVERSE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.in_process:
        sessions_of(*chosen.in_process, chosen.sessions)
        return
    if not os.environ.get(CATALOG_VARIABLE):
        sys.exit(f"set {CATALOG_VARIABLE} and {STORAGE_VARIABLE} to the server and the storage to be measured")
    universe = f"benchmark_{uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory() as folder:
        file = operations(DatabaseFile(Path(folder) / "file.duckdb"))
        lake = operations(universe_database(Home(Path(folder)), f"{universe}_rows"))
    print("| operation, ms | DuckDB file | CPU | DuckLake on PostgreSQL | CPU |\n|---|---|---|---|---|")
    for name, cost in file.items():
        print(f"| {name} | {cost} | {lake[name]} |")
    print(f"\nload {os.getloadavg()[0]:.1f}")
    if not chosen.sessions:
        return
    from regime_assets.definitions import universes_folder

    source = universes_folder() / "us_large_cap.yaml"
    one, other = (ran(source, universe, chosen.sessions, shared) for shared in (False, True))
    print("\n| a session | DuckDB file | DuckLake on PostgreSQL |\n|---|---|---|")
    for name in ("cpu", "wall"):
        print(f"| {name} s | {one[name]:.1f} | {other[name]:.1f} |")
    equal = one["answers"] == other["answers"]
    print(f"\nanswers equal: {equal}; load {os.getloadavg()[0]:.1f}")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
