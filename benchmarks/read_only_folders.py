"""Make each folder of a data folder read-only, run a session, and run it again when it is writable.

    python -m benchmarks.read_only_folders

Root gives up its right to write everywhere. What the run says must name the folder and what to do; what it has stored
must be whole partitions; the run after it must end in the stores of an undisturbed one, to the bit.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.session_folders import (
    BEFORE,
    copy_of,
    differences,
    halves,
    in_a_process,
    made,
    run_and_listen,
    stores,
    undisturbed,
)
from regime_assets_tests.bound_by_modes import bow_to_modes

FOLDERS = (
    *("databases", "models", "bundles", "mlflow_artifacts", "reports", "pages", "drift_thresholds", "locks"),
    *("dagster/history", "dagster/schedules", "mlflow.db", "ledger.duckdb", "."),
)


ANSWERS = "deployments"
"""A log: where a refit fails, the champion of before has answered, and the answer of the run after it stands below."""


def set_modes(place: Path, is_writable: bool, whole: bool) -> None:
    """Let a file, or a folder and all below it, be written or not; of the data folder itself only its own entries."""
    for folder, _, names in os.walk(place) if whole and place.is_dir() else [(place, (), ())]:
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            is_folder = path.is_dir()
            path.chmod((0o700 if is_writable else 0o500) if is_folder else (0o600 if is_writable else 0o400))


def bound_run(root: Path) -> tuple[str, list[str]]:
    """Run the session as a user for whom modes count."""
    bow_to_modes()
    ended, said, _ = run_and_listen(root)
    return ended, said


def main() -> None:
    """Forbid, run, allow, run again, and print a row each."""
    with tempfile.TemporaryDirectory() as scratch:
        root = made(Path(scratch) / "before", BEFORE)
        _, before = in_a_process(stores, root)
        after, ignored = undisturbed(root)
        print(
            "| read-only | the run | names it and a remedy | half | same bits after |\n|---|---|---|---|---|",
            flush=True,
        )
        for name in FOLDERS:
            spoilt = copy_of(root, "spoilt")
            place = spoilt / "home" / name
            set_modes(place, is_writable=False, whole=name != ".")
            _, answer = in_a_process(bound_run, spoilt)
            set_modes(place, is_writable=True, whole=name != ".")
            ended, said = answer or ("fault", ["the process died"])
            named = any(str(place) in line and "et this user" in line for line in said)
            _, left = in_a_process(stores, spoilt)
            half = halves(before, left, after, ignored) if left else ["the stores cannot be read"]
            half = [line for line in half if not line.startswith(ANSWERS)]
            _, healed = in_a_process(run_and_listen, spoilt)
            others = differences(healed[2], after, ignored) if healed and healed[2] else ["the stores cannot be read"]
            same = not [line for line in others if not line.startswith(f"table ('{ANSWERS}'")]
            print(f"| {name} | {ended} | {named} | {len(half)} | {bool(same)} |", flush=True)
            for line in (*said, *half):
                print(f"    {line}", flush=True)


if __name__ == "__main__":
    main()
