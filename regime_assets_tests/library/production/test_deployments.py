from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.production.bundle import Bundle
from regime_assets.library.production.deployments import (
    Deployment,
    DeploymentLog,
    inputs_hash,
)
from regime_assets.library.production.signal import score
from regime_assets_tests.library.production.bundles import SESSION, random_bundle, random_features

EVENING = datetime(2022, 3, 1, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(seed=1, serves="policy")


@pytest.fixture
def log(tmp_path: Path) -> DeploymentLog:
    return DeploymentLog(DatabaseFile(tmp_path / "test.duckdb"))


@pytest.fixture(scope="module")
def deployment(bundle: Bundle) -> Deployment:
    features = random_features(bundle)
    return Deployment(
        universe="us",
        horizon="short",
        model_version=3,
        bundle_sha256=bundle.sha256(),
        inputs_hash=inputs_hash(features),
        features=features.iloc[-1].to_dict(),
        signal=score(bundle, features),
        decided_at=EVENING,
        reason="champion",
    )


def test_what_was_recorded_comes_back_to_the_bit(log: DeploymentLog, deployment: Deployment) -> None:
    assert log.served("us", "short", SESSION) is None
    assert log.history("us", "short", SESSION, SESSION) == ()
    assert log.record(deployment)
    assert log.served("us", "short", SESSION) == deployment
    assert log.served("us", "long", SESSION) is None
    assert log.served("us", "short", SESSION + timedelta(days=1)) is None


def test_a_retried_step_leaves_one_row(log: DeploymentLog, deployment: Deployment) -> None:
    log.record(deployment)
    assert not log.record(replace(deployment, decided_at=EVENING + timedelta(minutes=5), reason="retry"))
    assert log.served("us", "short", SESSION) == deployment


def test_a_later_answer_does_not_rewrite_what_served_at_the_fill(log: DeploymentLog, deployment: Deployment) -> None:
    backfill = replace(deployment, model_version=9, decided_at=EVENING + timedelta(days=300), reason="backfill")
    log.record(deployment)
    assert log.record(backfill)
    fill = datetime(2022, 3, 2, 16, tzinfo=timezone(timedelta(hours=-5)))
    assert log.served("us", "short", SESSION, by=fill) == deployment
    assert log.served("us", "short", SESSION) == backfill
    assert log.served("us", "short", SESSION, by=EVENING - timedelta(seconds=1)) is None


def test_the_history_has_each_sessions_newest_answer_in_order(log: DeploymentLog, deployment: Deployment) -> None:
    days = [date(2022, 3, day) for day in (3, 1, 2)]
    for version, day in enumerate([*days, days[0]]):
        log.record(replace(deployment, model_version=version, signal=replace(deployment.signal, session=day)))
    found = log.history("us", "short", date(2022, 3, 2), date(2022, 3, 3))
    assert [(d.signal.session.day, d.model_version) for d in found] == [(2, 2), (3, 3)]
    assert log.history("us", "short", date(2022, 3, 1), date(2022, 3, 3), newest=2) == found
    assert log.weights("us", "short", date(2022, 3, 2), date(2022, 3, 3)) == {
        one.signal.session: one.signal.weights for one in found
    }


def test_a_time_without_a_zone_and_a_value_that_is_no_number_are_refused(
    log: DeploymentLog, deployment: Deployment
) -> None:
    with pytest.raises(ValueError, match="time zone"):
        log.record(replace(deployment, decided_at=datetime(2022, 3, 1, 23)))
    with pytest.raises(ValueError, match="JSON"):
        log.record(replace(deployment, features={"trend": float("nan")}))
    assert log.served("us", "short", SESSION) is None


def test_every_answer_for_a_session_is_kept_in_order(log: DeploymentLog, deployment: Deployment) -> None:
    later = replace(deployment, model_version=4, decided_at=EVENING + timedelta(hours=1))
    assert log.answers("us", "short", SESSION) == ()
    for each in (deployment, later):
        log.record(each)
    assert log.answers("us", "short", SESSION) == (deployment, later)
    assert log.answers("us", "long", SESSION) == ()


def test_the_inputs_hash_covers_values_names_and_sessions(bundle: Bundle) -> None:
    features = random_features(bundle)
    others = [
        features + 1e-15,
        features.rename(columns={str(features.columns[0]): "other"}),
        features.set_axis(features.index + timedelta(days=1)),
        features.iloc[1:],
    ]
    hashes = {inputs_hash(frame) for frame in [features, features.copy(), *others]}
    assert len(hashes) == 1 + len(others)
