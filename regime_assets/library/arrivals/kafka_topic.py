"""A Kafka topic as a reader needs it: where its partitions end, and the messages from given offsets on.

Through confluent-kafka (librdkafka). Offsets are the caller's to keep: partitions are assigned by hand, and what is
committed to the broker only tells others, and the sensor, how far this reader is.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from regime_assets.library.arrivals.micro_batches import StreamError
from regime_assets.library.universe import KafkaChoice

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

ANSWER_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""A broker that is silent for so long before its partitions' known ends counts as gone."""


class Position(NamedTuple):
    """One partition: its oldest kept offset, the offset behind its newest message, and the committed one, if any."""

    oldest: int
    end: int
    committed: int | None


class Record(NamedTuple):
    """One message.

    Attributes:
        partition: its partition.
        offset: its offset there.
        sent_at: the broker's or producer's timestamp, milliseconds since 1970.
        value: its bytes; None for a tombstone.
    """

    partition: int
    offset: int
    sent_at: int
    value: bytes | None


class Batch(NamedTuple):
    """What was read.

    Attributes:
        records: messages in the order of each partition's offsets.
        reached: partition → offset behind the last one that was read.
        complete: whether every partition's end was reached.
    """

    records: list[Record]
    reached: dict[int, int]
    complete: bool


class Topic:
    """An open topic, read as one consumer group; use `open_topic`."""

    def __init__(self, consumer: Consumer, name: str) -> None:
        self._consumer = consumer
        self.name = name

    def positions(self) -> dict[int, Position]:
        """Partition → where it begins and ends. No message is read.

        Raises:
            StreamError: the broker does not answer, or has no such topic.
        """
        with _told(self.name):
            described = self._consumer.list_topics(self.name, timeout=ANSWER_SECONDS).topics[self.name]
            if described.error is not None:
                raise StreamError(f"kafka topic {self.name}: {described.error.str()}")
            partitions = [self._at(number) for number in sorted(described.partitions)]
            committed = self._consumer.committed(partitions, timeout=ANSWER_SECONDS)
            ends = [self._consumer.get_watermark_offsets(one, timeout=ANSWER_SECONDS) for one in partitions]
        return {
            one.partition: Position(low, high, done.offset if done.offset >= 0 else None)
            for one, (low, high), done in zip(partitions, ends, committed, strict=True)
        }

    def read(self, start: Mapping[int, int], most: int) -> Batch:
        """Messages of each partition from `start` to its end, at most `most` in all.

        Raises:
            StreamError: the broker failed or fell silent; nothing was kept.
        """
        from confluent_kafka import KafkaError

        reached, unfinished, records = dict(start), set(start), list[Record]()
        with _told(self.name):
            self._consumer.assign([self._at(partition, offset) for partition, offset in start.items()])
            while unfinished and len(records) < most:
                message = self._consumer.poll(SILENCE_SECONDS)
                if message is None:
                    raise StreamError(f"kafka topic {self.name}: no answer for {SILENCE_SECONDS:.0f} s")
                partition, offset, error = message.partition(), message.offset(), message.error()
                if partition is None or offset is None or (error and error.code() != KafkaError._PARTITION_EOF):
                    raise StreamError(f"kafka topic {self.name}, partition {partition}: {error}")
                if error is None:
                    records.append(Record(partition, offset, message.timestamp()[1], message.value()))
                    reached[partition] = offset + 1
                else:  # the end, which also lies behind transaction markers, which are no messages
                    reached[partition] = max(reached[partition], offset)
                    unfinished.discard(partition)
        return Batch(records, reached, not unfinished)

    def commit(self, reached: Mapping[int, int]) -> None:
        """Tell the broker how far this group has read.

        Raises:
            StreamError: the broker does not take it.
        """
        with _told(self.name):
            offsets = [self._at(partition, offset) for partition, offset in reached.items()]
            self._consumer.commit(offsets=offsets, asynchronous=False)

    def _at(self, partition: int, offset: int = -1001) -> TopicPartition:
        from confluent_kafka import TopicPartition

        return TopicPartition(self.name, partition, offset)


@contextmanager
def open_topic(choice: KafkaChoice, group: str) -> Generator[Topic]:
    """A connection to the topic of a universe; closed at the end. Opening it does not yet ask the broker.

    Raises:
        StreamError: confluent-kafka is not installed, or a secret is missing from the environment.
    """
    try:
        from confluent_kafka import Consumer
    except ImportError as error:
        raise StreamError('a kafka stream needs the extra: pip install "regime_assets[kafka]"') from error
    with _told(choice.topic):
        consumer = Consumer(_settings(choice, group))
    try:
        yield Topic(consumer, choice.topic)
    finally:
        consumer.close()


def _settings(choice: KafkaChoice, group: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap.servers": choice.bootstrap_servers,
        "security.protocol": choice.security,
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "isolation.level": "read_committed",
        "log_level": 2,
    }
    if choice.security == "sasl_ssl":
        settings |= {
            "sasl.mechanism": choice.mechanism,
            "sasl.username": _secret("KAFKA_USERNAME"),
            "sasl.password": _secret("KAFKA_PASSWORD"),
        }
    return settings


def _secret(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise StreamError(f"kafka with security sasl_ssl: set the environment variable {variable}")
    return value


@contextmanager
def _told(topic: str) -> Generator[None]:
    """The client's errors as ours, naming the topic."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        raise StreamError(f"kafka topic {topic}: {error.args[0].str()}") from error
