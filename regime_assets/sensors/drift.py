"""From an open drift episode to one full refit: the sensor reads the newest drift reports from the event log."""

from collections.abc import Sequence

import dagster as dg

from regime_assets.assets.drift_report import EPISODE_METADATA
from regime_assets.assets.lane import Lane
from regime_assets.jobs import full_retrain
from regime_assets.sensors.event_log import newest_result
from regime_assets.sensors.watched import Answer, Watched, asked_once, watching_sensor
from regime_assets.session_run import refreshed_assets


def drift_sensor(universes: Sequence[Watched], name: str = "drift_sensor") -> dg.SensorDefinition:
    """Asks for one full refresh per drift episode, from the newest drift reports in the event log."""
    return watching_sensor(
        name,
        universes,
        [each.daily for each in universes],
        _asked,
        "Requests a full retrain of the newest session once per drift episode.",
    )


def _asked(instance: dg.DagsterInstance, universe: Watched) -> Answer:
    found = (_requested(instance, universe.lane, lane) for lane in universe.lanes)
    return asked_once(instance, found, "no drift episode is open", "its refresh was asked for")


def _requested(instance: dg.DagsterInstance, universe: Lane, lane: Lane) -> dg.RunRequest | None:
    """The refresh that the newest session's drift report asks for; Dagster runs a run key, an episode, once."""
    found = newest_result(instance, lane.key("drift_report"))
    if found is None or not (episode := str(found[1][EPISODE_METADATA].value)):
        return None
    return dg.RunRequest(
        run_key=f"drift:{universe.universe.name}:{lane.horizon}:{episode}",
        job_name=f"{universe.universe.name}_daily",
        partition_key=found[0],
        asset_selection=refreshed_assets(universe, lane),
        run_config=full_retrain(lane),
        tags={"regime_assets/drift_episode": episode, "regime_assets/horizon": str(lane.horizon)},
    )
