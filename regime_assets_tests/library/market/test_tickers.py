"""A renamed listing is one history under dated tickers."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.library.database import Database
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.market.store import MarketStore
from regime_assets.library.market.tickers import Rename, Tickers
from regime_assets_tests.library.market.fixtures import SESSIONS, WEEKDAYS, actions, answer, bars, evening

UNTIL, AFTER, LAST = SESSIONS[9], SESSIONS[10], SESSIONS[15]
META = Tickers((Rename("META", "FB", UNTIL),))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return DatabaseFile(tmp_path / "market.duckdb")


@pytest.fixture
def before(database: Database) -> MarketStore:
    """FB as it was stored while that was its ticker, beside a fund that is called META."""
    store = MarketStore(database, "u")
    frames = (bars("FB", SESSIONS[:10], range(100, 110)), bars("META", SESSIONS[:10], [15.0] * 10))
    dividend = actions(("FB", SESSIONS[5], "dividend", 1.0))
    store.ingest(answer(*frames, acts=dividend), "s", evening(UNTIL), WEEKDAYS)
    return store


def test_what_was_stored_under_the_former_ticker_is_read_under_todays(before: MarketStore, database: Database) -> None:
    store = MarketStore(database, "u", META)
    assert store.newest_sessions() == {"META": UNTIL}
    store.ingest(answer(bars("META", SESSIONS[8:16], range(108, 116))), "s", evening(LAST), WEEKDAYS)
    closes = store.bars(LAST, SESSIONS[0], LAST, WEEKDAYS, ["META"])
    assert closes["symbol"].unique().tolist() == ["META"]
    assert closes["close"].tolist() == [float(price) for price in range(100, 116)]
    assert store.stored_sessions("META") == set(SESSIONS[:16])
    assert store.stored_counts(["META"], SESSIONS[:16]) == {"META": 16}
    assert len(store.versions("META", UNTIL)) == 1, "the same bar under another ticker is no revision"
    adjusted = store.adjusted_closes(LAST, ["META"], SESSIONS[0], LAST, WEEKDAYS)["META"]
    assert adjusted.iloc[4] == pytest.approx(104.0 * 105.0 / 106.0), "its dividends are its own under any ticker"
    assert before.bars(LAST, SESSIONS[0], LAST, WEEKDAYS, ["FB"])["session"].max() == pd.Timestamp(UNTIL)


def test_a_correction_of_an_old_bar_is_a_version_of_the_stored_one(before: MarketStore, database: Database) -> None:
    store = MarketStore(database, "u", META)
    store.ingest(answer(bars("META", SESSIONS[9:11], [109.5, 110.0])), "s", evening(AFTER), WEEKDAYS)
    assert store.versions("META", UNTIL)["close"].tolist() == [109.0, 109.5]
    assert store.bars(UNTIL, UNTIL, UNTIL, WEEKDAYS, ["META"])["close"].tolist() == [109.0]
    store.retract("META", SESSIONS[3], evening(LAST), "wrong")
    assert SESSIONS[3] not in set(store.bars(LAST, SESSIONS[0], LAST, WEEKDAYS, ["META"])["session"].dt.date)
    assert before.universe == store.universe


def test_a_listing_renamed_twice_is_followed_through() -> None:
    twice = Tickers((Rename("C", "B", date(2022, 1, 20)), Rename("C", "A", date(2022, 1, 10))))
    days = [date(2022, 1, 10), date(2022, 1, 11), date(2022, 1, 20), date(2022, 1, 21)]
    frame = pd.DataFrame({"symbol": "C", "session": pd.to_datetime(days)})
    stored = twice.as_stored(frame, "session")
    assert stored["symbol"].tolist() == ["A", "B", "B", "C"] == [twice.ticker("C", day) for day in days]
    assert twice.as_listed(stored, "session")["symbol"].tolist() == ["C"] * 4
