"""What runs without anybody pressing a button: the jobs, and the sensors that close the loop from drift and decisions.

All of it reads Dagster's event log only: a tick opens no database and imports nothing heavy. It is
off until the user turns it on in the UI, or from the start where `REGIME_ASSETS_AUTOMATION=on`.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.drift_report import EPISODE_METADATA
from regime_assets.assets.lane import Lane
from regime_assets.assets.live_performance import (
    ACTION_METADATA,
    OCCASION_METADATA,
    REASON_METADATA,
    ROLL_BACK_METADATA,
)
from regime_assets.library.universe import HORIZONS
from regime_assets.session_run import refreshed_assets

if TYPE_CHECKING:
    from dagster._core.definitions.target import ExecutableDefinition
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

AUTOMATION_VARIABLE = "REGIME_ASSETS_AUTOMATION"
FITTED_ASSETS = ("vae", "gmm", "rl_policy")
SENSOR_INTERVAL_SECONDS = 60
PARTITION_TAG = "dagster/partition"
WILL_RETRY_TAG = "dagster/will_retry"


def starts_on() -> bool:
    """Whether schedules and sensors run from the start."""
    return os.environ.get(AUTOMATION_VARIABLE, "off").lower() == "on"


def is_of(run: dg.DagsterRun, universe: Lane, jobs: Collection[str]) -> bool:
    """Whether a run is of one of the universe's jobs, or materializes assets of it from the UI."""
    return run.job_name in jobs or any(key.path[0] == universe.universe.name for key in run.asset_selection or ())


def daily_job(lane: Lane) -> "UnresolvedAssetJobDefinition":
    """The job that materializes a session's partition of every asset of the universe."""
    replays = [lane.of(horizon).key("walk_forward") for horizon in HORIZONS]
    return dg.define_asset_job(
        f"{lane.universe.name}_daily",
        selection=dg.AssetSelection.key_prefixes([lane.universe.name]) - dg.AssetSelection.assets(*replays),
        partitions_def=lane.partitions,
        description="Every asset of the universe for one session, in order; a walk-forward is asked for by hand.",
        tags={"dagster/max_retries": str(lane.universe.schedule.retries)},
    )


def signal_job(lane: Lane) -> "UnresolvedAssetJobDefinition":
    """The job that lets the champion answer for a session whose refit stopped half-way."""
    return dg.define_asset_job(
        f"{lane.universe.name}_signal",
        selection=dg.AssetSelection.assets(lane.key("daily_signal")),
        partitions_def=lane.partitions,
        description="The daily signal alone: the champion answers although a refit was refused.",
    )


def drift_sensor(universe: Lane, lanes: Sequence[Lane]) -> dg.SensorDefinition:
    """Asks for one full refresh per drift episode, from the newest drift report in the event log."""

    @dg.sensor(
        name=f"{universe.universe.name}_drift_sensor",
        job_name=f"{universe.universe.name}_daily",
        minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if starts_on() else dg.DefaultSensorStatus.STOPPED,
        description="Requests a full retrain of the newest session once per drift episode.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        requests = [request for lane in lanes if (request := _requested(context.instance, universe, lane))]
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("no drift episode is open")

    return sensor


def decision_sensor(
    universe: Lane, lanes: Sequence[Lane], jobs: Sequence["ExecutableDefinition"]
) -> dg.SensorDefinition:
    """Carries out what the newest live performance decided: a roll-back, or a full retrain where there is none."""
    name = universe.universe.name

    @dg.sensor(
        name=f"{name}_decision_sensor",
        jobs=jobs,
        minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if starts_on() else dg.DefaultSensorStatus.STOPPED,
        description="Rolls back or retrains, once per breach, when a champion falls short of its record.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        requests = [request for lane in lanes if (request := _decided(context.instance, universe, lane))]
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("no champion is in breach")

    return sensor


def _decided(instance: dg.DagsterInstance, universe: Lane, lane: Lane) -> dg.RunRequest | None:
    found = _newest(instance, lane.key("live_performance"))
    if found is None:
        return None
    session, metadata = found
    occasion, action = str(metadata[OCCASION_METADATA].value), str(metadata[ACTION_METADATA].value)
    name = universe.universe.name
    if action == "roll back and alert":
        config: dict[str, Any] = {"horizon": str(lane.horizon), "reason": str(metadata[REASON_METADATA].value)}
        if ROLL_BACK_METADATA in metadata:
            config["to"] = metadata[ROLL_BACK_METADATA].value
        return dg.RunRequest(
            run_key=f"decision:{name}:{lane.horizon}:{occasion}",
            job_name=f"{name}_roll_back",
            run_config={"ops": {f"{name}_roll_back_champion": {"config": config}}},
            tags={"regime_assets/occasion": occasion},
        )
    if action == "full retrain" and occasion.startswith("breach"):
        return dg.RunRequest(
            run_key=f"decision:{name}:{lane.horizon}:{occasion}",
            job_name=f"{name}_daily",
            partition_key=session,
            asset_selection=refreshed_assets(universe, lane),
            run_config=_full_retrain(lane),
            tags={"regime_assets/occasion": occasion},
        )
    return None


def _requested(instance: dg.DagsterInstance, universe: Lane, lane: Lane) -> dg.RunRequest | None:
    """The refresh that the newest session's drift report asks for; Dagster runs a run key, an episode, once."""
    found = _newest(instance, lane.key("drift_report"))
    if found is None or not (episode := str(found[1][EPISODE_METADATA].value)):
        return None
    return dg.RunRequest(
        run_key=f"drift:{universe.universe.name}:{lane.horizon}:{episode}",
        partition_key=found[0],
        asset_selection=refreshed_assets(universe, lane),
        run_config=_full_retrain(lane),
        tags={"regime_assets/drift_episode": episode, "regime_assets/horizon": str(lane.horizon)},
    )


def _newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[str, Mapping[str, dg.MetadataValue]] | None:
    """Session and metadata of the newest event, if it is of the newest session: backfills of old ones ask nothing."""
    # A third of what `get_latest_materialization_event` costs, which reads the asset's whole record.
    records = instance.fetch_materializations(key, limit=1).records
    materialization = records[0].asset_materialization if records else None
    if materialization is None or materialization.partition is None:
        return None
    if materialization.partition != max(instance.get_materialized_partitions(key)):
        return None
    return materialization.partition, materialization.metadata


def _full_retrain(lane: Lane) -> dict[str, Any]:
    return {"ops": {lane.op_name(asset): {"config": {"full_retrain": True}} for asset in FITTED_ASSETS}}
