"""How long a session's run takes as the daemon launches it, from the request to the signal, imports included.

    python -m benchmarks.launched [--sessions 4] [--universe us_large_cap]

Starts `regime-assets ui` on a data folder of its own and launches the daily job for consecutive sessions, one after
the other, as the button in the UI does. The first one loads prices and walks through two years. CPU seconds are those
of all processes together.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.backfill import Served, newest_sessions, serving

LAUNCH = """mutation($asked: ExecutionParams!) {
  launchPipelineExecution(executionParams: $asked) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}"""
RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status creationTime startTime endTime } } }"
SIGNAL = """query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetMaterializations(limit: 1) { timestamp } } }
}"""
POLL_SECONDS = 0.5


def launched(served: Served, universe: str, session: date) -> dict[str, Any]:
    """The finished run of one session."""
    job = {
        "repositoryLocationName": "regime_assets",
        "repositoryName": "__repository__",
        "jobName": f"{universe}_daily",
    }
    tags = [{"key": "dagster/partition", "value": session.isoformat()}]
    asked = {"selector": job, "mode": "default", "runConfigData": {}, "executionMetadata": {"tags": tags}}
    answer = served.ask(LAUNCH, asked=asked)["launchPipelineExecution"]
    assert "run" in answer, answer
    while True:
        run = served.ask(RUN, id=answer["run"]["runId"])["runOrError"]
        if run["endTime"] is not None:
            assert run["status"] == "SUCCESS", run
            return run
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--universe", default="us_large_cap")
    chosen = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "data")
        days = newest_sessions(home, chosen.universe, chosen.sessions)
        key = {"path": [chosen.universe, "daily_signal"]}
        with serving(home) as served:
            print("| session | to its start s | to the signal s | to its end s | CPU s | load |\n" + "|---" * 6 + "|")
            for session in days:
                before = served.spent()
                run = launched(served, chosen.universe, session)
                told = served.ask(SIGNAL, key=key)["assetNodeOrError"]["assetMaterializations"][0]["timestamp"]
                moments = (run["startTime"], float(told) / 1000, run["endTime"])
                waited = " | ".join(f"{moment - run['creationTime']:.1f}" for moment in moments)
                cpu, load = served.spent().cpu - before.cpu, os.getloadavg()[0]
                print(f"| {session} | {waited} | {cpu:.1f} | {load:.1f} |", flush=True)


if __name__ == "__main__":
    main()
