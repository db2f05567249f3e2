"""The alert sensor on a real instance: what it tells, once, and what it keeps while nobody listens."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.assets.live_performance import ACTION_METADATA, ALERT_METADATA, OCCASION_METADATA, REASON_METADATA
from regime_assets.definitions import build_definitions
from regime_assets.library.database import Database
from regime_assets.library.home import Home
from regime_assets_tests.library.alerts.receivers import HttpReceiver, http_receiver

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2015-01-02
first_partition: 2019-01-02
last_partition: 2022-12-28
symbols: [AAPL, MSFT, JPM]
traded: [SP500]
alerts: {ui: "http://127.0.0.1:3000", webhook: {}}
"""


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    return build_definitions(Home(tmp_path), tmp_path)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        monkeypatch.setenv("REGIME_ASSETS_WEBHOOK_URL", receiver.url)
        yield receiver


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None) -> tuple[str, str]:
    """Skip message and cursor after one evaluation."""
    sensor = definitions.resolve_sensor_def("tiny_alert_sensor")
    result = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=definitions, cursor=cursor))
    assert result.cursor is not None
    return result.skip_message or "", result.cursor


def report(
    instance: dg.DagsterInstance, session: str, occasion: str, *, alert: bool = True, asset: str = "live_performance"
) -> None:
    metadata = {
        ACTION_METADATA: "roll back and alert" if alert else "nothing",
        OCCASION_METADATA: occasion,
        REASON_METADATA: "it lost",
        ALERT_METADATA: alert,
    }
    key = dg.AssetKey(["tiny", "long", asset])
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=session, metadata=metadata))


def fail(instance: dg.DagsterInstance, job: str = "tiny_daily", tags: dict[str, str] | None = None) -> None:
    @dg.op(name="tiny__raw_prices")
    def raw_prices() -> None:
        raise ValueError("the vendor sent nothing")

    @dg.job(name=job)
    def failing() -> None:
        raw_prices()

    failing.execute_in_process(
        instance=instance, raise_on_error=False, tags={"dagster/partition": "2022-12-23", **(tags or {})}
    )


def test_the_past_is_not_told(definitions: dg.Definitions, instance: dg.DagsterInstance, hook: HttpReceiver) -> None:
    fail(instance)
    report(instance, "2022-12-22", "roll-back-2022-12-22")
    _, cursor = tick(definitions, instance, None)
    tick(definitions, instance, cursor)
    assert hook.posted == []


def test_a_failed_run_is_told_once_with_step_session_and_reason(
    definitions: dg.Definitions, instance: dg.DagsterInstance, hook: HttpReceiver
) -> None:
    _, cursor = tick(definitions, instance, None)
    fail(instance)
    _, cursor = tick(definitions, instance, cursor)
    tick(definitions, instance, cursor)
    (posted,) = hook.posted
    (run,) = instance.get_runs()
    assert posted.body["asset"] == "tiny/raw_prices"
    assert posted.body["session"] == "2022-12-23"
    assert posted.body["run_id"] == run.run_id
    assert "the vendor sent nothing" in posted.body["reason"]
    assert posted.body["link"] == f"http://127.0.0.1:3000/runs/{run.run_id}"


def test_runs_of_others_and_runs_that_are_tried_again_are_not_told(
    definitions: dg.Definitions, instance: dg.DagsterInstance, hook: HttpReceiver
) -> None:
    _, cursor = tick(definitions, instance, None)
    fail(instance, job="tiny_other_daily")
    fail(instance, tags={"dagster/will_retry": "true"})
    tick(definitions, instance, cursor)
    assert hook.posted == []


def test_a_decision_is_told_once_an_occasion(
    definitions: dg.Definitions, instance: dg.DagsterInstance, hook: HttpReceiver
) -> None:
    _, cursor = tick(definitions, instance, None)
    report(instance, "2022-12-22", "", alert=False)
    report(instance, "2022-12-23", "roll-back-2022-12-23")
    report(instance, "2022-12-27", "", alert=False)
    _, cursor = tick(definitions, instance, cursor)
    report(instance, "2022-12-28", "roll-back-2022-12-23")
    _, cursor = tick(definitions, instance, cursor)
    (posted,) = hook.posted
    assert posted.body["decision"] == "roll back and alert"
    assert posted.body["session"] == "2022-12-23"
    assert posted.body["asset"] == "tiny/long/live_performance"


def test_a_refused_model_is_told_although_its_run_succeeds(
    definitions: dg.Definitions, instance: dg.DagsterInstance, hook: HttpReceiver
) -> None:
    _, cursor = tick(definitions, instance, None)
    report(instance, "2022-12-23", "refused-2022-12-23", asset="promotion")
    _, cursor = tick(definitions, instance, cursor)
    tick(definitions, instance, cursor)
    (posted,) = hook.posted
    assert (posted.body["asset"], posted.body["session"]) == ("tiny/long/promotion", "2022-12-23")


def test_old_sessions_that_are_materialized_again_tell_nothing(
    definitions: dg.Definitions, instance: dg.DagsterInstance, hook: HttpReceiver
) -> None:
    report(instance, "2022-12-27", "", alert=False)
    _, cursor = tick(definitions, instance, None)
    report(instance, "2020-03-02", "roll-back-2020-03-02")
    tick(definitions, instance, cursor)
    assert hook.posted == []


def test_a_receiver_that_is_away_gets_the_alert_when_it_is_back(
    definitions: dg.Definitions, instance: dg.DagsterInstance, hook: HttpReceiver
) -> None:
    _, cursor = tick(definitions, instance, None)
    hook.statuses = [503]
    report(instance, "2022-12-23", "roll-back-2022-12-23")
    message, cursor = tick(definitions, instance, cursor)
    assert message == "0 told, 1 waiting; webhook: the webhook answered HTTP 503"
    message, cursor = tick(definitions, instance, cursor)
    assert len(hook.posted) == 1, "it is not due yet"
    due = json.loads(cursor)
    due["waiting"][0]["not_before"] = 0
    message, cursor = tick(definitions, instance, json.dumps(due))
    assert message == "1 told, 0 waiting"
    assert [posted.body["id"] for posted in hook.posted] == [hook.posted[0].body["id"]] * 2


def test_a_missing_secret_is_named_and_the_alert_waits(
    definitions: dg.Definitions, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGIME_ASSETS_WEBHOOK_URL", raising=False)
    _, cursor = tick(definitions, instance, None)
    report(instance, "2022-12-23", "roll-back-2022-12-23")
    message, _ = tick(definitions, instance, cursor)
    assert "1 waiting" in message
    assert "REGIME_ASSETS_WEBHOOK_URL is not set" in message


def test_a_tick_never_opens_the_database(
    definitions: dg.Definitions, instance: dg.DagsterInstance, hook: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Database) -> None:
        raise AssertionError(f"{self.path} was opened")

    monkeypatch.setattr(Database, "connect", refuse)
    _, cursor = tick(definitions, instance, None)
    report(instance, "2022-12-23", "roll-back-2022-12-23")
    tick(definitions, instance, cursor)
    assert len(hook.posted) == 1


def test_without_alerts_in_its_file_a_universe_has_no_such_sensor(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE.rpartition("alerts:")[0])
    definitions = build_definitions(Home(tmp_path), tmp_path)
    assert "tiny_alert_sensor" not in {sensor.name for sensor in definitions.sensors or ()}
