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
from regime_assets.library.arrivals import kafka_topic
from regime_assets.library.arrivals.kafka_consumer import Drained, drain_topic, stored_offsets, waiting_messages
from regime_assets.library.arrivals.kafka_topic import Position, Topic
from regime_assets.library.arrivals.micro_batches import StreamError
from regime_assets.library.database import Database
from regime_assets.library.home import Home
from regime_assets.library.steps import bar_decisions
from regime_assets.library.universe import KafkaChoice, UniverseError, load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.chain_run import QUIET
from regime_assets_tests.library.arrivals.streamed_bars import FRIDAY, LOADED, UNIVERSE, bar, last_close, loaded_chain

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
def workspace(tmp_path: Path, feed: Feed) -> Workspace:
    line = f'stream: {{kafka: {{bootstrap_servers: "{feed.broker.servers}", topic: {feed.topic}}}}}'
    return loaded_chain(tmp_path, line)


def drain(workspace: Workspace, feed: Feed) -> Drained:
    return drain_topic(workspace, feed.choice, log=lambda _: None)


def message(workspace: Workspace, move: float = 1.0, symbol: str = "AAPL", **changes: object) -> dict[str, Any]:
    (row,) = bar(workspace, FRIDAY, move, symbol).to_dict("records")
    return {**{str(name): value for name, value in row.items()}, **changes}


def test_a_message_is_read_like_any_other_bar(workspace: Workspace, feed: Feed) -> None:
    feed.send(message(workspace, 1.01), message(workspace, 1.02, "MSFT"))
    drained = drain(workspace, feed)
    assert (drained.messages, drained.report.new_bars, drained.sessions) == (2, 2, (FRIDAY,))
    version = workspace.market.versions("AAPL", FRIDAY).iloc[0]
    assert version["source"] == f"kafka:{feed.topic}"
    assert last_close(workspace, FRIDAY) == pytest.approx(last_close(workspace, LOADED) * 1.01)


def test_a_refused_bar_names_its_way_out_and_an_accepted_one_is_stored_when_it_is_sent_again(
    workspace: Workspace, feed: Feed
) -> None:
    feed.send(message(workspace, 0.05), message(workspace, 1.0, "MSFT"))
    drained = drain(workspace, feed)
    assert drained.report.new_bars == 1
    (refused,) = drained.refused
    assert "quarantine accept tiny --symbol AAPL --session 2020-06-26" in refused
    for rule in set(workspace.quarantine.history("AAPL", [FRIDAY])["rule"]):
        bar_decisions.accept(workspace, "AAPL", FRIDAY, str(rule), "news of the day", "ann")
    feed.send(message(workspace, 0.05))
    assert drain(workspace, feed).report.new_bars == 1


def test_a_restart_goes_on_behind_what_is_stored_and_partitions_are_independent(
    workspace: Workspace, feed: Feed
) -> None:
    feed.send(message(workspace, 1.01))
    feed.send(message(workspace, 1.02, "MSFT"), partition=1)
    assert drain(workspace, feed).messages == 2
    assert drain(workspace, feed) == Drained()
    feed.send(message(workspace, 1.03))
    again = drain(workspace, feed)
    assert (again.messages, again.report.revised_bars) == (1, 1)
    stored = stored_offsets(workspace, feed.topic)
    assert (stored[0], stored[1]) == (2, 1)


def test_a_run_that_dies_before_its_commit_leaves_bars_and_offsets_alone(
    workspace: Workspace, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.send(message(workspace, 1.01), b"no bar")
    with monkeypatch.context() as patched:
        patched.setattr("regime_assets.library.arrivals.kafka_consumer._tell", lambda *_: None)
        patched.setattr(workspace.quarantine, "record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drain(workspace, feed)
    assert stored_offsets(workspace, feed.topic) == {}
    assert set(workspace.market.newest_sessions().values()) == {LOADED}
    assert drain(workspace, feed).report.new_bars == 1
    assert len(workspace.market.versions("AAPL", FRIDAY)) == 1


def test_a_run_that_dies_after_its_commit_stores_nothing_twice(
    workspace: Workspace, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.send(message(workspace, 1.01), b"no bar")
    with monkeypatch.context() as patched:
        patched.setattr(Topic, "commit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drain(workspace, feed)
    assert waiting_messages(feed.choice, "tiny"), "the broker was not told"
    assert drain(workspace, feed) == Drained(), "the store knows better"
    assert len(workspace.quarantine.history()) == 1


def test_of_two_runs_on_the_same_messages_one_stores_them(
    workspace: Workspace, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.send(message(workspace, 1.01))
    read = Topic.read

    def overtaken(self: Topic, start: Mapping[int, int], most: int) -> kafka_topic.Batch:
        batch = read(self, start, most)
        monkeypatch.setattr(Topic, "read", read)
        assert drain(workspace, feed).report.new_bars == 1
        return batch

    monkeypatch.setattr(Topic, "read", overtaken)
    with pytest.raises(StreamError, match="another run"):
        drain(workspace, feed)
    assert len(workspace.market.versions("AAPL", FRIDAY)) == 1


def test_messages_that_are_no_bars_are_held_back_by_offset_and_block_nothing(workspace: Workspace, feed: Feed) -> None:
    good = message(workspace, 1.01)
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
        "lies ahead": {**good, "session": workspace.calendar.all_sessions[-1].isoformat()},
        "sessions are missing": {**good, "session": "2020-07-31"},
    }
    feed.send(*wrong.values(), good)
    drained = drain(workspace, feed)
    assert (drained.messages, drained.report.new_bars, len(drained.refused)) == (len(wrong) + 1, 1, len(wrong))
    history = workspace.quarantine.history()
    shown = dict(zip(history["origin"], history["message"], strict=True))
    for offset, reason in enumerate(wrong):
        assert reason in shown[f"kafka:{feed.topic}/0/{offset}"]
    assert history.query("origin.str.endswith('/0/0')")["payload"].item() == "\\xff{"
    assert drain(workspace, feed) == Drained()


def test_a_bar_that_breaks_a_rule_is_held_back_alone_and_an_earlier_good_one_of_it_counts(
    workspace: Workspace, feed: Feed
) -> None:
    feed.send(message(workspace, 1.01), message(workspace, 1.01, close=-1.0), message(workspace, 1.0, "MSFT"))
    drained = drain(workspace, feed)
    assert (drained.report.new_bars, len(drained.refused)) == (2, 1)
    assert last_close(workspace, FRIDAY) == pytest.approx(last_close(workspace, LOADED) * 1.01)
    negative = workspace.quarantine.history().query("rule == 'positive'")
    assert (negative["origin"].item(), negative["close"].item()) == (f"kafka:{feed.topic}/0/1", -1.0)
    assert negative["accepted_at"].isna().all(), "what came before it is no correction of it"
    feed.send(message(workspace, 1.02))
    drain(workspace, feed)
    assert workspace.quarantine.history()["accepted_at"].notna().all()


def test_of_the_versions_of_a_bar_in_one_transaction_the_newest_is_stored(workspace: Workspace, feed: Feed) -> None:
    feed.send(message(workspace, 1.01), message(workspace, 1.02), message(workspace, 1.03))
    drained = drain(workspace, feed)
    assert (drained.superseded, drained.report.new_bars) == (2, 1)
    assert last_close(workspace, FRIDAY) == pytest.approx(last_close(workspace, LOADED) * 1.03)


def test_more_bad_versions_of_a_bar_than_anyone_waits_for_are_refused_together(
    workspace: Workspace, feed: Feed
) -> None:
    feed.send(*(message(workspace, close=-1.0 - number) for number in range(12)), message(workspace, 1.0, "MSFT"))
    drained = drain(workspace, feed)
    assert (drained.report.new_bars, len(drained.refused)) == (1, 12)


def test_long_waits_are_stored_in_several_transactions(
    workspace: Workspace, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regime_assets.library.arrivals.kafka_consumer.MOST_MESSAGES", 2)
    feed.send(*(message(workspace, 1.0 + number / 1000) for number in range(5)))
    drained = drain(workspace, feed)
    assert (drained.messages, drained.superseded) == (5, 2)
    assert len(workspace.market.versions("AAPL", FRIDAY)) == 3


def test_what_the_broker_deleted_unread_is_on_record(
    workspace: Workspace, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.send(message(workspace, 1.01))
    drain(workspace, feed)
    feed.send(message(workspace, 1.02), message(workspace, 1.03))
    positions = Topic.positions

    def shortened(self: Topic) -> dict[int, Position]:
        return {number: at._replace(oldest=2 if number == 0 else at.oldest) for number, at in positions(self).items()}

    monkeypatch.setattr(Topic, "positions", shortened)
    drained = drain(workspace, feed)
    assert drained.messages == 1
    assert drained.refused == (
        f"kafka:{feed.topic}/0/1: offsets 1 to 1 were deleted by the broker before they were read",
    )


def test_nothing_is_read_before_there_is_a_history(tmp_path: Path, feed: Feed) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(UNIVERSE.format(root=tmp_path, stream=""))
    workspace = Workspace(load_universe(path), Home(tmp_path / "home"))
    with pytest.raises(StreamError, match="materialize raw_prices first"):
        drain(workspace, feed)
    assert stored_offsets(workspace, feed.topic) == {}


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
def definitions(workspace: Workspace, tmp_path: Path) -> dg.Definitions:
    return build_definitions(workspace.home, tmp_path / "universes")


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
    workspace: Workspace,
    feed: Feed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = message(workspace, 1.01), message(workspace, 1.02)
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
    drain(workspace, feed)
    assert isinstance(tick(definitions, instance, asked.cursor), dg.SkipReason)


def test_the_job_stores_good_messages_and_names_the_others(
    definitions: dg.Definitions, instance: dg.DagsterInstance, workspace: Workspace, feed: Feed
) -> None:
    feed.send(b"{", message(workspace, 1.01))
    run = definitions.resolve_job_def("tiny_kafka").execute_in_process(
        instance=instance, run_config=QUIET, raise_on_error=False
    )
    assert not run.success
    (failed,) = [event.step_failure_data for event in run.all_events if event.is_step_failure]
    assert f"kafka:{feed.topic}/0/0: no JSON" in str(failed.error)
    assert workspace.market.newest_sessions() == {"AAPL": FRIDAY, "MSFT": LOADED}
    (observed,) = instance.fetch_observations(dg.AssetKey(["tiny", "raw_prices"]), limit=5).records
    assert observed.partition_key == FRIDAY.isoformat()
    feed.send(message(workspace, 1.02))
    assert definitions.resolve_job_def("tiny_kafka").execute_in_process(instance=instance, run_config=QUIET).success
