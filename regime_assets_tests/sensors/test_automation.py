"""Drift and decision sensors: what they ask for, and that they ask once."""

from pathlib import Path

import dagster as dg
import pytest

from regime_assets.assets.drift_report import EPISODE_METADATA
from regime_assets.assets.live_performance import (
    ACTION_METADATA,
    OCCASION_METADATA,
    REASON_METADATA,
    ROLL_BACK_METADATA,
)
from regime_assets.definitions import build_definitions
from regime_assets.library.database import Database
from regime_assets.library.home import Home

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2015-01-02
first_partition: 2019-01-02
last_partition: 2022-12-28
symbols: [AAPL, MSFT, JPM]
traded: [SP500]
"""


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    return build_definitions(Home(tmp_path), tmp_path)


def test_the_daily_job_is_retried(definitions: dg.Definitions) -> None:
    tags = definitions.resolve_job_def("tiny_daily").tags
    assert tags["dagster/max_retries"] == "2"
    assert tags["dagster/retry_strategy"] == "ALL_STEPS", "or the answer stays that of the champion before"


def test_automation_is_off_until_it_is_turned_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    off = build_definitions(Home(tmp_path), tmp_path)
    monkeypatch.setenv("REGIME_ASSETS_AUTOMATION", "on")
    on = build_definitions(Home(tmp_path), tmp_path)
    for definitions, status in ((off, "STOPPED"), (on, "RUNNING")):
        assert definitions.resolve_schedule_def("tiny_daily_schedule").default_status.value == status
        assert definitions.resolve_sensor_def("daily_sensor").default_status.value == status
        assert definitions.resolve_sensor_def("drift_sensor").default_status.value == status


def report_drift(instance: dg.DagsterInstance, session: str, episode: str) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=dg.AssetKey(["tiny", "short", "drift_report"]),
            partition=session,
            metadata={EPISODE_METADATA: episode},
        )
    )


def evaluate(definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    sensor = definitions.resolve_sensor_def("drift_sensor")
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    return list(sensor.evaluate_tick(context).run_requests or [])


def test_no_drift_asks_for_nothing(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        assert evaluate(definitions, instance) == []
        report_drift(instance, "2022-12-23", "")
        assert evaluate(definitions, instance) == []


def test_an_episode_asks_for_one_full_refresh_of_its_horizon(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        report_drift(instance, "2022-12-23", "drift-2022-12-23")
        (request,) = evaluate(definitions, instance)
        assert request.partition_key == "2022-12-23"
        assert request.run_key == "drift:tiny:short:drift-2022-12-23"
        assert request.run_config["ops"]["tiny__short__vae"]["config"] == {"full_retrain": True}
        assert "tiny__long__vae" not in request.run_config["ops"]


def test_later_sessions_of_an_episode_ask_under_the_same_run_key(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        report_drift(instance, "2022-12-23", "drift-2022-12-23")
        (first,) = evaluate(definitions, instance)
        report_drift(instance, "2022-12-27", "drift-2022-12-23")
        (second,) = evaluate(definitions, instance)
    assert first.run_key == second.run_key, "Dagster runs a run key once"


def test_old_sessions_that_are_materialized_again_ask_for_nothing(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        report_drift(instance, "2022-12-27", "")
        report_drift(instance, "2020-03-02", "drift-2020-02-27")
        assert evaluate(definitions, instance) == []


def test_the_request_is_valid_run_config_of_the_daily_job(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        report_drift(instance, "2022-12-23", "drift-2022-12-23")
        (request,) = evaluate(definitions, instance)
    assert dg.validate_run_config(definitions.resolve_job_def("tiny_daily"), request.run_config)


def test_a_tick_never_opens_the_database(definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Database) -> None:
        raise AssertionError(f"{self.path} was opened")

    monkeypatch.setattr(Database, "connect", refuse)
    with dg.instance_for_test() as instance:
        report_drift(instance, "2022-12-23", "drift-2022-12-23")
        assert len(evaluate(definitions, instance)) == 1


def report_performance(
    instance: dg.DagsterInstance, session: str, action: str, occasion: str, to: int | None = None
) -> None:
    metadata = {ACTION_METADATA: action, OCCASION_METADATA: occasion, REASON_METADATA: "it lost"}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=dg.AssetKey(["tiny", "long", "live_performance"]),
            partition=session,
            metadata=metadata if to is None else {**metadata, ROLL_BACK_METADATA: to},
        )
    )


def decide(definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    sensor = definitions.resolve_sensor_def("decision_sensor")
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    return list(sensor.evaluate_tick(context).run_requests or [])


def test_a_breach_asks_for_one_roll_back_with_its_reason(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        report_performance(instance, "2022-12-22", "nothing", "")
        assert decide(definitions, instance) == []
        report_performance(instance, "2022-12-23", "roll back and alert", "roll-back-2022-12-23")
        (first,) = decide(definitions, instance)
        report_performance(instance, "2022-12-27", "roll back and alert", "roll-back-2022-12-23")
        (second,) = decide(definitions, instance)
    assert first.job_name == "tiny_roll_back"
    assert first.run_config["ops"]["tiny_roll_back_champion"]["config"] == {"horizon": "long", "reason": "it lost"}
    assert dg.validate_run_config(definitions.resolve_job_def("tiny_roll_back"), first.run_config)
    assert first.run_key == second.run_key


def test_a_roll_back_goes_to_the_version_that_the_decision_names(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        report_performance(instance, "2022-12-23", "roll back and alert", "roll-back-2022-12-23", to=7)
        (request,) = decide(definitions, instance)
    assert request.run_config["ops"]["tiny_roll_back_champion"]["config"]["to"] == 7
    assert dg.validate_run_config(definitions.resolve_job_def("tiny_roll_back"), request.run_config)


def test_a_breach_without_a_predecessor_asks_for_a_full_retrain(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        report_performance(instance, "2022-12-23", "full retrain", "breach-2022-12-20")
        (request,) = decide(definitions, instance)
    assert request.job_name == "tiny_daily"
    assert request.partition_key == "2022-12-23"
    assert request.run_config["ops"]["tiny__long__vae"]["config"] == {"full_retrain": True}


def test_a_drift_episode_is_left_to_the_drift_sensor(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        report_performance(instance, "2022-12-23", "full retrain", "drift-2022-12-20")
        assert decide(definitions, instance) == []


def test_an_episode_whose_refresh_was_asked_for_asks_for_nothing_whichever_sensor_asked(
    definitions: dg.Definitions,
) -> None:
    @dg.job(name="tiny_daily")
    def job() -> None: ...

    with dg.instance_for_test() as instance:
        report_drift(instance, "2022-12-23", "drift-2022-12-23")
        tags = {"dagster/run_key": "drift:tiny:short:drift-2022-12-23", "dagster/sensor_name": "of_an_older_version"}
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS, tags=tags)
        assert evaluate(definitions, instance) == []
