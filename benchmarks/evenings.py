"""Sixty evenings of a vendor as vendors are: what each run stored, what it asked, and what is on record afterwards.

The vendor is a server on this machine; yfinance, the store, the rules and the windows are the real ones. Run
`python benchmarks/evenings.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from pathlib import Path

from regime_assets.library.market.calendar import load_calendar
from regime_assets_tests.library.market.vendor_server import running_server
from regime_assets_tests.library.steps.evenings import Evenings, Script, told

FIRST = date(2022, 5, 2)


def main() -> None:
    """Rehearse and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=60, help="how many evenings (default: 60)")
    options = parser.parse_args()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        calendar = load_calendar("XNYS", date(2020, 1, 2), Path(folder) / "calendars")
        sessions = calendar.sessions(FIRST, date(2022, 12, 30))[: options.sessions]
        evenings = Evenings(server, Path(folder), sessions, Script())
        evenings.rehearse()
        print(*evenings.seen, sep="\n")
        print(f"\n{len(evenings.seen)} of {len(sessions)} sessions answered; the other one was none. It blocked once:")
        print(*evenings.blocks, sep="\n")
        kept = told(evenings)
        print(f"\nOn record: {len(kept)} refusals")
        print(kept.groupby(["rule", "symbol"]).size().to_string())
        print("\n", evenings.workspace.settling.measured(evenings.workspace.calendar), sep="")
        print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
