"""A Kafka topic in Dagster: a sensor sees that messages wait, and a small job stores their bars.

A tick asks the broker where the partitions end and opens no database. A run starts from the offsets that are stored
beside the bars, so asking twice stores nothing twice. It materializes nothing: the daily run does, and finds the bars.
"""

import json

import dagster as dg

from regime_assets.assets.lane import Lane
from regime_assets.library.clock import clock
from regime_assets.library.universe import KafkaChoice
from regime_assets.metadata import figures
from regime_assets.resources import DataHome
from regime_assets.runs.failure_record import failure_hooks, recorded_tick
from regime_assets.sensors.batches import INTERVAL_SECONDS, RETRIES
from regime_assets.sensors.event_log import starts_on

MOST_SHOWN = 20


def kafka_job(lane: Lane, choice: KafkaChoice) -> dg.JobDefinition:
    """The job that validates and stores the bars of all waiting messages."""
    universe = lane.universe

    @dg.op(name=f"{universe.name}_store_messages", pool=lane.pool, retry_policy=RETRIES)
    def store_messages(context: dg.OpExecutionContext, data: DataHome) -> None:
        from regime_assets.library.arrivals.kafka_consumer import drain_topic

        drained = drain_topic(data.workspace(universe), choice, context.log.info)
        counts = {
            **drained.report._asdict(),
            "messages": drained.messages,
            "superseded": drained.superseded,
            "refused": len(drained.refused),
            "warnings": drained.warnings,
        }
        context.log.info(f"{choice.topic}: {counts}")
        for session in drained.sessions:
            context.log_event(
                dg.AssetObservation(lane.key("raw_prices"), partition=session.isoformat(), metadata=figures(counts))
            )
        if drained.refused:
            shown = "\n".join(drained.refused[:MOST_SHOWN])
            raise dg.Failure(
                f"{len(drained.refused)} messages went to quarantine, the others are stored:\n{shown}",
                allow_retries=False,
            )

    @dg.job(
        hooks=failure_hooks(universe),
        name=f"{universe.name}_kafka",
        description="Validates and stores bars that wait in a Kafka topic.",
    )
    def job() -> None:
        store_messages()

    return job


def kafka_sensor(lane: Lane, choice: KafkaChoice) -> dg.SensorDefinition:
    """Asks for one run for the messages that wait, and once an hour again while they still do."""
    name = lane.universe.name

    @dg.sensor(
        name=f"{name}_kafka_sensor",
        job_name=f"{name}_kafka",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if starts_on() else dg.DefaultSensorStatus.STOPPED,
        description=f"Stores bars from new messages in the Kafka topic {choice.topic}.",
    )
    @recorded_tick(name, f"{name}_kafka_sensor")
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from regime_assets.library.arrivals.kafka_consumer import waiting_messages

        ends = waiting_messages(choice, name)
        if ends is None:
            return dg.SkipReason(f"no new message in {choice.topic}")
        asked = json.dumps({"ends": ends, "hour": f"{clock.now():%Y-%m-%dT%H}"}, sort_keys=True)
        if asked == context.cursor:
            return dg.SkipReason(f"a run for these messages of {choice.topic} was asked for within this hour")
        request = dg.RunRequest(run_key=f"kafka:{name}:{choice.topic}:{asked}")
        return dg.SensorResult(run_requests=[request], cursor=asked)

    return sensor
