"""What the prices of one session cost in a wide universe: first load, a further evening, its checks and windows.

    python -m benchmarks.session_prices [--symbols 500] [--years 10] [--profile]

Simulated bars in files, read by the source `files`, through the same functions as the assets `raw_prices` and
`validated_window` and their checks. Prints CPU seconds and memory as a markdown table; `--profile` also prints where
the time of a further evening went.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.market_store import START, make_chain, simulate, write_files
from regime_assets.checks import BAR_RULES, WINDOW_RULES
from regime_assets.library.clock import clock
from regime_assets.library.market.calendar import load_calendar
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.steps.raw_prices import ingest, judge_stored_bars, judge_window
from regime_assets.library.workspace import Workspace


def files_up_to(everything: Fetched, last: date, folder: Path) -> None:
    """The vendor's files on the evening of `last`."""
    for path in folder.glob("*"):
        path.unlink()
    if folder.exists():
        folder.rmdir()
    bars, actions = everything.bars, everything.actions
    known = bars["session"] <= pd.Timestamp(last), actions["ex_session"] <= pd.Timestamp(last)
    write_files(Fetched(bars[known[0]], actions[known[1]], {}), folder)


def evening(workspace: Workspace, session: date) -> dict[str, float]:
    """CPU seconds of one session's parts."""
    spent: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = call()
        spent[name] = time.process_time() - began
        return result

    with clock.at(datetime.combine(session, datetime.min.time(), UTC) + timedelta(hours=23)):
        ingested = timed("raw_prices: fetch, judge, store", lambda: ingest(workspace, [session], lambda _: None))
        timed("raw_prices: what the asset shows", lambda: ingested.coverage(session))
        timed("raw_prices: checks", lambda: judge_stored_bars(workspace, session, tuple(BAR_RULES)))
        window = timed("validated_window: short, read", lambda: workspace.read_window("short", session))
        timed("validated_window: short, features", lambda: workspace.featured(window))
        timed("validated_window: short, checks", lambda: judge_window(workspace, "short", session, tuple(WINDOW_RULES)))
        window = timed("validated_window: long, read", lambda: workspace.read_window("long", session))
        timed("validated_window: long, features", lambda: workspace.featured(window))
        timed("validated_window: long, checks", lambda: judge_window(workspace, "long", session, tuple(WINDOW_RULES)))
    return spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--evenings", type=int, default=3, help="further evenings")
    parser.add_argument("--profile", action="store_true", help="print where the time of the further evenings went")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        days = load_calendar("XNYS", START, root / "calendars").all_sessions[: 252 * options.years + options.evenings]
        symbols = [f"S{number:04d}" for number in range(options.symbols)]
        everything = simulate(symbols, days)
        workspace = make_chain(root / "home", root / "files", symbols)
        files_up_to(everything, days[-options.evenings - 1], root / "files")
        began = time.process_time()
        ingest(workspace, [days[-options.evenings - 1]], lambda _: None)
        first_load = time.process_time() - began
        loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        profile = cProfile.Profile() if options.profile else None
        evenings: list[dict[str, float]] = []
        for session in days[-options.evenings :]:
            files_up_to(everything, session, root / "files")
            with profile or nullcontext():
                evenings.append(evening(workspace, session))
    size = f"{options.symbols} symbols, {options.years} years"
    print(f"{size}; CPU, of {options.evenings} evenings the least and the most.\n")
    print("| part | CPU |\n| --- | --- |")
    print(f"| first load | {first_load:.1f} s |")
    for name in evenings[0]:
        spent = [one[name] for one in evenings]
        print(f"| {name} | {min(spent):.2f} to {max(spent):.2f} s |")
    print(f"| a further evening in all | {min(sum(one.values()) for one in evenings):.1f} s |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory {loaded:,.0f} MB in the load, {peak:,.0f} MB in all; load average {os.getloadavg()[0]:.0f}.")
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
