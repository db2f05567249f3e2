"""What a wide universe costs beside a narrow one: first load, a warm session of all assets, memory, reports.

    python -m benchmarks.wide_universe [--symbols 20 500] [--years 10] [--traded one all]

Simulated bars in files, read by the source `files`; the daily job of two sessions in one process each, the second of
which is told. `one` watches all symbols and holds the first one, `all` holds them all. `session_prices.py` tells where
the prices' part of it goes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dagster as dg

from benchmarks.market_store import START, simulate, write_files
from benchmarks.session import materialize
from regime_assets.definitions import build_definitions
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.market.calendar import load_calendar
from regime_assets.library.steps.raw_prices import ingest
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace

UNIVERSE = """\
name: wide
source: {{kind: files, options: {{folder: "{folder}"}}}}
history_start: {start}
first_partition: {first}
last_partition: {last}
symbols: [{symbols}]
traded: [{traded}]
walk_forward: {{sessions: 126}}
"""


def measure(count: int, years: int, traded: str) -> dict[str, str]:
    """A row of the table, of this process."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        home = Home(root / "home")
        os.environ.update(prepare_dagster_home(home))
        days = load_calendar("XNYS", START, home.calendars).all_sessions[: 252 * years + 2]
        symbols = [f"S{number:04d}" for number in range(count)]
        write_files(simulate(symbols, days), root / "files")
        (root / "universes").mkdir()
        held = symbols if traded == "all" else symbols[:1]
        text = UNIVERSE.format(
            folder=root / "files", start=START, first=days[-10], last=days[-1], symbols=", ".join(symbols),
            traded=", ".join(held),
        )  # fmt: skip
        (root / "universes" / "wide.yaml").write_text(text)
        workspace = Workspace(load_universe(root / "universes" / "wide.yaml"), home)
        began = time.process_time()
        ingest(workspace, [days[-2]], lambda _: None)
        loading = time.process_time() - began
        definitions = build_definitions(home, root / "universes")
        with dg.DagsterInstance.get() as instance:
            began = time.process_time()
            materialize("wide", days[-2], instance, definitions)
            first = time.process_time() - began
            began = time.process_time()
            materialize("wide", days[-1], instance, definitions)
            warm = time.process_time() - began
        reports = [*home.reports.rglob(f"*{days[-1]}*.html"), *home.pages.glob("*.html")]
        size, largest = max((path.stat().st_size, path.name) for path in reports)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "symbols": f"{count}, {traded} held",
        "first load": f"{loading:.1f} s",
        "first session": f"{first:.1f} s",
        "warm session": f"{warm:.1f} s",
        "peak memory": f"{peak:,.0f} MB",
        "largest report": f"{size / 1024:,.0f} KB ({largest})",
    }


def main() -> None:
    """Measure and print."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, nargs="+", default=[20, 500])
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--traded", nargs="+", choices=["one", "all"], default=["one", "all"])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one row in this process
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.symbols[0], options.years, options.traded[0])))
        return
    print(f"{options.years} years; CPU seconds\n")
    for number, (count, traded) in enumerate((c, t) for t in options.traded for c in options.symbols):
        own = ["--here", "--symbols", str(count), "--years", str(options.years), "--traded", traded]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.wide_universe", *own]
        with tempfile.TemporaryDirectory() as home:
            environment = os.environ | {HOME_VARIABLE: home}
            said = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, env=environment)
        row = json.loads(said.stdout.splitlines()[-1]) if said.returncode == 0 else {"symbols": f"{count}: failed"}
        if not number:
            print(f"| {' | '.join(row)} |\n|{' --- |' * len(row)}")
        print(f"| {' | '.join(row.values())} |", flush=True)
    print(f"\nLoad average {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
