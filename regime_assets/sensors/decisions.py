"""From a breach of live performance to a roll-back, or to a full refit where there is nothing to roll back to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.lane import Lane
from regime_assets.assets.live_performance import (
    ACTION_METADATA,
    OCCASION_METADATA,
    REASON_METADATA,
    ROLL_BACK_METADATA,
)
from regime_assets.jobs import full_retrain
from regime_assets.runs.failure_record import recorded_tick
from regime_assets.sensors.event_log import SENSOR_INTERVAL_SECONDS, newest_result, starts_on
from regime_assets.session_run import refreshed_assets

if TYPE_CHECKING:
    from dagster._core.definitions.target import ExecutableDefinition


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
    @recorded_tick(universe.universe.name, f"{name}_decision_sensor")
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        requests = [request for lane in lanes if (request := _decided(context.instance, universe, lane))]
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("no champion is in breach")

    return sensor


def _decided(instance: dg.DagsterInstance, universe: Lane, lane: Lane) -> dg.RunRequest | None:
    found = newest_result(instance, lane.key("live_performance"))
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
            run_config=full_retrain(lane),
            tags={"regime_assets/occasion": occasion},
        )
    return None
