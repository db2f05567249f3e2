"""What a long walk-forward costs: refits of the sample universe at several places of its history, and by what.

    python -m benchmarks.walk_forward [--refits 21] [--years 1998 2004 2010 2016 2021] [--profile long]

Each year is walked from its first session on as `regime-assets walk-forward` walks it, storage included; the first
two refits are left out: they begin and import. The time of all of it, 1997-03-10 to 2022, is the mean over the years
times the number of refits, and what begins and ends a walk. `--whole` walks all of it instead, both horizons side by
side, and takes the time.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import numpy as np

from regime_assets.library.determinism import single_threaded
from regime_assets.library.evaluation.comparison import compare
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.research.long_walk import HistorySettings, open_run
from regime_assets.library.research.walk_report import compose_walk
from regime_assets.library.research.walk_store import StoredRun
from regime_assets.library.steps.raw_prices import ingest
from regime_assets.library.universe import HORIZONS, Horizon, load_universe
from regime_assets.library.walk import replay, schedule
from regime_assets.library.workspace import Workspace

UNIVERSE = Path(__file__).parents[1] / "regime_assets" / "universes" / "us_large_cap.yaml"
LAST = date(2022, 12, 28)


def walk_from(run: StoredRun, year: int, refits: int, profile: cProfile.Profile | None) -> list[float]:
    """CPU seconds of each refit but the first, its decisions and what it stores included."""
    sessions = run.history.sessions
    steps = [one for one in schedule(len(sessions), run.settings) if sessions[one.position].year >= year]
    workspace = run.workspace
    segments = replay(
        run.history,
        workspace.window_shape(run.horizon),
        workspace.design,
        tuple(steps[: refits + 2]),
        (workspace.universe.name, run.horizon),
        stability=workspace.universe.stability,
    )
    for _ in range(2):  # the first begins without a predecessor, and the second imports what compares with one
        run.store(next(segments))
    spent: list[float] = []
    with profile or nullcontext():
        while True:
            began = time.process_time()
            segment = next(segments, None)
            if segment is None:
                return spent
            run.store(segment)
            spent.append(time.process_time() - began)


def measure(workspace: Workspace, horizon: Horizon, options: argparse.Namespace) -> str:
    """A row of the table; prints the profile that is asked for."""
    began = time.process_time()
    run = open_run(workspace, horizon, HistorySettings(last=LAST))
    run.begin(workspace.calendar.decision_time(LAST))
    begins = time.process_time() - began
    total = len(schedule(len(run.history.sessions), run.settings))
    profile = cProfile.Profile(time.process_time) if options.profile == horizon else None
    with single_threaded():
        spent = [walk_from(run, year, options.refits, profile) for year in options.years]
    track = run.segments().set_index("session")
    track["model_session"] = track["model_session"].astype("datetime64[ns]")
    began = time.process_time()
    comparisons = compare(run.history, track, workspace.terms(run.history), workspace.universe.sessions_per_year)
    compose_walk(run, track, comparisons, LAST)
    ends = time.process_time() - began
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(70)
    means = [float(np.mean(one)) for one in spent]
    whole = begins + ends + total * float(np.mean(means))
    cells = (*(f"{mean:.3f}" for mean in means), f"{begins:.1f}, {ends:.1f}", f"{total}", f"{whole / 60:.1f} min")
    return f"| {horizon} | {' | '.join(cells)} |"


def whole(home: Path) -> None:
    """The command as a user gives it."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "regime_assets.cli", "walk-forward", "us_large_cap", "both"]
    subprocess.run(command, env=os.environ | {HOME_VARIABLE: str(home)}, check=True)
    cpu = sum(os.times()[2:4])
    print(f"{(time.perf_counter() - began) / 60:.1f} min by the clock, {cpu / 60:.1f} of CPU, imports included")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refits", type=int, default=21)
    parser.add_argument("--years", type=int, nargs="+", default=[1998, 2004, 2010, 2016, 2021])
    parser.add_argument("--horizons", nargs="+", choices=HORIZONS, default=HORIZONS)
    parser.add_argument("--profile", choices=HORIZONS, help="print where the time of this horizon went")
    parser.add_argument("--whole", action="store_true", help="walk all of it, both horizons side by side")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(load_universe(UNIVERSE), Home(Path(scratch)))
        ingest(workspace, [LAST], lambda _: None)
        if options.whole:
            whole(workspace.home.root)
        else:
            rows = [measure(workspace, horizon, options) for horizon in options.horizons]
            years = " | ".join(f"{year}" for year in options.years)
            print(f"CPU seconds a refit, storing included, mean of {options.refits}\n")
            print(f"| horizon | {years} | beginning, ending | refits | 1997 to 2022 |")
            print(f"| --- | {'--- | ' * len(options.years)}--- | --- | --- |", *rows, sep="\n")
    print(f"\nLoad average {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
