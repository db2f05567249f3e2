"""From an open drift episode to one full refit: the sensor reads the newest drift report from the event log."""

from collections.abc import Sequence

import dagster as dg

from regime_assets.assets.drift_report import EPISODE_METADATA
from regime_assets.assets.lane import Lane
from regime_assets.jobs import full_retrain
from regime_assets.runs.failure_record import recorded_tick
from regime_assets.sensors.event_log import SENSOR_INTERVAL_SECONDS, newest_result, starts_on
from regime_assets.session_run import refreshed_assets


def drift_sensor(universe: Lane, lanes: Sequence[Lane]) -> dg.SensorDefinition:
    """Asks for one full refresh per drift episode, from the newest drift report in the event log."""

    @dg.sensor(
        name=f"{universe.universe.name}_drift_sensor",
        job_name=f"{universe.universe.name}_daily",
        minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if starts_on() else dg.DefaultSensorStatus.STOPPED,
        description="Requests a full retrain of the newest session once per drift episode.",
    )
    @recorded_tick(universe.universe.name, f"{universe.universe.name}_drift_sensor")
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        requests = [request for lane in lanes if (request := _requested(context.instance, universe, lane))]
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("no drift episode is open")

    return sensor


def _requested(instance: dg.DagsterInstance, universe: Lane, lane: Lane) -> dg.RunRequest | None:
    """The refresh that the newest session's drift report asks for; Dagster runs a run key, an episode, once."""
    found = newest_result(instance, lane.key("drift_report"))
    if found is None or not (episode := str(found[1][EPISODE_METADATA].value)):
        return None
    return dg.RunRequest(
        run_key=f"drift:{universe.universe.name}:{lane.horizon}:{episode}",
        partition_key=found[0],
        asset_selection=refreshed_assets(universe, lane),
        run_config=full_retrain(lane),
        tags={"regime_assets/drift_episode": episode, "regime_assets/horizon": str(lane.horizon)},
    )
