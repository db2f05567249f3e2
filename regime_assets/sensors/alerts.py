"""What a person must hear of leaves the event log here: runs that failed for good, refused models, decisions.

A tick reads Dagster's event log, never the database. The cursor holds where it stopped reading and what receivers have
not taken yet, so that a receiver that is away, or a restart, loses nothing. Dagster's own run-failure sensors move
their cursor past a run whose alert could not be sent, which is why this is not one of them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.lane import Lane
from regime_assets.assets.live_performance import (
    ACTION_METADATA,
    ALERT_METADATA,
    OCCASION_METADATA,
    REASON_METADATA,
)
from regime_assets.library.clock import clock
from regime_assets.library.universe.alert_settings import AlertChoice
from regime_assets.runs.failure_record import recorded_tick
from regime_assets.sensors.event_log import PARTITION_TAG, SENSOR_INTERVAL_SECONDS, WILL_RETRY_TAG, is_of, starts_on

if TYPE_CHECKING:
    from regime_assets.library.alerts.alert import Alert

READ_AT_MOST = 20
"""Events of a kind that one tick reads; none while more than twice as many deliveries wait: the log keeps the rest."""

BUDGET_SECONDS = 20.0
"""After which a tick begins no further delivery; Dagster gives a tick 60 seconds, and a delivery may take 10."""

RETRY_TAG_SECONDS = 120
"""How long a failed run may be without Dagster's note on whether it is tried again."""


@dataclass
class Heard:
    """The sensor's cursor.

    Attributes:
        failures: storage id of the last run failure that was read.
        decisions: of the last materialization that was read, by horizon.
        sessions: the newest session decided so far, by horizon: older ones, materialized again, tell nothing new.
        occasions: the last occasion that was told, by horizon.
        waiting: deliveries, as dicts.
    """

    failures: int
    decisions: dict[str, int]
    sessions: dict[str, str] = field(default_factory=dict)
    occasions: dict[str, str] = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(default_factory=list)


def alert_sensor(
    universe: Lane, lanes: Sequence[Lane], choice: AlertChoice, jobs: frozenset[str]
) -> dg.SensorDefinition:
    """Tells the universe's channels of each failure of its jobs and assets, and of each decision, once."""
    name = universe.universe.name

    @dg.sensor(
        name=f"{name}_alert_sensor",
        minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if starts_on() else dg.DefaultSensorStatus.STOPPED,
        description="Sends failures and decisions to Slack, mail or a webhook; what is not taken is tried again.",
    )
    @recorded_tick(name, f"{name}_alert_sensor")
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from regime_assets.library.alerts.channels import channels
        from regime_assets.library.alerts.outbox import Delivery, addressed, deliver

        instance = context.instance
        if context.cursor is None:
            heard = _from_now_on(instance, lanes)
            return _kept(heard, "begins with what happens from now on")
        heard = Heard(**json.loads(context.cursor))
        send = channels(choice)
        waiting = [Delivery.from_dict(values) for values in heard.waiting]
        if len(waiting) <= 2 * READ_AT_MOST:
            alerts = [
                *_failures(instance, universe, jobs, choice.ui, heard),
                *_decisions(instance, lanes, choice.ui, heard),
            ]
            waiting.extend(addressed(alerts, send))
        done = deliver(waiting, send, lambda: clock.system_now().timestamp(), BUDGET_SECONDS)
        for delivery in done.delivered:
            context.log.info(f"told {delivery.channel}: {delivery.alert.subject}")
        for delivery in done.failed:
            context.log.warning(f"{delivery.channel}, attempt {delivery.attempts}: {delivery.trouble}")
        for delivery in done.dropped:
            context.log.warning(f"no channel {delivery.channel} any more: {delivery.alert.subject}")
        heard.waiting = [delivery.to_dict() for delivery in done.waiting]
        troubles = sorted({f"{delivery.channel}: {delivery.trouble}" for delivery in done.waiting if delivery.trouble})
        told = f"{len(done.delivered)} told, {len(done.waiting)} waiting"
        return _kept(heard, "; ".join([told, *troubles]))

    return sensor


def _kept(heard: Heard, message: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=message, cursor=json.dumps(heard.__dict__))


def _from_now_on(instance: dg.DagsterInstance, lanes: Sequence[Lane]) -> Heard:
    """Turned on after months, the sensor tells nothing of the past."""
    failures = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
    decisions, sessions = dict[str, int](), dict[str, str]()
    for _, key, horizon in _told_of(lanes):
        newest = instance.fetch_materializations(key, limit=1).records
        decisions[horizon] = newest[0].storage_id if newest else 0
        sessions[horizon] = max(instance.get_materialized_partitions(key), default="")
    return Heard(failures[0].storage_id if failures else 0, decisions, sessions)


def _failures(
    instance: dg.DagsterInstance, universe: Lane, jobs: frozenset[str], ui: str, heard: Heard
) -> "Iterator[Alert]":
    """Runs of the universe that failed and are not tried again by themselves."""
    records = instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=heard.failures),
        limit=READ_AT_MOST,
        ascending=True,
    ).records
    for record in records:
        run = instance.get_run_by_id(record.run_id)
        if run is None or not is_of(run, universe, jobs):
            heard.failures = record.storage_id
            continue
        is_noted = WILL_RETRY_TAG in run.tags or not instance.run_retries_enabled
        if not is_noted and clock.system_now().timestamp() - record.timestamp < RETRY_TAG_SECONDS:
            return  # Dagster notes whether it tries again right after the event: the next tick knows
        heard.failures = record.storage_id
        if run.tags.get(WILL_RETRY_TAG) != "true":
            yield _failure(instance, run, record, universe, ui)


def _failure(
    instance: dg.DagsterInstance, run: dg.DagsterRun, record: dg.EventLogRecord, universe: Lane, ui: str
) -> "Alert":
    from regime_assets.library.alerts.alert import Alert, shortened

    steps, reasons = list[str](), list[str]()
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        steps.append(str(entry.step_key).replace("__", "/"))
        error = getattr(entry.get_dagster_event().event_specific_data, "error", None)
        while error is not None and error.cause is not None:
            error = error.cause
        reasons.append(error.message if error is not None else "")
    ended = record.event_log_entry.get_dagster_event()
    outside = getattr(ended.event_specific_data, "error", None)
    while outside is not None and outside.cause is not None:
        outside = outside.cause
    message = (outside.message if outside is not None else ended.message) or "the run failed outside of its steps"
    return Alert(
        id=f"run:{run.run_id}",
        kind="run failed",
        universe=universe.universe.name,
        happened=_utc(record.timestamp),
        asset=", ".join(steps) or run.job_name,
        session=run.tags.get(PARTITION_TAG, ""),
        run_id=run.run_id,
        decision="",
        reason=shortened("\n".join(filter(None, reasons)) or message),
        link=f"{ui}/runs/{run.run_id}",
    )


def _decisions(instance: dg.DagsterInstance, lanes: Sequence[Lane], ui: str, heard: Heard) -> "Iterator[Alert]":
    """Decisions and refused models; the same occasion on later sessions is told once."""
    for lane, key, horizon in _told_of(lanes):
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, after_storage_id=heard.decisions.get(horizon, 0)),
            limit=READ_AT_MOST,
            ascending=True,
        ).records
        for record in records:
            heard.decisions[horizon] = record.storage_id
            session = record.partition_key or ""
            if session < heard.sessions.get(horizon, ""):
                continue
            heard.sessions[horizon] = session
            alert = _decision(record, lane, key, ui)
            if alert is not None and heard.occasions.get(horizon) != alert.id:
                heard.occasions[horizon] = alert.id
                yield alert


def _told_of(lanes: Sequence[Lane]) -> "Iterator[tuple[Lane, dg.AssetKey, str]]":
    """The assets whose materializations may want a person, each with its name in the cursor."""
    for lane in lanes:
        yield lane, lane.key("live_performance"), str(lane.horizon)
        for design in lane.designs:
            yield design, design.key("promotion"), f"{' '.join(design.prefix[1:])} promotion"


def _decision(record: dg.EventLogRecord, lane: Lane, key: dg.AssetKey, ui: str) -> "Alert | None":
    from regime_assets.library.alerts.alert import Alert, shortened

    metadata = record.asset_materialization.metadata if record.asset_materialization else {}
    if ALERT_METADATA not in metadata or not metadata[ALERT_METADATA].value:
        return None
    session, path = record.partition_key or "", "/".join(key.path)
    return Alert(
        id=f"decision:{path}:{metadata[OCCASION_METADATA].value}",
        kind="decision",
        universe=lane.universe.name,
        happened=_utc(record.timestamp),
        asset=path,
        session=session,
        run_id=record.run_id or "",
        decision=str(metadata[ACTION_METADATA].value),
        reason=shortened(str(metadata[REASON_METADATA].value)),
        link=f"{ui}/assets/{path}?view=partitions&partition={session}",
    )


def _utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
