"""What all sensors share: whether they start on, what a run is tagged with, and the newest result of an asset.

A tick reads Dagster's event log only: it opens no database and imports nothing heavy.
"""

import os
from collections.abc import Collection, Mapping

import dagster as dg

from regime_assets.assets.lane import Lane

AUTOMATION_VARIABLE = "REGIME_ASSETS_AUTOMATION"
SENSOR_INTERVAL_SECONDS = 60
PARTITION_TAG = "dagster/partition"
WILL_RETRY_TAG = "dagster/will_retry"


def starts_on() -> bool:
    """Whether schedules and sensors run from the start."""
    return os.environ.get(AUTOMATION_VARIABLE, "off").lower() == "on"


def is_of(run: dg.DagsterRun, universe: Lane, jobs: Collection[str]) -> bool:
    """Whether a run is of one of the universe's jobs, or materializes assets of it from the UI."""
    return run.job_name in jobs or any(key.path[0] == universe.universe.name for key in run.asset_selection or ())


def newest_result(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[str, Mapping[str, dg.MetadataValue]] | None:
    """Session and metadata of the newest event, if it is of the newest session: backfills of old ones ask nothing."""
    # A third of what `get_latest_materialization_event` costs, which reads the asset's whole record.
    records = instance.fetch_materializations(key, limit=1).records
    materialization = records[0].asset_materialization if records else None
    if materialization is None or materialization.partition is None:
        return None
    if materialization.partition != max(instance.get_materialized_partitions(key)):
        return None
    return materialization.partition, materialization.metadata
