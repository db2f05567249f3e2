"""What a session of a backfill costs, by its position: sessions of a universe through the real daemon.

    python benchmarks/backfill.py [--sessions 63] [--universe us_large_cap]

Starts `regime-assets ui` on a data folder of its own, asks for a backfill of the universe's last sessions as its UI
does, and prints a row a run: wall clock and CPU seconds of all processes together (code server, daemon, web server,
runs) from the end of the run before to its own, and what the data folder has grown by. The first run loads the prices
and walks through two years besides. Each later chunk is two runs, because Dagster gives prices, which depend on
themselves, a run of their own. Below stands what 1,260 sessions come to by these figures, which is an extrapolation
unless 1,260 were asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

FIVE_YEARS = 1260
CHUNKS_OF_A_SLOPE = 10
"""Fewer say more of the months that they hold than of their position."""
START_SECONDS = 180
POLL_SECONDS = 1.0
BY_HAND = ("walk_forward", "champion")
"""Assets that a backfill of all others leaves out: asked for by hand, or told by a promotion."""

ASSETS = "{assetNodes{assetKey{path}}}"
LAUNCH = """mutation($asked: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $asked) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
PROGRESS = """query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill {
      status runs(limit: 1000) { id status endTime assetSelection { path } tags { key value } }
    }
  }
}"""


class Spent(NamedTuple):
    """What had been spent at a moment."""

    wall: float
    cpu: float
    megabytes: float


class Run(NamedTuple):
    """One run of the backfill: its sessions and assets, and what was spent since the end of the run before."""

    first: date
    last: date
    sessions: int
    assets: int
    spent: Spent


class Served:
    """`regime-assets ui` on a data folder, asked over GraphQL."""

    def __init__(self, home: Path, process: psutil.Process, port: int) -> None:
        self._home, self._process = home, process
        self._address = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data that a query answers."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def spent(self) -> Spent:
        """By all processes, those that ended among them, and by the data folder."""
        cpu = 0.0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                cpu += sum(process.cpu_times()[:4])  # own and reaped children's, user and system
            except psutil.Error:
                continue
        size = sum(file.stat().st_size for file in self._home.rglob("*") if file.is_file() and not file.is_symlink())
        return Spent(time.monotonic(), cpu, size / 1e6)


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    """The UI and its daemon."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "regime_assets.cli", "ui", "--port", str(port)]
    with (home.parent / "ui.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "REGIME_ASSETS_HOME": str(home)})
        served = Served(home, psutil.Process(process.pid), port)
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    served.ask(ASSETS)
                    break
                except OSError:
                    assert time.monotonic() < deadline, "the UI does not answer"
                    time.sleep(1.0)
            yield served
        finally:
            process.terminate()
            process.wait()


def backfilled(served: Served, universe: str, sessions: list[date]) -> list[Run]:
    """The runs of a backfill over sessions, printed as they end."""
    keys = [node["assetKey"]["path"] for node in served.ask(ASSETS)["assetNodes"]]
    assets = [{"path": path} for path in keys if path[0] == universe and path[-1] not in BY_HAND]
    asked = {"assetSelection": assets, "partitionNames": [day.isoformat() for day in sessions]}
    begin = served.spent()
    launched = served.ask(LAUNCH, asked=asked)["launchPartitionBackfill"]
    assert "backfillId" in launched, launched
    seen: set[str] = set()
    runs: list[Run] = []
    while True:
        state = served.ask(PROGRESS, id=launched["backfillId"])["partitionBackfillOrError"]
        for run in state["runs"]:
            if run["id"] in seen or run["endTime"] is None:
                continue
            assert run["status"] == "SUCCESS", run
            seen.add(run["id"])
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            one = tags.get("dagster/partition")
            first, last = (
                date.fromisoformat(one or tags[f"dagster/asset_partition_range_{end}"]) for end in ("start", "end")
            )
            now, count = served.spent(), sum(first <= day <= last for day in sessions)
            runs.append(_shown(first, last, count, len(run["assetSelection"]), begin, now))
            begin = now
        if state["status"] not in ("REQUESTED", "IN_PROGRESS"):
            assert state["status"] == "COMPLETED_SUCCESS", state["status"]
            return runs
        time.sleep(POLL_SECONDS)


def _shown(first: date, last: date, count: int, assets: int, begin: Spent, now: Spent) -> Run:
    spent = Spent(*(after - before for after, before in zip(now, begin, strict=True)))
    each = [f"{value / count:.2f}" for value in spent]
    load = os.getloadavg()[0]
    print(
        f"| {first} to {last} | {count} | {assets} | {spent.wall:.0f} | {' | '.join(each)} | {load:.1f} |", flush=True
    )
    return Run(first, last, count, assets, spent)


def extrapolated(runs: list[Run], sessions: int) -> None:
    """What so many sessions come to, at the mean of the runs after the first, and with what each costs more."""
    first, *others = runs
    chunks: dict[date, list[Run]] = {}
    for run in others:
        chunks.setdefault(run.first, []).append(run)
    later = [(one[0].sessions, np.sum([run.spent for run in one], axis=0)) for _, one in sorted(chunks.items())]
    if not later or sessions == first.sessions + sum(count for count, _ in later):
        return
    counts = np.array([count for count, _ in later])
    position, rest = first.sessions + counts.cumsum() - counts / 2, sessions - first.sessions
    print(f"\n{sessions:,} sessions, extrapolated from {sum(counts)} after the first:")
    for name, index, unit in (("wall clock", 0, "s"), ("CPU", 1, "s"), ("data folder", 2, "MB")):
        each = np.array([spent[index] for _, spent in later]) / counts
        mean = float((each * counts).sum() / counts.sum())
        flat = first.spent[index] + mean * rest
        told = f"- {name}: {flat:,.0f} {unit} at {mean:.2f} a session"
        if len(later) >= CHUNKS_OF_A_SLOPE:
            slope = float(np.polyfit(position, each, 1, w=np.sqrt(counts))[0])
            middle = float((position * counts).sum() / counts.sum())
            grown = flat + slope * (first.sessions + rest / 2 - middle) * rest
            told += f"; each 100 sessions change that by {100 * slope:+.3f}, with which it comes to {grown:,.0f} {unit}"
        print(told)


def newest_sessions(home: Path, name: str, count: int) -> list[date]:
    """The last sessions of a universe that can be materialized."""
    from regime_assets.definitions import universes_folder
    from regime_assets.library.home import Home
    from regime_assets.library.universe import load_universes
    from regime_assets.library.workspace import Workspace

    universe = {found.name: found for found in load_universes([universes_folder()]).loaded}[name]
    last = universe.last_partition or date.fromordinal(date.today().toordinal() - 1)
    return list(Workspace(universe, Home(home)).calendar.sessions(universe.first_partition, last)[-count:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--sessions", type=int, default=63)
    parser.add_argument("--universe", default="us_large_cap")
    chosen = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "data")
        days = newest_sessions(home, chosen.universe, chosen.sessions)
        with serving(home) as served:
            print(
                "| sessions | number | assets | wall s | wall s each | CPU s each | MB each | load |\n"
                + "|---" * 8
                + "|"
            )
            runs = backfilled(served, chosen.universe, days)
    extrapolated(runs, FIVE_YEARS)


if __name__ == "__main__":
    main()
