from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.market.calendar import CalendarError, TradingCalendar, load_calendar

START, TODAY = date(2020, 1, 1), date(2022, 12, 28)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calendars")


@pytest.fixture(scope="module")
def new_york(cache: Path) -> TradingCalendar:
    return load_calendar("XNYS", START, cache, TODAY)


def test_new_york_skips_its_holidays(new_york: TradingCalendar) -> None:
    assert new_york.sessions(date(2022, 7, 1), date(2022, 7, 6)) == (
        date(2022, 7, 1),
        date(2022, 7, 5),
        date(2022, 7, 6),
    )
    assert new_york.holidays(date(2022, 7, 1), date(2022, 7, 31)) == (date(2022, 7, 4),)
    assert new_york.closed_weekdays == (5, 6)


def test_london_and_tokyo_have_their_own_holidays(cache: Path) -> None:
    london, tokyo = (load_calendar(name, START, cache, TODAY) for name in ("XLON", "XTKS"))
    assert not london.is_session(date(2022, 9, 19))  # the state funeral
    assert london.is_session(date(2022, 7, 4))
    assert not tokyo.is_session(date(2022, 5, 3))
    assert tokyo.sessions(date(2022, 4, 28), date(2022, 5, 9)) == (
        date(2022, 4, 28),
        date(2022, 5, 2),
        date(2022, 5, 6),
        date(2022, 5, 9),
    )


def test_a_crypto_calendar_has_every_day(cache: Path) -> None:
    crypto = load_calendar("24/7", START, cache, TODAY)
    assert crypto.closed_weekdays == ()
    assert crypto.holidays(START, TODAY) == ()
    assert len(crypto.sessions(date(2021, 1, 1), date(2021, 12, 31))) == 365


def test_a_week_may_begin_on_a_sunday_and_a_saturday_may_be_made_up(cache: Path) -> None:
    riyadh = load_calendar("XSAU", date(2021, 1, 3), cache, TODAY)
    assert riyadh.closed_weekdays == (4, 5)
    assert riyadh.is_session(date(2022, 7, 3)), "a Sunday"
    made_up = TradingCalendar("made up", "UTC", (date(2022, 7, 1), date(2022, 7, 2), date(2022, 7, 11)))
    assert made_up.closed_weekdays == (1, 2, 3, 6)
    assert made_up.holidays(date(2022, 7, 1), date(2022, 7, 11)) == (
        date(2022, 7, 4),
        date(2022, 7, 8),
        date(2022, 7, 9),
    )


def test_the_decision_is_taken_next_morning_at_the_exchange(new_york: TradingCalendar, cache: Path) -> None:
    assert new_york.decision_time(date(2022, 1, 14)) == datetime(2022, 1, 15, 11, tzinfo=UTC)
    assert new_york.decision_time(date(2022, 7, 5)) == datetime(2022, 7, 6, 10, tzinfo=UTC)
    tokyo = load_calendar("XTKS", START, cache, TODAY)
    assert tokyo.decision_time(date(2022, 7, 5)) == datetime(2022, 7, 5, 21, tzinfo=UTC)


@given(position=st.integers(0, 700), steps=st.integers(0, 40))
def test_next_undoes_previous(position: int, steps: int) -> None:
    calendar = TradingCalendar("made up", "UTC", tuple(date.fromordinal(730_000 + 3 * n) for n in range(800)))
    session = calendar.all_sessions[position + 40]
    assert calendar.next(calendar.previous(session, steps), steps) == session


def test_questions_beyond_the_calendar_are_refused(new_york: TradingCalendar) -> None:
    with pytest.raises(CalendarError, match="2022-07-04 is no session of XNYS"):
        new_york.previous(date(2022, 7, 4))
    with pytest.raises(CalendarError, match="covered from 2020-01-02"):
        new_york.previous(date(2020, 1, 2))
    with pytest.raises(CalendarError, match="no session"):
        new_york.next(new_york.all_sessions[-1])


def test_an_unknown_calendar_lists_close_names(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match="XNYS"):
        load_calendar("XNYC", START, tmp_path, TODAY)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_made_anew_when_it_runs_out(tmp_path: Path) -> None:
    first = load_calendar("XNYS", START, tmp_path, TODAY)
    (cached,) = tmp_path.iterdir()
    written = cached.read_bytes()
    assert first.all_sessions[-1] == date(2023, 12, 28)
    load_calendar("XNYS", START, tmp_path, date(2023, 11, 28))
    assert cached.read_bytes() == written
    later = load_calendar("XNYS", START, tmp_path, date(2023, 12, 1))
    assert later.all_sessions[-1] == date(2024, 11, 29)
    assert cached.read_bytes() != written


@pytest.mark.parametrize("name", ["XSHG", "XSES", "XBOM"])
def test_a_calendar_that_ends_within_a_year_goes_on_with_usual_weekdays_and_says_so(tmp_path: Path, name: str) -> None:
    today = date(2026, 11, 25)
    calendar = load_calendar(name, date(2024, 1, 2), tmp_path, today)
    if calendar.known_until is None:
        pytest.skip(f"this release of exchange_calendars knows {name} for a year ahead")
    assert calendar.is_session(date(calendar.known_until.year + 1, 1, 4))
    assert calendar.all_sessions[-1] == today + timedelta(days=365)
    assert str(calendar.known_until) in (calendar.warning(calendar.known_until - timedelta(days=30)) or "")
    assert calendar.warning(calendar.known_until - timedelta(days=200)) is None
    assert load_calendar(name, date(2024, 1, 2), tmp_path, today) == calendar


def test_a_calendar_does_not_stop_when_its_known_sessions_have_ended(tmp_path: Path) -> None:
    load_calendar("XSHG", date(2024, 1, 2), tmp_path, date(2026, 11, 25))
    later = load_calendar("XSHG", date(2024, 1, 2), tmp_path, date(2027, 11, 25))
    assert later.all_sessions[-1] == date(2028, 11, 24)


def test_exceptions_open_and_close_days(new_york: TradingCalendar) -> None:
    saturday, typhoon = date(2022, 7, 9), date(2022, 7, 6)
    calendar = new_york.with_exceptions([saturday], [typhoon])
    assert calendar.is_session(saturday)
    assert not calendar.is_session(typhoon)
    assert calendar.previous(saturday, 3) == date(2022, 7, 5)
    assert date(2022, 7, 16) in calendar.holidays(date(2022, 7, 1), date(2022, 7, 31))


def test_a_damaged_cache_is_replaced(tmp_path: Path) -> None:
    load_calendar("XNYS", START, tmp_path, TODAY)
    (cached,) = tmp_path.iterdir()
    cached.write_text(cached.read_text()[:100])
    assert load_calendar("XNYS", START, tmp_path, TODAY).is_session(date(2022, 7, 5))
    assert json.loads(cached.read_text())["name"] == "XNYS"


def test_a_folder_that_cannot_be_written_costs_the_cache_only() -> None:
    assert load_calendar("XNYS", START, Path("/proc/nothing"), TODAY).is_session(date(2022, 7, 5))


def test_an_edited_cache_is_not_believed(tmp_path: Path) -> None:
    made = load_calendar("XNYS", START, tmp_path, TODAY)
    (cached,) = tmp_path.iterdir()
    for name, value in (("timezone", "Europe/Berlin"), ("sessions", [str(day) for day in made.all_sessions[1:]])):
        cached.write_text(json.dumps(json.loads(cached.read_text()) | {name: value}))
        assert load_calendar("XNYS", START, tmp_path, TODAY) == made


def test_a_cached_calendar_imports_no_pandas(new_york: TradingCalendar, cache: Path) -> None:
    program = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from regime_assets.library.market.calendar import load_calendar\n"
        f"load_calendar('XNYS', date(2020, 1, 1), Path({str(cache)!r}), date(2022, 12, 28))\n"
        "print(sorted({'pandas', 'numpy', 'exchange_calendars'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
    assert new_york.name == "XNYS"


def test_the_cache_of_another_exchange_is_not_believed(tmp_path: Path) -> None:
    made = load_calendar("XNYS", START, tmp_path, TODAY)
    (cached,) = tmp_path.iterdir()
    load_calendar("XLON", START, tmp_path / "other", TODAY)
    cached.write_text(next((tmp_path / "other").iterdir()).read_text())
    assert load_calendar("XNYS", START, tmp_path, TODAY) == made
