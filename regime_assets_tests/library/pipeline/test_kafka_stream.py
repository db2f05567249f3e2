"""Messages of a Kafka topic become bars exactly once, whatever dies; what is no bar is held back and blocks nothing.

The broker is librdkafka's own mock broker, reached over a socket by the real client. With REGIME_ASSETS_KAFKA=host:port
the same tests run against that broker.
"""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from regime_assets.definitions import build_definitions
from regime_assets.library.chain import Chain
from regime_assets.library.database import Database
from regime_assets.library.home import Home
from regime_assets.library.pipeline import kafka_topic
from regime_assets.library.pipeline.kafka_stream import Drained, drain_topic, stored_offsets, waiting_messages
from regime_assets.library.pipeline.kafka_topic import Position, Topic
from regime_assets.library.pipeline.streaming import StreamError
from regime_assets.library.universe import KafkaChoice, UniverseError, load_universe
from regime_assets_tests.chain_run import QUIET
from regime_assets_tests.library.pipeline.streamed_bars import FRIDAY, LOADED, UNIVERSE, bar, last_close, loaded_chain

QUICK = {"log_level": 2, "linger.ms": 0}


class Broker(NamedTuple):
    """A broker and a producer that writes to it."""

    servers: str
    producer: Producer
    is_mock: bool


class Feed(NamedTuple):
    """One topic, and who writes to it."""

    broker: Broker
    topic: str

    def send(self, *values: object, partition: int = 0) -> None:
        """Write messages: bytes as they are, None as a tombstone, anything else as JSON."""
        for value in values:
            raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            self.broker.producer.produce(self.topic, raw, partition=partition)
            assert self.broker.producer.flush(10) == 0

    @property
    def choice(self) -> KafkaChoice:
        """The topic as a universe names it."""
        return KafkaChoice.model_validate({"bootstrap_servers": self.broker.servers, "topic": self.topic})


@pytest.fixture(scope="module")
def broker() -> Broker:
    servers = os.environ.get("REGIME_ASSETS_KAFKA")
    if servers:
        return Broker(servers, Producer({"bootstrap.servers": servers, **QUICK}), is_mock=False)
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, **QUICK})
    (node,) = producer.list_topics(timeout=10).brokers.values()
    return Broker(f"{node.host}:{node.port}", producer, is_mock=True)


@pytest.fixture
def feed(broker: Broker) -> Feed:
    feed = Feed(broker, f"bars-{uuid.uuid4().hex[:8]}")
    if broker.is_mock:
        broker.producer.list_topics(feed.topic, timeout=10)  # which creates it
    else:
        admin = AdminClient({"bootstrap.servers": broker.servers})
        admin.create_topics([NewTopic(feed.topic, 2, 1)])[feed.topic].result(10)
    return feed


@pytest.fixture
def chain(tmp_path: Path, feed: Feed) -> Chain:
    line = f'stream: {{kafka: {{bootstrap_servers: "{feed.broker.servers}", topic: {feed.topic}}}}}'
    return loaded_chain(tmp_path, line)


def drain(chain: Chain, feed: Feed) -> Drained:
    return drain_topic(chain, feed.choice, log=lambda _: None)


def message(chain: Chain, move: float = 1.0, symbol: str = "AAPL", **changes: object) -> dict[str, Any]:
    (row,) = bar(chain, FRIDAY, move, symbol).to_dict("records")
    return {**{str(name): value for name, value in row.items()}, **changes}


def test_a_message_is_read_like_any_other_bar(chain: Chain, feed: Feed) -> None:
    feed.send(message(chain, 1.01), message(chain, 1.02, "MSFT"))
    drained = drain(chain, feed)
    assert (drained.messages, drained.report.new_bars, drained.sessions) == (2, 2, (FRIDAY,))
    version = chain.market.versions("AAPL", FRIDAY).iloc[0]
    assert version["source"] == f"kafka:{feed.topic}"
    assert last_close(chain, FRIDAY) == pytest.approx(last_close(chain, LOADED) * 1.01)


def test_a_restart_goes_on_behind_what_is_stored_and_partitions_are_independent(chain: Chain, feed: Feed) -> None:
    feed.send(message(chain, 1.01))
    feed.send(message(chain, 1.02, "MSFT"), partition=1)
    assert drain(chain, feed).messages == 2
    assert drain(chain, feed) == Drained()
    feed.send(message(chain, 1.03))
    again = drain(chain, feed)
    assert (again.messages, again.report.revised_bars) == (1, 1)
    stored = stored_offsets(chain, feed.topic)
    assert (stored[0], stored[1]) == (2, 1)


def test_a_run_that_dies_before_its_commit_leaves_bars_and_offsets_alone(
    chain: Chain, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.send(message(chain, 1.01), b"no bar")
    with monkeypatch.context() as patched:
        patched.setattr("regime_assets.library.pipeline.kafka_stream._tell", lambda *_: None)
        patched.setattr(chain.quarantine, "record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drain(chain, feed)
    assert stored_offsets(chain, feed.topic) == {}
    assert set(chain.market.newest_sessions().values()) == {LOADED}
    assert drain(chain, feed).report.new_bars == 1
    assert len(chain.market.versions("AAPL", FRIDAY)) == 1


def test_a_run_that_dies_after_its_commit_stores_nothing_twice(
    chain: Chain, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.send(message(chain, 1.01), b"no bar")
    with monkeypatch.context() as patched:
        patched.setattr(Topic, "commit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drain(chain, feed)
    assert waiting_messages(feed.choice, "tiny"), "the broker was not told"
    assert drain(chain, feed) == Drained(), "the store knows better"
    assert len(chain.quarantine.history()) == 1


def test_of_two_runs_on_the_same_messages_one_stores_them(
    chain: Chain, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.send(message(chain, 1.01))
    read = Topic.read

    def overtaken(self: Topic, start: Mapping[int, int], most: int) -> kafka_topic.Batch:
        batch = read(self, start, most)
        monkeypatch.setattr(Topic, "read", read)
        assert drain(chain, feed).report.new_bars == 1
        return batch

    monkeypatch.setattr(Topic, "read", overtaken)
    with pytest.raises(StreamError, match="another run"):
        drain(chain, feed)
    assert len(chain.market.versions("AAPL", FRIDAY)) == 1


def test_messages_that_are_no_bars_are_held_back_by_offset_and_block_nothing(chain: Chain, feed: Feed) -> None:
    good = message(chain, 1.01)
    wrong: dict[str, object] = {
        "no JSON": b"\xff{",
        "no JSON object": [good],
        "a tombstone": None,
        "no close": {name: value for name, value in good.items() if name != "close"},
        "close is no number": {**good, "close": "12"},
        "high is no number": {**good, "high": True},
        "is no day such as": {**good, "session": "0001-01-01"},
        "symbol is no text": {**good, "symbol": 7},
        "more than a bar has": b" " * 70_000,
        "GONE is no instrument of tiny": {**good, "symbol": "GONE"},
        "no session of XNYS": {**good, "session": "2020-06-27"},
        "lies ahead": {**good, "session": chain.calendar.all_sessions[-1].isoformat()},
        "sessions are missing": {**good, "session": "2020-07-31"},
    }
    feed.send(*wrong.values(), good)
    drained = drain(chain, feed)
    assert (drained.messages, drained.report.new_bars, len(drained.refused)) == (len(wrong) + 1, 1, len(wrong))
    history = chain.quarantine.history()
    shown = dict(zip(history["origin"], history["message"], strict=True))
    for offset, reason in enumerate(wrong):
        assert reason in shown[f"kafka:{feed.topic}/0/{offset}"]
    assert history.query("origin.str.endswith('/0/0')")["payload"].item() == "\\xff{"
    assert drain(chain, feed) == Drained()


def test_a_bar_that_breaks_a_rule_is_held_back_alone_and_an_earlier_good_one_of_it_counts(
    chain: Chain, feed: Feed
) -> None:
    feed.send(message(chain, 1.01), message(chain, 1.01, low=-1.0), message(chain, 1.0, "MSFT"))
    drained = drain(chain, feed)
    assert (drained.report.new_bars, len(drained.refused)) == (2, 1)
    assert last_close(chain, FRIDAY) == pytest.approx(last_close(chain, LOADED) * 1.01)
    negative = chain.quarantine.history().query("rule == 'positive'")
    assert (negative["origin"].item(), negative["low"].item()) == (f"kafka:{feed.topic}/0/1", -1.0)
    assert negative["accepted_at"].isna().all(), "what came before it is no correction of it"
    feed.send(message(chain, 1.02))
    drain(chain, feed)
    assert chain.quarantine.history()["accepted_at"].notna().all()


def test_of_the_versions_of_a_bar_in_one_transaction_the_newest_is_stored(chain: Chain, feed: Feed) -> None:
    feed.send(message(chain, 1.01), message(chain, 1.02), message(chain, 1.03))
    drained = drain(chain, feed)
    assert (drained.superseded, drained.report.new_bars) == (2, 1)
    assert last_close(chain, FRIDAY) == pytest.approx(last_close(chain, LOADED) * 1.03)


def test_more_bad_versions_of_a_bar_than_anyone_waits_for_are_refused_together(chain: Chain, feed: Feed) -> None:
    feed.send(*(message(chain, low=-1.0 - number) for number in range(12)), message(chain, 1.0, "MSFT"))
    drained = drain(chain, feed)
    assert (drained.report.new_bars, len(drained.refused)) == (1, 12)


def test_long_waits_are_stored_in_several_transactions(
    chain: Chain, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regime_assets.library.pipeline.kafka_stream.MOST_MESSAGES", 2)
    feed.send(*(message(chain, 1.0 + number / 1000) for number in range(5)))
    drained = drain(chain, feed)
    assert (drained.messages, drained.superseded) == (5, 2)
    assert len(chain.market.versions("AAPL", FRIDAY)) == 3


def test_what_the_broker_deleted_unread_is_on_record(chain: Chain, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.send(message(chain, 1.01))
    drain(chain, feed)
    feed.send(message(chain, 1.02), message(chain, 1.03))
    positions = Topic.positions

    def shortened(self: Topic) -> dict[int, Position]:
        return {number: at._replace(oldest=2 if number == 0 else at.oldest) for number, at in positions(self).items()}

    monkeypatch.setattr(Topic, "positions", shortened)
    drained = drain(chain, feed)
    assert drained.messages == 1
    assert drained.refused == (
        f"kafka:{feed.topic}/0/1: offsets 1 to 1 were deleted by the broker before they were read",
    )


def test_nothing_is_read_before_there_is_a_history(tmp_path: Path, feed: Feed) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(UNIVERSE.format(root=tmp_path, stream=""))
    chain = Chain(load_universe(path), Home(tmp_path / "home"))
    with pytest.raises(StreamError, match="materialize raw_prices first"):
        drain(chain, feed)
    assert stored_offsets(chain, feed.topic) == {}


def test_an_unknown_topic_and_a_dead_broker_are_named(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topic, "ANSWER_SECONDS", 1.0)
    with pytest.raises(StreamError, match="nowhere"):
        waiting_messages(feed.choice.model_copy(update={"topic": "nowhere"}), "tiny")
    with pytest.raises(StreamError, match=feed.topic):
        waiting_messages(feed.choice.model_copy(update={"bootstrap_servers": "127.0.0.1:1"}), "tiny")


def test_the_password_comes_from_the_environment(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_USERNAME", "reader")
    monkeypatch.delenv("KAFKA_PASSWORD", raising=False)
    with pytest.raises(StreamError, match="KAFKA_PASSWORD"):
        waiting_messages(feed.choice.model_copy(update={"security": "sasl_ssl"}), "tiny")


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ("stream: {}", "a folder, a kafka topic, or both"),
        ("stream: {kafka: {bootstrap_servers: broker, topic: bars}}", "bootstrap_servers"),
        ("stream: {kafka: {bootstrap_servers: 'b:1', topic: bars, password: x}}", "password"),
    ],
)
def test_a_stream_that_cannot_be_is_refused_by_line(tmp_path: Path, stream: str, words: str) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(UNIVERSE.format(root=tmp_path, stream=stream))
    with pytest.raises(UniverseError, match=rf"tiny.yaml:6: stream.*{words}"):
        load_universe(path)


@pytest.fixture
def definitions(chain: Chain, tmp_path: Path) -> dg.Definitions:
    return build_definitions(chain.home, tmp_path / "universes")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def tick(
    definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    sensor = definitions.resolve_sensor_def("tiny_kafka_sensor")
    result = sensor(dg.build_sensor_context(instance=instance, definitions=definitions, cursor=cursor))
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_a_tick_asks_for_waiting_messages_once_and_opens_no_database(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    chain: Chain,
    feed: Feed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = message(chain, 1.01), message(chain, 1.02)
    with monkeypatch.context() as patched:
        patched.setattr(Database, "connect", lambda _: 1 / 0)
        assert isinstance(tick(definitions, instance), dg.SkipReason)
        feed.send(first)
        asked = tick(definitions, instance)
        assert isinstance(asked, dg.SensorResult)
        assert len(asked.run_requests or []) == 1
        assert isinstance(tick(definitions, instance, asked.cursor), dg.SkipReason)
        feed.send(second)
        assert isinstance(tick(definitions, instance, asked.cursor), dg.SensorResult)
    drain(chain, feed)
    assert isinstance(tick(definitions, instance, asked.cursor), dg.SkipReason)


def test_the_job_stores_good_messages_and_names_the_others(
    definitions: dg.Definitions, instance: dg.DagsterInstance, chain: Chain, feed: Feed
) -> None:
    feed.send(b"{", message(chain, 1.01))
    run = definitions.resolve_job_def("tiny_kafka").execute_in_process(
        instance=instance, run_config=QUIET, raise_on_error=False
    )
    assert not run.success
    (failed,) = [event.step_failure_data for event in run.all_events if event.is_step_failure]
    assert f"kafka:{feed.topic}/0/0: no JSON" in str(failed.error)
    assert chain.market.newest_sessions() == {"AAPL": FRIDAY, "MSFT": LOADED}
    (observed,) = instance.fetch_observations(dg.AssetKey(["tiny", "raw_prices"]), limit=5).records
    assert observed.partition_key == FRIDAY.isoformat()
    feed.send(message(chain, 1.02))
    assert definitions.resolve_job_def("tiny_kafka").execute_in_process(instance=instance, run_config=QUIET).success
