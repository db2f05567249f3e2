"""Where a warm session spends its time: CPU seconds by stage, and the wall clock, of the whole daily run.

    python benchmarks/session.py [--sessions 4] [--universe us_large_cap] [--separate]

Materializes consecutive sessions in one process, in a data folder of its own, and prints a markdown table of the last
one. Stages are timed exclusively: what a stage calls that is a stage itself counts there. With `--separate` the last
session is launched in a process of its own, as the daemon does, imports included; then only its totals are printed.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

EVENT_LOG = "dagster._core.storage.event_log.sqlite.sqlite_event_log:SqliteEventLogStorage"

STAGES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "pictures": (("regime_assets.library.report.figures", ("*",)),),
    "reports written": (("regime_assets.library.report.page", ("write_report",)),),
    "Dagster's event log, written": ((EVENT_LOG, ("store_event",)),),
    "Dagster's event log, read": (
        (
            EVENT_LOG,
            ("get_records_for_run", "get_event_records", "fetch_materializations", "get_asset_records"),
        ),
    ),
    "DuckDB, attached": (("regime_assets.library.database_file:DatabaseFile", ("_attach", "_detach")),),
    "DuckDB": (
        (
            "regime_assets.library.database:Database",
            ("query", "rows", "has_table", "replace_partition", "read_partition", "delete_partition"),
        ),
        ("regime_assets.library.market.store:MarketStore", ("append", "bars", "newest_sessions", "actions")),
    ),
    "page for the morning": (("regime_assets.library.steps.morning", ("publish_morning",)),),
    "baselines": (("regime_assets.library.evaluation.baselines", ("baselines",)),),
    "regimes inferred": (("regime_assets.library.regimes.regime_model:RegimeModel", ("infer",)),),
    "Evidently": (("regime_assets.library.monitoring.evidently_report", ("*",)),),
    "drift calibration": (("regime_assets.library.monitoring.calibration", ("*",)),),
    "bootstrap intervals": (("regime_assets.library.evaluation.bootstrap", ("*",)),),
    "MLflow": (
        ("regime_assets.library.production.tracked_fit", ("track_fits",)),
        (
            "regime_assets.library.production.registry_store:RegistryStore",
            ("create_version", "versions", "aliases", "set_alias", "set_description", "set_tag", "knows"),
        ),
        ("regime_assets.resources", ("prepare_mlflow",)),
    ),
    "fits": (
        ("regime_assets.library.encoders.training", ("fit_encoder",)),
        ("regime_assets.library.regimes.regime_model", ("fit_regimes",)),
        ("regime_assets.library.policies.training", ("train_policy",)),
    ),
}


class Stopwatch:
    """CPU seconds and calls by stage; time inside a nested stage belongs to that one."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._open: list[str] = []
        self._since = time.process_time()

    def _switch(self) -> None:
        now = time.process_time()
        self.seconds[self._open[-1] if self._open else "everything else"] += now - self._since
        self._since = now

    def timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, with its time on `stage`."""

        @functools.wraps(call)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self.calls[stage] += not self._open or self._open[-1] != stage
            self._open.append(stage)
            try:
                return call(*args, **kwargs)
            finally:
                self._switch()
                self._open.pop()

        return wrapper

    def start(self) -> None:
        """Forget what was measured so far."""
        self.seconds.clear()
        self.calls.clear()
        self._since = time.process_time()

    def stop(self) -> None:
        """Count what ran since the last switch."""
        self._switch()


def instrument(watch: Stopwatch) -> list[str]:
    """Put every stage's functions on the watch, wherever a module of this package holds them; name what is missing."""
    missing: list[str] = []
    for stage, places in STAGES.items():
        for place, names in places:
            module_name, _, holder_name = place.partition(":")
            try:
                holder: Any = importlib.import_module(module_name)
                holder = getattr(holder, holder_name) if holder_name else holder
            except (ImportError, AttributeError):
                missing.append(place)
                continue
            chosen = [n for n in vars(holder) if not n.startswith("_")] if names == ("*",) else names
            for name in chosen:
                call = getattr(holder, name, None) if names != ("*",) else vars(holder).get(name)
                if not callable(call) or isinstance(call, type):
                    continue
                if names == ("*",) and not str(getattr(call, "__module__", "")).startswith("regime_assets."):
                    continue
                wrapped = watch.timed(stage, call)
                setattr(holder, name, wrapped)
                for other in list(sys.modules.values()):
                    if getattr(other, "__name__", "").startswith("regime_assets.") and vars(other).get(name) is call:
                        setattr(other, name, wrapped)
    return missing


def materialize(universe: str, session: date, instance: Any, definitions: Any) -> None:
    """One session of the daily job in this process."""
    job = definitions.resolve_job_def(f"{universe}_daily")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job.execute_in_process(partition_key=session.isoformat(), instance=instance, run_config=quiet)


def launched(universe: str, session: date) -> tuple[float, float]:
    """CPU and wall seconds of one session's run in a process of its own."""
    begin, before = time.monotonic(), os.times()
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "regime_assets.definitions"]
    command += ["-j", f"{universe}_daily", "--tags", f'{{"dagster/partition": "{session}"}}']
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.monotonic() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--sessions", type=int, default=4, help="materialized in all; the last is measured")
    parser.add_argument("--universe", default="us_large_cap")
    parser.add_argument("--separate", action="store_true", help="the last one in a process of its own")
    chosen = parser.parse_args()
    scratch = tempfile.TemporaryDirectory()
    os.environ["REGIME_ASSETS_HOME"] = scratch.name

    import dagster as dg

    from regime_assets.definitions import build_definitions, universes_folder
    from regime_assets.instance import prepare_dagster_home
    from regime_assets.library.home import Home
    from regime_assets.library.universe import load_universes
    from regime_assets.library.workspace import Workspace

    home = Home(Path(scratch.name))
    os.environ.update(prepare_dagster_home(home))
    universe = {u.name: u for u in load_universes([universes_folder()]).loaded}[chosen.universe]
    calendar = Workspace(universe, home).calendar
    last = universe.last_partition or date.fromordinal(date.today().toordinal() - 1)
    sessions = calendar.sessions(universe.first_partition, last)[-chosen.sessions :]
    definitions = build_definitions(home, universes_folder())
    with dg.DagsterInstance.get() as instance:
        for session in sessions[:-1]:
            materialize(universe.name, session, instance, definitions)
        if chosen.separate:
            cpu, wall = launched(universe.name, sessions[-1])
            print(f"{sessions[-1]}, own process: {cpu:.1f} CPU s, {wall:.1f} s wall; load {os.getloadavg()[0]:.1f}")
            return
        watch = Stopwatch()
        missing = instrument(watch)
        begin = time.monotonic()
        watch.start()
        materialize(universe.name, sessions[-1], instance, definitions)
        watch.stop()
        wall = time.monotonic() - begin
    print(f"\n{universe.name}, {sessions[-1]}: {wall:.1f} s wall; load {os.getloadavg()[0]:.1f}\n")
    print("| stage | CPU s | calls |\n|---|---|---|")
    for stage, seconds in sorted(watch.seconds.items(), key=lambda item: -item[1]):
        print(f"| {stage} | {seconds:.2f} | {watch.calls[stage] or ''} |")
    print(f"| **all** | **{sum(watch.seconds.values()):.2f}** | |")
    print(f"\nmodules imported: {len(sys.modules):,}; Evidently among them: {'evidently' in sys.modules}")
    if missing:
        print(f"\nnot found: {', '.join(missing)}")


if __name__ == "__main__":
    main()
