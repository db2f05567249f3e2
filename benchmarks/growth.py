"""What a data folder grows by a session, store by store, and what ten years come to under the default retention.

    python benchmarks/growth.py --sessions 250

Made-up prices of twenty symbols and small models: stores grow with what is kept of a session, hardly with how well a
model was trained. It prints bytes and seconds a session, and whether later sessions cost more than earlier ones.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

from regime_assets.library.upkeep.retention import Keep
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design
from regime_assets_tests.test_universes import failures, opened

SYMBOLS = [f"S{number:02d}" for number in range(20)]
UNIVERSE = f"name: grown\ncalendar: XNYS\nsymbols: [{', '.join(SYMBOLS)}]\n"
LAST = date(2020, 12, 31)
WARM_UP = 5
AT_ONCE = 20
YEARS, SESSIONS_A_YEAR, MONTHS_A_YEAR = 10, 252, 12
STORES = {
    "tables (databases/)": "databases",
    "Dagster": "dagster",
    "MLflow's store": "mlflow.db",
    "MLflow's artifacts, registered bundles": "mlflow_artifacts",
    "reports": "reports",
    "models": "models",
    "bundles": "bundles",
    "the rest": "",
}


def sizes(root: Path) -> dict[str, int]:
    """Bytes of each store."""
    total = {name: _size(root / place) for name, place in STORES.items() if place}
    return total | {"the rest": _size(root) - sum(total.values())}


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def kept(store: str) -> int:
    """How many sessions of a store the default retention keeps after ten years."""
    keep, months = Keep(), YEARS * MONTHS_A_YEAR
    by_days = round(keep.run_days / 365 * SESSIONS_A_YEAR)
    by_store = {
        "Dagster": by_days,
        "MLflow's store": by_days,
        "MLflow's artifacts, registered bundles": by_days,
        "reports": keep.sessions + months,
        "models": keep.sessions + months,
        "bundles": keep.sessions + months,
        # Windows of old sessions go, and their room is used again; counted as if every row of every session stayed.
        "tables (databases/)": YEARS * SESSIONS_A_YEAR,
    }
    return by_store.get(store, YEARS * SESSIONS_A_YEAR)


def main() -> None:
    """Materialize sessions one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=250)
    chosen = parser.parse_args()
    Workspace.design = small_design()  # type: ignore[method-assign,assignment]
    with tempfile.TemporaryDirectory() as folder:
        workspace = opened(Path(folder), UNIVERSE, "XNYS", SYMBOLS, LAST)
        days = workspace.calendar.sessions(date(2018, 6, 4), LAST)[: chosen.sessions + WARM_UP]
        seconds: list[float] = []
        before: dict[str, int] = {}
        for number, day in enumerate(days):
            if number == WARM_UP:
                before = sizes(workspace.home.root)
            began = time.process_time()
            problems = failures(workspace, day)
            if problems:
                raise SystemExit("\n".join(problems))
            seconds.append(time.process_time() - began)
            if (number - WARM_UP + 1) % AT_ONCE == 0 and number > WARM_UP:
                grown = (sum(sizes(workspace.home.root).values()) - sum(before.values())) / 1e6
                took = statistics.median(seconds[-AT_ONCE:])
                print(f"after {number - WARM_UP + 1}: {grown:.0f} MB, CPU seconds a session {took:.2f}", flush=True)
        after = sizes(workspace.home.root)
    print("| store | MB a session | sessions kept in ten years | GB after ten years |\n|---|---|---|---|")
    total = 0.0
    for store in STORES:
        each = (after[store] - before[store]) / chosen.sessions
        grown = each * kept(store)
        total += grown
        print(f"| {store} | {each / 1e6:.2f} | {kept(store)} | {grown / 1e9:.2f} |")
    print(f"| together | {sum(after.values()) / 1e6 - sum(before.values()) / 1e6:.1f} in all | | {total / 1e9:.2f} |")
    counted = seconds[WARM_UP:]
    edge = max(1, min(AT_ONCE, len(counted) // 4))
    first, last = (statistics.median(part) for part in (counted[:edge], counted[-edge:]))
    print(f"CPU seconds a session, median of {edge}: first {first:.2f}, last {last:.2f}, {last / first - 1:+.0%}")


if __name__ == "__main__":
    main()
