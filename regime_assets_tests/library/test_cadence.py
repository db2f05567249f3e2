"""A refit is due on the last session of its period, a full retrain on the first refit of one: by the calendar alone."""

from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.cadence import full_retrain_due, refit_due
from regime_assets.library.market.calendar import TradingCalendar, load_calendar


@pytest.fixture(scope="module")
def calendars(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TradingCalendar]:
    folder: Path = tmp_path_factory.mktemp("calendars")
    names = ("XNYS", "24/7")
    return {name: load_calendar(name, date(2018, 12, 3), folder, today=date(2020, 6, 1)) for name in names}


@pytest.fixture(scope="module")
def calendar(calendars: dict[str, TradingCalendar]) -> TradingCalendar:
    return calendars["XNYS"]


@pytest.mark.parametrize(
    ("period", "session", "due"),
    [
        ("weekly", date(2019, 9, 3), True),  # Monday was Labor Day
        ("weekly", date(2019, 9, 4), False),
        ("monthly", date(2019, 12, 2), True),  # the month began on a Sunday
        ("monthly", date(2019, 12, 3), False),
        ("quarterly", date(2019, 10, 1), True),
        ("quarterly", date(2019, 11, 1), False),
        ("never", date(2019, 10, 1), False),
    ],
)
def test_due_on_the_first_session_of_the_period(
    calendar: TradingCalendar, period: str, session: date, due: bool
) -> None:
    assert full_retrain_due(period, session, calendar) is due


def test_an_unknown_period_is_named(calendar: TradingCalendar) -> None:
    with pytest.raises(ValueError, match="fortnightly"):
        full_retrain_due("fortnightly", date(2019, 9, 3), calendar)


@pytest.mark.parametrize(
    ("every", "session", "due"),
    [
        ("daily", date(2019, 9, 3), True),
        ("weekly", date(2019, 9, 6), True),
        ("weekly", date(2019, 9, 5), False),
        ("weekly", date(2019, 4, 18), True),  # Good Friday follows
        ("monthly", date(2019, 8, 30), True),  # the month ended on a Saturday
        ("monthly", date(2019, 8, 29), False),
        ("monthly", date(2019, 12, 31), True),
    ],
)
def test_a_refit_is_due_on_the_last_session_of_its_period(
    calendar: TradingCalendar, every: str, session: date, due: bool
) -> None:
    assert refit_due(every, session, calendar) is due


def test_the_week_ends_where_the_exchange_closes(tmp_path: Path) -> None:
    riyadh = load_calendar("XSAU", date(2021, 1, 3), tmp_path, today=date(2022, 6, 1))
    crypto = load_calendar("24/7", date(2021, 1, 3), tmp_path, today=date(2022, 6, 1))
    assert [refit_due("weekly", date(2022, 3, day), riyadh) for day in (23, 24, 27)] == [False, True, False]
    assert [refit_due("weekly", date(2022, 3, day), crypto) for day in (25, 26, 27)] == [False, False, True]


@settings(deadline=None, max_examples=30)
@given(month=st.integers(1, 12), every=st.sampled_from(["weekly", "monthly"]), name=st.sampled_from(["XNYS", "24/7"]))
def test_every_period_has_one_refit_and_each_longer_one_a_full_retrain(
    calendars: dict[str, TradingCalendar], month: int, every: str, name: str
) -> None:
    calendar = calendars[name]
    sessions = calendar.sessions(date(2019, month, 1), date(2020 + month // 12, month % 12 + 1, 1))
    refits = [day for day in sessions if refit_due(every, day, calendar)]
    gaps = [(after - before).days for before, after in pairwise(refits)]
    assert set(gaps) <= ({4, 5, 6, 7, 8, 9, 10} if every == "weekly" else set(range(25, 38)))
    months = [day for day in refits if full_retrain_due("monthly", day, calendar, every)]
    assert len({(day.year, day.month) for day in months}) == len(months)
    assert {(day.year, day.month) for day in refits[1:]} <= {(day.year, day.month) for day in months}


def test_an_unknown_cadence_is_named(calendar: TradingCalendar) -> None:
    with pytest.raises(ValueError, match="hourly"):
        refit_due("hourly", date(2019, 9, 3), calendar)
