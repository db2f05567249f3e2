"""What watching costs: a tick of each sensor on an instance with a year of events, and Evidently's report.

    python benchmarks/monitoring.py [--sessions 252] [--ticks 20]

Prints a markdown table of CPU milliseconds. The instance is Dagster's own SQLite storage in a scratch folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from regime_assets.assets.drift_report import EPISODE_METADATA
from regime_assets.assets.live_performance import ACTION_METADATA, ALERT_METADATA, OCCASION_METADATA, REASON_METADATA
from regime_assets.definitions import build_definitions
from regime_assets.library.home import Home

UNIVERSE = """\
name: watched
source: {kind: sample}
history_start: 2015-01-02
first_partition: 2019-01-02
last_partition: 2022-12-28
symbols: [AAPL, MSFT, JPM]
traded: [SP500]
alerts: {webhook: {}}
"""
SENSORS = ("daily", "drift", "decision", "alert")
TICK_BOUND, REPORT_BOUND = 50.0, 2000.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=252, help="sessions whose events lie in the log")
    parser.add_argument("--ticks", type=int, default=20, help="of each sensor")
    options = parser.parse_args()
    for label in (dg.BetaWarning, dg.PreviewWarning, FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=label)
    print("| | CPU ms, median | highest | aim |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, times in sensor_ticks(Path(scratch), options.sessions, options.ticks).items():
            print(f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} | below {TICK_BOUND:.0f} |")
        times = reports(Path(scratch), 5)
        print(
            f"| Evidently's report | {statistics.median(times):.0f} | {max(times):.0f} | at most {REPORT_BOUND:.0f} |"
        )


def sensor_ticks(scratch: Path, sessions: int, ticks: int) -> dict[str, list[float]]:
    """CPU milliseconds of each tick after the first, by sensor."""
    (scratch / "watched.yaml").write_text(UNIVERSE)
    definitions = build_definitions(Home(scratch), scratch)
    found: dict[str, list[float]] = {}
    with dg.instance_for_test() as instance:
        events = _write_events(definitions, instance, sessions)
        for name in SENSORS:
            sensor = definitions.resolve_sensor_def("watched_alert_sensor" if name == "alert" else f"{name}_sensor")
            cursor: str | None = None
            times: list[float] = []
            for _ in range(ticks + 1):
                if name != "alert":
                    cursor = None  # as if there were a new event: without one a tick ends at once
                context = dg.build_sensor_context(instance=instance, definitions=definitions, cursor=cursor)
                began = time.process_time()
                cursor = sensor.evaluate_tick(context).cursor
                times.append(1000 * (time.process_time() - began))
            found[f"tick of the {name} sensor, {events} events"] = times[1:]
    return found


def reports(scratch: Path, count: int) -> list[float]:
    """CPU milliseconds of each report after the first, which imports Evidently."""
    from regime_assets.library.monitoring.drift import DriftSettings, DriftThresholds, day_level_features
    from regime_assets.library.monitoring.evidently_report import write_evidently_report
    from regime_assets_tests.library.monitoring.markets import clustered_returns

    settings = DriftSettings()
    watched = day_level_features(clustered_returns(settings.reference_sessions + 320, 20, seed=1))
    names = tuple(str(name) for name in watched.columns)
    bounds = DriftThresholds(
        features=names,
        windows=settings.windows,
        bounds=np.ones((len(names), len(settings.windows))),
        forecast=None,
        alarms_per_year=settings.alarms_per_year,
        null_alarms_per_year=settings.alarms_per_year,
        history_sessions=len(watched),
        first_session=date(2000, 1, 3),
        last_session=date(2020, 1, 2),
        notice="",
    )
    generator = np.random.default_rng(0)
    for column in ("reconstruction_error", *(f"latent_{n}" for n in range(4)), *(f"posterior_{n}" for n in range(3))):
        watched[column] = generator.normal(size=len(watched))
    longest = max(settings.windows)
    reference, current = watched.iloc[-longest - settings.reference_sessions : -longest], watched.iloc[-longest:]
    times: list[float] = []
    for number in range(count + 1):
        began = time.process_time()
        write_evidently_report(reference, current, bounds, scratch / f"{number}.html")
        times.append(1000 * (time.process_time() - began))
    return times[1:]


def _write_events(definitions: dg.Definitions, instance: dg.DagsterInstance, sessions: int) -> int:
    """Materializations of `sessions` sessions of every asset, as daily runs leave them; their number."""
    graph = definitions.resolve_asset_graph()
    keys = [key for key in graph.materializable_asset_keys if key.path[-1] != "walk_forward"]
    partitions = graph.get(keys[0]).partitions_def
    assert partitions is not None
    written = 0
    for session in partitions.get_partition_keys()[-sessions:]:
        for key in keys:
            metadata = _metadata(key)
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=session, metadata=metadata))
            written += 1
    return written


def _metadata(key: dg.AssetKey) -> dict[str, Any]:
    if key.path[-1] == "drift_report":
        return {EPISODE_METADATA: "", "status": "calm", "largest": 0.5, "scores": json.dumps([0.5] * 50)}
    if key.path[-1] == "live_performance":
        return {ACTION_METADATA: "nothing", OCCASION_METADATA: "", REASON_METADATA: "noise", ALERT_METADATA: False}
    return {"figure": 1.0}


if __name__ == "__main__":
    main()
