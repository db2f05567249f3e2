from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.market.store import IngestReport, MarketStore, StoreError
from regime_assets_tests.library.market.fixtures import SESSIONS, WEEKDAYS, actions, answer, bars, evening

FIRST, LAST = SESSIONS[0], SESSIONS[-1]
LATER = datetime(2022, 3, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    return MarketStore(DatabaseFile(tmp_path / "market.duckdb"), "test")


def closes(store: MarketStore, as_of: date, *symbols: str) -> pd.DataFrame:
    return store.adjusted_closes(as_of, symbols or ("A",), FIRST, as_of, WEEKDAYS)


def test_the_same_answer_twice_writes_nothing(store: MarketStore) -> None:
    twice = answer(
        bars("A", SESSIONS[:3], [10, 11, 12]),
        bars("B", SESSIONS[:3], [5, np.nan, 7]),
        acts=actions(("A", SESSIONS[1], "split", 2.0), ("A", SESSIONS[1], "dividend", 0.1)),
    )
    assert store.ingest(twice, "made", LATER, WEEKDAYS) == IngestReport(6, 0, 2, 0)
    assert store.ingest(twice, "made", LATER + timedelta(days=1), WEEKDAYS) == IngestReport(0, 0, 0, 0)
    assert store.ingest(twice, "made", LATER - timedelta(days=1), WEEKDAYS).written == 0


@settings(max_examples=15, deadline=None)
@given(values=st.lists(st.floats(allow_subnormal=True), min_size=1, max_size=4))
def test_no_number_is_its_own_revision(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    store = MarketStore(DatabaseFile(tmp_path_factory.mktemp("same") / "market.duckdb"), "test")
    odd = answer(bars("A", SESSIONS[: len(values)], values))
    store.ingest(odd, "made", LATER, WEEKDAYS)
    assert store.ingest(odd, "made", LATER + timedelta(days=1), WEEKDAYS).written == 0


def test_a_bar_reads_back_as_traded(store: MarketStore) -> None:
    given_bars = bars("A", SESSIONS[:2], [10, 20]).assign(volume=[np.nan, 7.0])
    store.ingest(answer(given_bars), "made", LATER, WEEKDAYS)
    pd.testing.assert_frame_equal(store.bars(LAST, FIRST, LAST, WEEKDAYS), given_bars)
    assert store.bars(LAST, FIRST, LAST, WEEKDAYS, symbols=["B"]).empty


def test_a_revision_is_seen_from_its_decision_time_on(store: MarketStore) -> None:
    day, after = SESSIONS[0], SESSIONS[1]
    store.ingest(answer(bars("A", [day], [10])), "made", evening(day), WEEKDAYS)
    report = store.ingest(answer(bars("A", [day, after], [10.5, 11])), "made", evening(after), WEEKDAYS)
    assert report == IngestReport(1, 1, 0, 0)
    assert closes(store, day)["A"].tolist() == [10.0]
    assert closes(store, after)["A"].tolist() == [10.5, 11.0]
    assert store.versions("A", day)["close"].tolist() == [10.0, 10.5]
    assert store.versions("A", day)["known_basis"].tolist() == ["observed", "observed"]


def test_rounding_of_single_precision_is_no_revision(store: MarketStore) -> None:
    store.ingest(answer(bars("A", SESSIONS[:1], [123.456])), "made", LATER, WEEKDAYS)
    rounded = answer(bars("A", SESSIONS[:1], [float(np.float32(123.456))]))
    assert store.ingest(rounded, "made", LATER + timedelta(days=1), WEEKDAYS).written == 0


def test_a_backfilled_bar_counts_as_known_at_its_decision_time(store: MarketStore) -> None:
    store.ingest(answer(bars("A", SESSIONS[:2], [10, 11])), "made", LATER, WEEKDAYS)
    version = store.versions("A", SESSIONS[0]).iloc[0]
    assert version["known_basis"] == "assumed"
    assert version["known_at"] == pd.Timestamp("2022-01-04 11:00")
    assert closes(store, SESSIONS[0])["A"].tolist() == [10.0]


def test_a_split_that_arrives_late_changes_no_earlier_answer(store: MarketStore) -> None:
    before, ex, after = SESSIONS[:3]
    store.ingest(answer(bars("A", [before], [100])), "made", evening(before), WEEKDAYS)
    store.ingest(answer(bars("A", [ex], [51])), "made", evening(ex), WEEKDAYS)
    earlier = closes(store, ex)
    late = answer(bars("A", [after], [52]), acts=actions(("A", ex, "split", 2.0)))
    store.ingest(late, "made", evening(after), WEEKDAYS)
    pd.testing.assert_frame_equal(closes(store, ex), earlier)
    assert closes(store, after)["A"].tolist() == [50.0, 51.0, 52.0]


def test_a_split_on_its_day_plants_no_phantom_return(store: MarketStore) -> None:
    before, ex, after = SESSIONS[:3]
    store.ingest(answer(bars("A", [before], [100])), "made", evening(before), WEEKDAYS)
    earlier = closes(store, before)
    split = actions(("A", ex, "split", 10.0))
    store.ingest(answer(bars("A", [ex], [10.2]), acts=split), "made", evening(ex), WEEKDAYS)
    store.ingest(answer(bars("A", [after], [10.1]), acts=split), "made", evening(after), WEEKDAYS)
    assert earlier["A"].tolist() == [100.0]
    pd.testing.assert_frame_equal(closes(store, before), earlier)
    assert closes(store, ex)["A"].tolist() == pytest.approx([10.0, 10.2])
    assert closes(store, after)["A"].pct_change().abs().max() < 0.03


def test_an_action_announced_ahead_waits_for_its_ex_session(store: MarketStore) -> None:
    before, ex = SESSIONS[:2]
    announced = answer(bars("A", [before], [100]), acts=actions(("A", ex, "split", 2.0)))
    store.ingest(announced, "made", evening(before), WEEKDAYS)
    assert closes(store, before)["A"].tolist() == [100.0]
    assert store.actions(before, FIRST, LAST, WEEKDAYS).empty
    store.ingest(answer(bars("A", [ex], [50])), "made", evening(ex), WEEKDAYS)
    assert closes(store, ex)["A"].tolist() == [50.0, 50.0]


def test_history_filled_in_between_is_adjusted_by_its_actions(store: MarketStore) -> None:
    store.ingest(answer(bars("A", [SESSIONS[0], SESSIONS[4]], [100, 52])), "made", LATER, WEEKDAYS)
    between = answer(bars("A", SESSIONS[1:4], [100, 50, 51]), acts=actions(("A", SESSIONS[2], "split", 2.0)))
    store.ingest(between, "made", LATER + timedelta(days=1), WEEKDAYS)
    assert closes(store, SESSIONS[4])["A"].tolist() == [50.0, 50.0, 50.0, 51.0, 52.0]


def test_a_retracted_bar_is_gone_from_then_on_and_stays_gone(store: MarketStore) -> None:
    wrong = answer(bars("A", SESSIONS[:2], [10, 1000]))
    store.ingest(wrong, "made", evening(SESSIONS[1]), WEEKDAYS)
    store.retract("A", SESSIONS[1], evening(SESSIONS[2]), "quoted in pence")
    assert store.ingest(wrong, "made", evening(SESSIONS[3]), WEEKDAYS).written == 0
    assert closes(store, SESSIONS[1])["A"].tolist() == [10.0, 1000.0]
    assert closes(store, SESSIONS[3])["A"].dropna().tolist() == [10.0]
    assert store.versions("A", SESSIONS[1])["reason"].tolist() == [None, "quoted in pence"]
    corrected = answer(bars("A", [SESSIONS[1]], [10.1]))
    assert store.ingest(corrected, "made", evening(SESSIONS[4]), WEEKDAYS).revised_bars == 1
    assert closes(store, SESSIONS[4])["A"].dropna().tolist() == [10.0, 10.1]


def test_a_retracted_split_no_longer_adjusts(store: MarketStore) -> None:
    wrong = answer(bars("A", SESSIONS[:2], [10, 10]), acts=actions(("A", SESSIONS[1], "split", 2.0)))
    store.ingest(wrong, "made", evening(SESSIONS[1]), WEEKDAYS)
    store.retract_action("A", SESSIONS[1], "split", evening(SESSIONS[2]), "never took place")
    assert closes(store, SESSIONS[1])["A"].tolist() == [5.0, 10.0]
    assert closes(store, SESSIONS[2])["A"].dropna().tolist() == [10.0, 10.0]


def test_what_is_not_there_cannot_be_retracted(store: MarketStore) -> None:
    with pytest.raises(StoreError, match="A 2022-01-03 is not stored in test"):
        store.retract("A", SESSIONS[0], LATER, "wrong")
    store.ingest(answer(bars("A", SESSIONS[:1], [10])), "made", LATER, WEEKDAYS)
    with pytest.raises(StoreError, match="not before 2022-01-03"):
        store.retract("A", SESSIONS[0], evening(SESSIONS[0]), "wrong")


def test_the_newest_session_of_each_symbol_is_known(store: MarketStore) -> None:
    store.ingest(answer(bars("A", SESSIONS[:3], [1, 2, 3]), bars("B", SESSIONS[:1], [1])), "made", LATER, WEEKDAYS)
    assert store.newest_sessions() == {"A": SESSIONS[2], "B": SESSIONS[0]}


def test_universes_do_not_mix(store: MarketStore, tmp_path: Path) -> None:
    other = MarketStore(DatabaseFile(tmp_path / "market.duckdb"), "other")
    store.ingest(answer(bars("A", SESSIONS[:1], [10])), "made", LATER, WEEKDAYS)
    other.ingest(answer(bars("A", SESSIONS[:1], [20])), "made", LATER, WEEKDAYS)
    assert (closes(store, FIRST).iat[0, 0], closes(other, FIRST).iat[0, 0]) == (10.0, 20.0)


def test_what_new_york_still_knows_in_the_evening_comes_too_late_for_tokyo(store: MarketStore, tmp_path: Path) -> None:
    tokyo = replace(WEEKDAYS, timezone="Asia/Tokyo")
    eastern = MarketStore(DatabaseFile(tmp_path / "market.duckdb"), "eastern")
    for where, calendar in ((store, WEEKDAYS), (eastern, tokyo)):
        where.ingest(answer(bars("A", [FIRST], [10])), "made", evening(FIRST) - timedelta(hours=10), calendar)
        where.ingest(answer(bars("A", [FIRST], [11])), "made", evening(FIRST), calendar)
    assert store.adjusted_closes(FIRST, ["A"], FIRST, FIRST, WEEKDAYS)["A"].tolist() == [11.0]
    assert eastern.adjusted_closes(FIRST, ["A"], FIRST, FIRST, tokyo)["A"].tolist() == [10.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (answer(bars("A", SESSIONS[:1], [10]), bars("A", SESSIONS[:1], [10])), "A 2022-01-03.* more than once"),
        (Fetched(bars("A", SESSIONS[:1], [10]).drop(columns="close"), actions(), {}), "'close'"),
        (
            answer(bars("A", SESSIONS[:1], [11]), acts=actions(("A", FIRST, "split", 2.0))),
            "A 2022-01-03 has a version known at .* cannot replace it",
        ),
    ],
)
def test_a_refused_answer_leaves_the_store_as_it_was(store: MarketStore, wrong: Fetched, message: str) -> None:
    store.ingest(answer(bars("A", SESSIONS[:1], [9])), "made", evening(FIRST), WEEKDAYS)
    with pytest.raises(StoreError, match=message):
        store.ingest(wrong, "made", evening(FIRST) - timedelta(hours=1), WEEKDAYS)
    assert store.bars(LAST, FIRST, LAST, WEEKDAYS)["close"].tolist() == [9.0]
    assert store.actions(LAST, FIRST, LAST, WEEKDAYS).empty


def test_times_without_a_zone_and_prices_of_the_future_are_refused(store: MarketStore) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        store.ingest(answer(bars("A", SESSIONS[:1], [10])), "made", datetime(2022, 3, 1), WEEKDAYS)
    with pytest.raises(StoreError, match="not known as of 2022-01-03"):
        store.adjusted_closes(FIRST, ["A"], FIRST, LAST, WEEKDAYS)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_nothing_that_arrives_later_changes_an_earlier_answer(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bars, revisions, splits and dividends arrive evening by evening, some of them days late."""
    history = MarketStore(DatabaseFile(tmp_path_factory.mktemp("law") / "market.duckdb"), "test")
    days = SESSIONS[:5]
    answers: dict[date, pd.DataFrame] = {}
    for position, today in enumerate(days):
        history.ingest(_drawn_answer(data, days, position), "made", evening(today), WEEKDAYS)
        answers[today] = closes(history, today, "A", "B")
    for earlier, known in answers.items():
        pd.testing.assert_frame_equal(closes(history, earlier, "A", "B"), known)


def _drawn_answer(data: st.DataObject, days: tuple[date, ...], position: int) -> Fetched:
    """Today's bars, and perhaps bars and actions of any day until today."""
    past = st.integers(0, position).map(lambda n: days[n])
    revised = data.draw(st.sets(st.tuples(st.sampled_from("AB"), past), max_size=3))
    keys = revised | {("A", days[position]), ("B", days[position])}
    price = st.floats(1, 1000)
    acted = data.draw(
        st.sets(st.tuples(st.sampled_from("AB"), past, st.sampled_from(["split", "dividend"])), max_size=3)
    )
    value = st.sampled_from([0.5, 2.0, 3.0])
    return answer(
        *(bars(symbol, [day], [data.draw(price)]) for symbol, day in sorted(keys)),
        acts=actions(*((*key, data.draw(value)) for key in sorted(acted))),
    )
