"""What a data folder grows by a session, store by store, and what ten years come to under the default retention.

    python benchmarks/growth.py --sessions 250

Made-up prices of twenty symbols and small models: stores grow with what is kept of a session, hardly with how well a
model was trained. It prints bytes and seconds a session. Whether later sessions cost more is told from a copy of the
folder after ten sessions and the folder at the end, whose next sessions are materialized in turn.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

from regime_assets.library.home import Home
from regime_assets.library.universe import load_universe
from regime_assets.library.upkeep.retention import Keep
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design
from regime_assets_tests.test_universes import failures, opened

SYMBOLS = [f"S{number:02d}" for number in range(20)]
UNIVERSE = f"name: grown\ncalendar: XNYS\nsymbols: [{', '.join(SYMBOLS)}]\n"
FIRST, LAST = date(2018, 6, 4), date(2020, 12, 31)
WARM_UP, YOUNG, PAIRS = 5, 10, 10
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


def cpu_seconds(workspace: Workspace, session: date) -> float:
    """What one session costs this process.

    Raises:
        SystemExit: it was not materialized.
    """
    began = time.process_time()
    problems = failures(workspace, session)
    if problems:
        raise SystemExit("\n".join(problems))
    return time.process_time() - began


def next_session(root: Path, session: date) -> float:
    """CPU seconds of a session of the folder that a process of its own keeps."""
    Workspace.design = small_design()  # type: ignore[method-assign,assignment]
    return cpu_seconds(Workspace(load_universe(root / "universes" / "universe.yaml"), Home(root / "home")), session)


def print_ages(young: Path, old: Path, days: Sequence[date], sessions: int) -> None:
    """What the next sessions of a young and of an old folder cost, in turn, without the first and its imports."""
    with _own_process() as of_young, _own_process() as of_old:
        pairs = [
            (
                of_young.submit(next_session, young, days[YOUNG + number]).result(),
                of_old.submit(next_session, old, days[sessions + number]).result(),
            )
            for number in range(PAIRS + 1)
        ][1:]
    first, last = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(later / earlier for earlier, later in pairs)
    print(
        f"CPU seconds, medians of {PAIRS} sessions in turn: {first:.2f} after {YOUNG} sessions, {last:.2f} after "
        f"{sessions}; median of the ratios {ratio:.2f}"
    )


def _own_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def print_stores(before: dict[str, int], after: dict[str, int], sessions: int) -> None:
    """What each store grew by a session, and what the default retention keeps of it in ten years."""
    print("| store | MB a session | sessions kept in ten years | GB after ten years |\n|---|---|---|---|")
    total = 0.0
    for store in STORES:
        each = (after[store] - before[store]) / sessions
        grown = each * kept(store)
        total += grown
        print(f"| {store} | {each / 1e6:.2f} | {kept(store)} | {grown / 1e9:.2f} |")
    print(f"| together | {(sum(after.values()) - sum(before.values())) / 1e6:.1f} in all | | {total / 1e9:.2f} |")


def main() -> None:
    """Materialize sessions one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=250)
    chosen = parser.parse_args()
    Workspace.design = small_design()  # type: ignore[method-assign,assignment]
    with tempfile.TemporaryDirectory() as folder:
        root, young = Path(folder, "old"), Path(folder, "young")
        root.mkdir()
        old = opened(root, UNIVERSE, "XNYS", SYMBOLS, LAST)
        sessions = old.calendar.sessions(FIRST, LAST)
        for session in sessions[:WARM_UP]:
            cpu_seconds(old, session)
        days, before, seconds = sessions[WARM_UP:], sizes(old.home.root), list[float]()
        for number, session in enumerate(days[: chosen.sessions], start=1):
            seconds.append(cpu_seconds(old, session))
            if number == YOUNG:
                shutil.copytree(old.home.root.parent, young)
            if number % AT_ONCE == 0:
                grown = (sum(sizes(old.home.root).values()) - sum(before.values())) / 1e6
                took = statistics.median(seconds[-AT_ONCE:])
                print(f"after {number}: {grown:.0f} MB, CPU seconds a session {took:.2f}", flush=True)
        print_stores(before, sizes(old.home.root), chosen.sessions)
        if chosen.sessions > YOUNG:
            print_ages(young, root, days, chosen.sessions)


if __name__ == "__main__":
    main()
