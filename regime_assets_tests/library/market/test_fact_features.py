"""A fact is a feature as it was known on each session: what is published or revised later reaches no earlier row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.market.fact_features import FactFeatureError, fact_features, feature_name, known_values
from regime_assets.library.market.fact_store import FactsStore
from regime_assets.library.market.sources.base import FetchedFacts
from regime_assets_tests.library.market.fixtures import SESSIONS, WEEKDAYS

FIRST, LAST = SESSIONS[0], SESSIONS[-1]
LONG_AGO = datetime(2021, 6, 1, tzinfo=UTC)
MOMENTS = np.array([np.datetime64("2022-01-01") + np.timedelta64(day, "D") for day in range(40)])
VERSION = st.tuples(st.integers(0, 39), st.integers(0, 5), st.floats(-9, 9))
VERSIONS = st.lists(VERSION, min_size=1, max_size=12, unique_by=lambda version: version[:2])


def frame(versions: list[tuple[int, int, float]]) -> pd.DataFrame:
    """Versions as (day on which they became known, period, value)."""
    days = [pd.Timestamp("2022-01-01") + pd.Timedelta(days=day) for day, _, _ in versions]
    periods = [f"2021-{period + 1:02d}-01" for _, period, _ in versions]
    values = [value for _, _, value in versions]
    return pd.DataFrame({"period": periods, "value": values, "published_at": days, "known_at": days})


@settings(deadline=None)
@given(versions=VERSIONS)
def test_a_value_is_the_newest_version_of_the_last_period_that_is_known(versions: list[tuple[int, int, float]]) -> None:
    path = known_values(frame(versions), MOMENTS)
    for day in range(40):
        known = [version for version in versions if version[0] <= day]
        period = max((version[1] for version in known), default=None)
        newest = max((version for version in known if version[1] == period), default=None)
        assert (np.isnan(path[day]) and newest is None) or path[day] == (newest[2] if newest else None)


@settings(deadline=None)
@given(versions=VERSIONS, later=VERSIONS, cut=st.integers(0, 38))
def test_no_later_version_reaches_an_earlier_session(
    versions: list[tuple[int, int, float]], later: list[tuple[int, int, float]], cut: int
) -> None:
    kept = [version for version in versions if version[0] <= cut]
    after = [(max(day, cut + 1), period, value) for day, period, value in later]
    before = known_values(frame(kept), MOMENTS)[: cut + 1]
    np.testing.assert_array_equal(known_values(frame([*kept, *after]), MOMENTS)[: cut + 1], before)


@pytest.fixture
def store(tmp_path: Path) -> FactsStore:
    return FactsStore(DatabaseFile(tmp_path / "facts.duckdb"), "test", "fred")


def publish(store: FactsStore, *rows: tuple[str, str, float, date], at: datetime = LONG_AGO) -> None:
    """Levels as (subject, period, value, day of publication), fetched long ago unless said otherwise."""
    facts = pd.DataFrame(
        {
            "subject": [row[0] for row in rows],
            "fact": "level",
            "period": [row[1] for row in rows],
            "value": [row[2] for row in rows],
            "known_at": [pd.Timestamp(row[3], tz="America/New_York") + timedelta(hours=23) for row in rows],
        }
    )
    store.ingest(FetchedFacts(facts, {}), at, at)


def column(store: FactsStore, *subjects: str, as_of: date = LAST) -> pd.Series:
    wanted = {"macro_it": [(subject, "level") for subject in subjects]}
    return fact_features(store, WEEKDAYS, as_of, WEEKDAYS.sessions(FIRST, as_of), wanted)["macro_it"]


def test_a_session_sees_what_is_published_before_its_decision(store: FactsStore) -> None:
    publish(store, ("UNRATE", "2021-11-01", 4.2, date(2021, 12, 3)), ("UNRATE", "2021-12-01", 3.9, date(2022, 1, 7)))
    seen = column(store, "UNRATE")
    assert seen[: pd.Timestamp("2022-01-06")].eq(4.2).all()
    assert seen[pd.Timestamp("2022-01-07") :].eq(3.9).all()


def test_a_revision_counts_from_when_it_is_known(store: FactsStore) -> None:
    publish(store, ("UNRATE", "2021-11-01", 4.2, date(2021, 12, 3)))
    before = column(store, "UNRATE")
    publish(store, ("UNRATE", "2021-11-01", 4.1, date(2022, 1, 20)))
    after = column(store, "UNRATE")
    assert after[: pd.Timestamp("2022-01-19")].equals(before[: pd.Timestamp("2022-01-19")])
    assert after[pd.Timestamp("2022-01-20") :].eq(4.1).all()
    assert column(store, "UNRATE", as_of=date(2022, 1, 19)).eq(4.2).all()


def test_what_the_archive_dates_back_counts_from_when_it_was_fetched(store: FactsStore) -> None:
    publish(store, ("UNRATE", "2021-11-01", 4.2, date(2021, 12, 3)), at=datetime(2022, 1, 14, tzinfo=UTC))
    publish(store, ("UNRATE", "2021-12-01", 3.9, date(2022, 1, 7)), at=datetime(2022, 1, 24, tzinfo=UTC))
    assert column(store, "UNRATE")[: pd.Timestamp("2022-01-21")].eq(4.2).all()


def test_a_fact_of_companies_is_their_median(store: FactsStore) -> None:
    day = date(2021, 12, 3)
    publish(store, ("A", "2021-09-30", 1.0, day), ("B", "2021-09-30", 10.0, day), ("C", "2021-09-30", 4.0, day))
    assert column(store, "A", "B", "C").eq(4.0).all()


def test_a_window_that_is_not_covered_names_the_fact_and_its_first_day(store: FactsStore) -> None:
    publish(store, ("UNRATE", "2021-12-01", 3.9, date(2022, 1, 7)))
    with pytest.raises(FactFeatureError, match=f"UNRATE level .*: first known on 2022-01-08 04:00 UTC.* {FIRST}"):
        column(store, "UNRATE")
    with pytest.raises(FactFeatureError, match="PAYEMS level from fred: nothing is known; of PAYEMS there is nothing"):
        column(store, "PAYEMS")


def test_names_of_features_are_plain() -> None:
    assert feature_name("fundamentals", "us-gaap:EarningsPerShareDiluted USD/shares") == (
        "fundamentals_us_gaap_EarningsPerShareDiluted_USD_shares"
    )
