"""A full retrain is due on the first session of its period, decided by the calendar alone."""

from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.market.calendar import TradingCalendar, load_calendar
from regime_assets.library.models.cadence import full_retrain_due


@pytest.fixture(scope="module")
def calendar(tmp_path_factory: pytest.TempPathFactory) -> TradingCalendar:
    folder: Path = tmp_path_factory.mktemp("calendars")
    return load_calendar("XNYS", date(2019, 1, 2), folder, today=date(2020, 6, 1))


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
