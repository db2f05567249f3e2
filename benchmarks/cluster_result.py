"""What the rehearsal prints: what was run, what it cost, and what differs from one machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from cluster_processes import Gate, Processes


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


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
