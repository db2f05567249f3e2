"""Silence is noticed on the session on which it begins, and a holiday is no silence."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from regime_assets.library.home import Home
from regime_assets.library.production.signal import combine
from regime_assets.library.serving.published_signal import PublishedSignal, publish_signal
from regime_assets.library.universe import Universe, load_universe
from regime_assets.library.upkeep.heartbeat import Heartbeat, heartbeat
from regime_assets_tests.library.production.bundles import random_bundle, random_features
from regime_assets_tests.library.upkeep.test_upgrade import UNIVERSE

FRIDAY = date(2018, 12, 21)  # before Christmas Eve, a Monday with a session, and Christmas, without one


@pytest.fixture
def universe(tmp_path: Path) -> Universe:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    return load_universe(tmp_path / "tiny.yaml")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def publish(home: Home, session: date) -> None:
    from regime_assets.library.production.signal import score

    bundle = random_bundle(seed=1)
    features = random_features(bundle)
    features.index = features.index + (session - features.index[-1].date())
    combined = combine({"short": score(bundle, features)})
    publish_signal(home.mlflow_artifacts, PublishedSignal("tiny", {"short": 1}, datetime.now(UTC), combined))


def at(home: Home, universe: Universe, day: int, hour: int) -> Heartbeat:
    return heartbeat(home, universe, datetime(2018, 12, day, hour, tzinfo=UTC), timedelta(hours=6))


def test_a_signal_may_come_until_patience_has_ended(home: Home, universe: Universe) -> None:
    publish(home, FRIDAY)
    assert at(home, universe, 24, 12).beats
    assert at(home, universe, 25, 11).beats, "00:30 in New York and six hours are 11:30 in UTC"
    late = at(home, universe, 25, 12)
    assert str(late) == "tiny: signal of 2018-12-21, 1 sessions behind 2018-12-24"
    assert not late.beats


def test_a_holiday_is_no_silence(home: Home, universe: Universe) -> None:
    publish(home, date(2018, 12, 24))
    assert at(home, universe, 26, 12).beats
    assert at(home, universe, 27, 12).missed == 1


def test_no_signal_and_a_damaged_one_are_silence(home: Home, universe: Universe) -> None:
    assert "no signal" in str(at(home, universe, 24, 12))
    publish(home, FRIDAY)
    (home.mlflow_artifacts / "tiny.signal.json").write_text("{")
    damaged = at(home, universe, 24, 12)
    assert not damaged.beats
    assert "tiny.signal.json: not a published signal" in str(damaged)
