"""Which sessions are done, carried from a data folder's Dagster to a deployment's, so that its sensors go on there.

Runs and their events stay in the folder. What asks for something by itself, a drift report or a decision on the live
record, is not carried: what it asked for was asked for there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from regime_assets.library.home import Home

ASKS = frozenset({"drift_report", "live_performance", "walk_forward"})
SAID_EACH = 500


def carry_history(home: Home, target: dg.DagsterInstance, said: Callable[[str], None]) -> int:
    """Let `target` know the partitions that the folder's Dagster has, as materialized without a run; return how many.

    What it knows already is not told again, so that it may be cut short.
    """
    if not home.dagster.is_dir():
        return 0
    with tempfile.TemporaryDirectory() as plain:  # the folder's own configuration names $DAGSTER_HOME, another one's
        Path(plain, "dagster.yaml").touch()
        ref = InstanceRef.from_dir(str(home.dagster), config_dir=plain)
        with dg.DagsterInstance.from_ref(ref) as source:
            done = {
                key: source.get_materialized_partitions(key)
                for key in source.all_asset_keys()
                if key.path[-1] not in ASKS
            }
    carried = 0
    for key in sorted(done, key=lambda key: key.path):
        for partition in sorted(done[key] - target.get_materialized_partitions(key)):
            target.report_runless_asset_event(
                dg.AssetMaterialization(key, partition=partition, description=f"made before, in {Path(home.root).name}")
            )
            carried += 1
            if carried % SAID_EACH == 0:
                said(f"Dagster: {carried} partitions so far")
    return carried
