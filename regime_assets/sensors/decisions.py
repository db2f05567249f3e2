"""From a breach of live performance to a roll-back, or to a full refit where there is nothing to roll back to."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from regime_assets.assets.lane import Lane
from regime_assets.assets.live_performance import (
    ACTION_METADATA,
    OCCASION_METADATA,
    REASON_METADATA,
    ROLL_BACK_METADATA,
)
from regime_assets.jobs import full_retrain
from regime_assets.sensors.event_log import newest_result
from regime_assets.sensors.watched import Answer, Watched, asked_once, watching_sensor
from regime_assets.session_run import refreshed_assets


def decision_sensor(universes: Sequence[Watched], name: str = "decision_sensor") -> dg.SensorDefinition:
    """Carries out what the newest live performance decided: a roll-back, or a full retrain where there is none."""
    return watching_sensor(
        name,
        universes,
        [job for each in universes for job in (each.daily, each.roll_back)],
        _asked,
        "Rolls back or retrains, once per breach, when a champion falls short of its record.",
    )


def _asked(instance: dg.DagsterInstance, universe: Watched) -> Answer:
    found = (_decided(instance, universe.lane, lane) for lane in universe.lanes)
    return asked_once(instance, found, "no champion is in breach", "what was decided was asked for")


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
