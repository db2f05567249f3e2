"""Facts are read as they were known: revisions later, late arrivals later, and nothing twice."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.market.fact_store import FactsReport, FactsStore
from regime_assets.library.market.sources.base import FACT_COLUMNS, FetchedFacts
from regime_assets.library.market.versions import StoreError
from regime_assets_tests.library.market.fixtures import WEEKDAYS

Row = tuple[str, str, str, float, str]
JANUARY: Row = ("PAYEMS", "level", "2022-01-01", 150.0, "2022-02-05 05:00")
REVISED: Row = ("PAYEMS", "level", "2022-01-01", 151.0, "2022-03-05 05:00")
FEBRUARY: Row = ("PAYEMS", "level", "2022-02-01", 152.0, "2022-03-05 05:00")
EARLY, LATER = datetime(2022, 2, 10, tzinfo=UTC), datetime(2022, 6, 1, tzinfo=UTC)


def answer(*rows: Row) -> FetchedFacts:
    frame = pd.DataFrame(list(rows), columns=list(FACT_COLUMNS))
    return FetchedFacts(frame.assign(known_at=pd.to_datetime(frame["known_at"], utc=True)), {})


@pytest.fixture
def store(tmp_path: Path) -> FactsStore:
    return FactsStore(DatabaseFile(tmp_path / "facts.duckdb"), "tiny", "fred")


def values(store: FactsStore, as_of: date) -> dict[str, float]:
    known = store.facts(as_of, WEEKDAYS)
    return dict(zip(known["period"], known["value"], strict=True))


def test_a_session_sees_the_version_that_was_published_by_then(store: FactsStore) -> None:
    assert store.ingest(answer(JANUARY, REVISED, FEBRUARY), LATER, LATER) == FactsReport(3, 0)
    assert values(store, date(2022, 2, 3)) == {}
    assert values(store, date(2022, 2, 4)) == {"2022-01-01": 150.0}, "Friday's figure, decided on Saturday morning"
    assert values(store, date(2022, 3, 3)) == {"2022-01-01": 150.0}
    assert values(store, date(2022, 3, 4)) == {"2022-01-01": 151.0, "2022-02-01": 152.0}


def test_the_same_answer_twice_writes_nothing(store: FactsStore) -> None:
    everything = answer(JANUARY, REVISED, FEBRUARY)
    store.ingest(everything, EARLY, EARLY)
    assert store.ingest(everything, LATER, LATER) == FactsReport(0, 0)


def test_what_is_published_after_the_last_answer_is_dated_by_the_archive(store: FactsStore) -> None:
    store.ingest(answer(JANUARY), EARLY, EARLY)
    assert store.ingest(answer(JANUARY, REVISED), LATER, LATER) == FactsReport(1, 0)
    assert values(store, date(2022, 3, 4)) == {"2022-01-01": 151.0}


def test_a_version_dated_back_behind_an_answer_counts_from_when_it_arrived(store: FactsStore) -> None:
    back_dated: Row = ("PAYEMS", "level", "2021-12-01", 149.0, "2022-01-08 05:00")
    store.ingest(answer(JANUARY), EARLY, EARLY)
    before = values(store, date(2022, 2, 9))
    assert store.ingest(answer(back_dated, JANUARY), LATER, LATER) == FactsReport(0, 1)
    assert values(store, date(2022, 2, 9)) == before
    assert values(store, date(2022, 5, 31)) == {"2021-12-01": 149.0, "2022-01-01": 150.0}


def test_a_version_that_the_archive_rewrites_stays_beside_the_first(store: FactsStore) -> None:
    rewritten: Row = (*JANUARY[:3], 140.0, JANUARY[4])
    store.ingest(answer(JANUARY), EARLY, EARLY)
    assert store.ingest(answer(rewritten), LATER, LATER) == FactsReport(0, 1)
    assert store.ingest(answer(rewritten), LATER.replace(month=7), LATER) == FactsReport(0, 0)
    assert values(store, date(2022, 2, 9)) == {"2022-01-01": 150.0}
    assert values(store, date(2022, 6, 1)) == {"2022-01-01": 140.0}
    assert store.versions(*JANUARY[:3])["known_basis"].tolist() == ["archive", "observed"]


def test_an_answer_counts_up_to_the_decision_that_read_it(store: FactsStore) -> None:
    store.ingest(answer(JANUARY), EARLY, datetime(2022, 4, 1, tzinfo=UTC))
    assert store.ingest(answer(JANUARY, REVISED), LATER, LATER) == FactsReport(0, 1)


def test_a_subject_that_is_added_later_is_dated_by_the_archive(store: FactsStore) -> None:
    other: Row = ("UNRATE", *JANUARY[1:])
    store.ingest(answer(JANUARY), EARLY, EARLY)
    assert store.ingest(answer(JANUARY, other), LATER, LATER) == FactsReport(1, 0)


def test_the_latest_period_is_the_one_that_ends_last(store: FactsStore) -> None:
    year: Row = ("AAPL", "NetIncome", "2021-01-01/2021-12-31", 40.0, "2022-02-01")
    quarter: Row = ("AAPL", "NetIncome", "2021-10-01/2021-12-31", 10.0, "2022-02-01")
    earlier: Row = ("AAPL", "NetIncome", "2021-11-01/2021-11-30", 5.0, "2022-02-01")
    store.ingest(answer(year, quarter, earlier), EARLY, EARLY)
    latest = store.latest(date(2022, 3, 1), WEEKDAYS)
    assert latest[["period", "value"]].values.tolist() == [["2021-10-01/2021-12-31", 10.0]]


def test_universes_and_sources_do_not_mix(store: FactsStore, tmp_path: Path) -> None:
    store.ingest(answer(JANUARY), EARLY, EARLY)
    database = DatabaseFile(tmp_path / "facts.duckdb")
    for other in (FactsStore(database, "other", "fred"), FactsStore(database, "tiny", "sec")):
        assert other.facts(date(2022, 5, 2), WEEKDAYS).empty


@pytest.mark.parametrize("rows", [(JANUARY, JANUARY), ((*JANUARY[:3], float("nan"), JANUARY[4]),)])
def test_unusable_answers_are_refused_and_write_nothing(store: FactsStore, rows: tuple[Row, ...]) -> None:
    with pytest.raises(StoreError, match="PAYEMS level 2022-01-01"):
        store.ingest(answer(*rows), EARLY, EARLY)
    assert values(store, date(2022, 5, 2)) == {}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 100), st.integers(0, 9)),
        unique_by=lambda version: version[:2],
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 8),
    st.integers(0, 100),
)
def test_an_answer_given_once_never_changes(
    tmp_path_factory: pytest.TempPathFactory, versions: list[tuple[int, int, int]], first: int, fetched_day: int
) -> None:
    """Whatever part of the archive arrives first, what was read as of a session decided by then stays the same."""
    rows: list[Row] = [
        ("X", "level", f"2021-0{period + 1}-01", float(value), f"{date.fromordinal(738000 + day)} 05:00")
        for period, day, value in versions
    ]
    fetched_at = datetime.fromordinal(738000 + fetched_day).replace(hour=12, tzinfo=UTC)
    store = FactsStore(DatabaseFile(tmp_path_factory.mktemp("law") / "facts.duckdb"), "tiny", "fred")
    store.ingest(answer(*rows[:first]), fetched_at, fetched_at)
    sessions = [day for day in WEEKDAYS.all_sessions if WEEKDAYS.decision_time(day) <= fetched_at][-60:]
    had_answer = first > 0
    before = [values(store, day) for day in sessions]
    store.ingest(answer(*rows), fetched_at.replace(year=2022), fetched_at)
    if had_answer:
        assert [values(store, day) for day in sessions] == before
