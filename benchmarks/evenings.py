"""Sixty evenings of a vendor as vendors are, lived through by the daily run: fetched, fitted, judged, answered.

The vendor is a server on this machine; yfinance, the store, the rules, models, MLflow and Dagster are the real ones.
The models are small and refitted weekly: whether they are good is not asked here. Every evening runs `evenings_daily`
in this process, with the assets that the schedule asks for; what blocks is answered with what its message says.
Afterwards the exceptions are looked up where a user would: on the assets, in the report, on the page, in the command
line. `--prices-only` leaves the models out.

    python benchmarks/evenings.py [--sessions 60] [--prices-only]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import date
from pathlib import Path

import dagster as dg

from regime_assets.assets.lane import Lane
from regime_assets.definitions import UNIVERSES_VARIABLE, build_definitions
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.market.calendar import load_calendar
from regime_assets.partitions import session_partitions
from regime_assets.runs.plain_errors import plain_text
from regime_assets.session_run import refitted, session_assets
from regime_assets_tests.library.market.vendor_server import running_server
from regime_assets_tests.library.steps.evenings import BlockedError, Evenings, Script, told

FIRST = date(2022, 5, 2)
LOOKBACK = 640
"""Sessions before the first one: 300 of the features' memory, a year of window, and a short replay."""

SMALL = """\
walk_forward: {sessions: 60, refit_every: 60}
refit: {every: weekly}
gate: {drawdown_limit: 1.0, turnover_limit: 1.0e9}
design:
  encoder: {use: mlp_vae, hidden: [8], epochs: 6, warm_up_epochs: 2, steps_per_epoch: 4, fine_tune_epochs: 2}
  policy: {use: tilts, seeds: 2, gradient_steps: 20}
"""


def answered(evenings: Evenings, session: date) -> str:
    """The daily run of one session in Dagster, and the answer that it left."""
    definitions = build_definitions(evenings.workspace.home, evenings.universes)
    universe, calendar = evenings.workspace.universe, evenings.workspace.calendar
    lane = Lane(universe, session_partitions(universe, calendar))
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def("evenings_daily").execute_in_process(
            partition_key=session.isoformat(),
            instance=instance,
            asset_selection=session_assets(lane, refitted(lane, session, calendar, instance)),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    failed = [event for event in result.all_events if event.is_step_failure]
    if failed:
        reasons: list[str] = []
        for event in failed:
            error = event.step_failure_data.error
            assert error is not None
            reasons.append(f"{event.step_key}: {plain_text((error.cause or error).message)}")
        raise BlockedError("\n".join(reasons))
    checks = result.get_asset_check_evaluations()
    warned = sorted({f"{one.asset_key.path[-1]}/{one.check_name}" for one in checks if not one.passed})
    signal = evenings.workspace.database.query(
        f"SELECT symbol, weight FROM daily_signal WHERE universe = 'evenings' AND as_of = DATE '{session}'"
    )
    assert not signal.empty, f"{session}: no answer"
    weights = ", ".join(f"{symbol} {weight:.0%}" for symbol, weight in signal.itertuples(index=False))
    return f"holds {weights}; checks that warn: {', '.join(warned) or 'none'}"


def visible(evenings: Evenings, last: date) -> list[str]:
    """Where the exceptions stand afterwards: the newest partition's assets, its report, the page, the command line."""
    lines: list[str] = []
    with dg.DagsterInstance.get() as instance:
        for name, entry in (("raw_prices", "warnings"), ("short/validated_window", "accepted_exceptions")):
            key = dg.AssetKey(["evenings", *name.split("/")])
            event = instance.get_latest_materialization_event(key)
            assert event is not None
            assert event.asset_materialization is not None
            shown = event.asset_materialization.metadata[entry]
            text = f"{len(shown.records)} rows" if isinstance(shown, dg.TableMetadataValue) else str(shown.value)
            lines.append(f"asset {name}, {entry}: {text}")
    home = evenings.workspace.home
    # The models are refitted weekly, and the newest report is that of the last refit.
    newest = max(home.reports.glob("**/short/**/*-backtest.data/figures.json"))
    provenance = json.loads(newest.read_bytes())["provenance"]
    said_there = {name: provenance.get(name, "nothing") for name in ("decided about the data", "held back")}
    lines += [f"report {newest.parent.name}, {name}: {text}" for name, text in said_there.items()]
    page = "".join(path.read_text() for path in home.pages.glob(f"*{last}*.html"))
    lines.append(f"page: names HHH: {'HHH' in page}, BBB: {'BBB' in page}")
    command = [sys.executable, "-W", "ignore", "-m", "regime_assets.cli", "quarantine", "evenings"]
    environment = {**os.environ, HOME_VARIABLE: str(home.root), UNIVERSES_VARIABLE: str(evenings.universes)}
    said = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    return [
        *lines,
        *(f"command line: {line}" for line in said.splitlines() if line.startswith(("accepted in", "decided"))),
    ]


def main() -> None:
    """Rehearse and print."""
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=60, help="how many evenings (default: 60)")
    parser.add_argument("--prices-only", action="store_true", help="fetch, judge and read windows; fit nothing")
    options = parser.parse_args()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        root = Path(folder)
        calendar = load_calendar("XNYS", date(2018, 1, 2), root / "calendars")
        sessions = calendar.sessions(FIRST, date(2022, 12, 30))[: options.sessions]
        if options.prices_only:
            evenings = Evenings(server, root, sessions, Script())
        else:
            os.environ.update(prepare_dagster_home(Home(root / "home")))
            evenings = Evenings(server, root, sessions, Script(), LOOKBACK, SMALL, told_at_once)
        evenings.rehearse()
        print(f"\n{len(evenings.seen)} of {len(sessions)} sessions answered. It blocked {len(evenings.blocks)} times:")
        print(*evenings.blocks, sep="\n")
        kept = told(evenings)
        print(f"\nOn record: {len(kept)} refusals")
        print(kept.groupby(["rule", "symbol"]).size().to_string())
        if options.prices_only:
            print(*evenings.seen, sep="\n")
        else:
            print(*visible(evenings, sessions[-1]), sep="\n")
        print("\n", evenings.workspace.settling.measured(evenings.workspace.calendar), sep="")
        print(f"{time.process_time() - began:.0f} s of CPU")


def told_at_once(evenings: Evenings, session: date) -> str:
    """`answered`, printed when it is there."""
    said = answered(evenings, session)
    print(f"{session}: {said}", flush=True)
    return said


if __name__ == "__main__":
    main()
