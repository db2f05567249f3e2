"""What runs without anybody pressing a button: the daily schedule, the signal's catch-up, and the drift sensor.

All of it reads the calendar and Dagster's event log only: a tick opens no database and imports nothing heavy. It is
off until the user turns it on in the UI, or from the start where `REGIME_ASSETS_AUTOMATION=on`.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from regime_assets.assets.drift_report import EPISODE_METADATA
from regime_assets.assets.lane import Lane
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.universe import HORIZONS

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

AUTOMATION_VARIABLE = "REGIME_ASSETS_AUTOMATION"
FITTED_ASSETS = ("vae", "gmm", "rl_policy")
SENSOR_INTERVAL_SECONDS = 60
SIGNAL_DELAY_HOURS = 3


def starts_on() -> bool:
    """Whether schedules and sensors run from the start."""
    return os.environ.get(AUTOMATION_VARIABLE, "off").lower() == "on"


def daily_job(lane: Lane) -> "UnresolvedAssetJobDefinition":
    """The job that materializes a session's partition of every asset of the universe."""
    return dg.define_asset_job(
        f"{lane.universe.name}_daily",
        selection=dg.AssetSelection.key_prefixes([lane.universe.name]),
        partitions_def=lane.partitions,
        description="Every asset of the universe for one session, in order.",
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


def daily_schedule(lane: Lane, calendar: TradingCalendar) -> dg.ScheduleDefinition:
    """Materializes each session's partition once it exists, in the exchange's time zone."""
    hour, minute = lane.universe.schedule.at.split(":")

    @dg.schedule(
        name=f"{lane.universe.name}_daily_schedule",
        job_name=f"{lane.universe.name}_daily",
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=calendar.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if starts_on() else dg.DefaultScheduleStatus.STOPPED,
        description="After midnight in the exchange's time zone, the partition of the session that has just ended.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        session = context.scheduled_execution_time.date() - timedelta(days=1)
        last = lane.universe.last_partition
        if last is not None and session > last:
            return dg.SkipReason(f"the data of {lane.universe.name} ends on {last}")
        if not calendar.is_session(session):
            return dg.SkipReason(f"{session} was no session of {calendar.name}")
        key = session.isoformat()
        return dg.RunRequest(run_key=f"daily:{lane.universe.name}:{key}", partition_key=key)

    return schedule


def signal_schedule(lane: Lane, calendar: TradingCalendar) -> dg.ScheduleDefinition:
    """Lets the champion answer for a session whose refit was refused or failed after its windows were validated."""
    hour, minute = lane.universe.schedule.at.split(":")
    windows = [lane.of(horizon).key("validated_window") for horizon in HORIZONS]

    @dg.schedule(
        name=f"{lane.universe.name}_signal_schedule",
        job_name=f"{lane.universe.name}_signal",
        cron_schedule=f"{int(minute)} {(int(hour) + SIGNAL_DELAY_HOURS) % 24} * * *",
        execution_timezone=calendar.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if starts_on() else dg.DefaultScheduleStatus.STOPPED,
        description="Some hours after the daily run: the champion's signal, where that run did not come to it.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        session = context.scheduled_execution_time.date() - timedelta(days=1)
        key, instance = session.isoformat(), context.instance
        if not calendar.is_session(session):
            return dg.SkipReason(f"{session} was no session of {calendar.name}")
        if key in instance.get_materialized_partitions(lane.key("daily_signal")):
            return dg.SkipReason(f"the signal of {session} is there")
        if any(key not in instance.get_materialized_partitions(window) for window in windows):
            return dg.SkipReason(f"the windows of {session} were not validated")
        return dg.RunRequest(run_key=f"signal:{lane.universe.name}:{key}", partition_key=key)

    return schedule


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


def _requested(instance: dg.DagsterInstance, universe: Lane, lane: Lane) -> dg.RunRequest | None:
    """The refresh that the newest session's drift report asks for; reports of a backfill's old sessions ask nothing."""
    event = instance.get_latest_materialization_event(lane.key("drift_report"))
    materialization = event.asset_materialization if event else None
    if materialization is None or materialization.partition is None:
        return None
    episode = str(materialization.metadata[EPISODE_METADATA].value)
    newest = max(instance.get_materialized_partitions(lane.key("drift_report")))
    if not episode or materialization.partition != newest:
        return None
    return _refresh(universe, lane, episode, newest)


def _refresh(universe: Lane, lane: Lane, episode: str, partition: str) -> dg.RunRequest:
    """A full retrain of one horizon; Dagster runs a run key once, so an episode is refreshed once."""
    ops = {lane.op_name(asset): {"config": {"full_retrain": True}} for asset in FITTED_ASSETS}
    return dg.RunRequest(
        run_key=f"drift:{universe.universe.name}:{lane.horizon}:{episode}",
        partition_key=partition,
        run_config={"ops": ops},
        tags={"regime_assets/drift_episode": episode, "regime_assets/horizon": str(lane.horizon)},
    )
