from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.market.store import MarketStore
from regime_assets.library.market.window import Expanding, Rolling, Window, WindowError, read_window
from regime_assets.library.universe.membership import Membership
from regime_assets_tests.library.market.fixtures import WEEKDAYS, actions, answer, bars

START, AS_OF = date(2021, 1, 4), date(2022, 6, 30)
DAYS = WEEKDAYS.sessions(START, AS_OF)
FETCHED_AT = datetime(2022, 7, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> MarketStore:
    made = MarketStore(DatabaseFile(tmp_path / "market.duckdb"), "test")
    walk = np.cumprod(1.0 + np.random.default_rng(1).normal(0.0, 0.01, (len(DAYS), 2)), axis=0) * 100.0
    fetched = answer(bars("A", DAYS, walk[:, 0]), bars("B", DAYS, walk[:, 1]), bars("C", DAYS[10:], walk[10:, 0]))
    made.ingest(fetched, "made", FETCHED_AT, WEEKDAYS)
    return made


def read(store: MarketStore, shape: Rolling | Expanding | None = None, **changes: object) -> Window:
    arguments = {
        "horizon_name": "short",
        "shape": shape or Rolling(calendar_days=90),
        "as_of": AS_OF,
        "symbols": ["A", "B"],
        "traded": ["B"],
        "history_start": START,
        "lookback": 20,
    } | changes
    return read_window(store, WEEKDAYS, **arguments)  # pyright: ignore[reportArgumentType]


def test_a_rolling_window_ends_as_of_and_has_its_lookback_before_it(store: MarketStore) -> None:
    window = read(store)
    assert window.sessions[-1].date() == AS_OF
    assert window.sessions[0].date() == date(2022, 4, 4)  # the first session less than 90 days before
    assert len(window.prices) == 20 + len(window.sessions)
    assert window.sample_weight.tolist() == [1.0] * len(window.sessions)


def test_an_expanding_window_starts_after_its_lookback_and_prefers_recent_sessions(store: MarketStore) -> None:
    window = read(store, Expanding(half_life_sessions=50))
    assert window.sessions[0].date() == DAYS[20]
    assert window.prices.index[0].date() == START
    assert window.sample_weight.mean() == pytest.approx(1.0)
    assert window.sample_weight[-1] / window.sample_weight[-51] == pytest.approx(2.0)


def test_returns_are_those_of_the_traded_symbols(store: MarketStore) -> None:
    window = read(store, traded=["B", "A"])
    prices = window.prices.to_numpy()
    market = (prices[1:] / prices[:-1] - 1.0).mean(axis=1)
    np.testing.assert_allclose(window.market_returns.to_numpy(), market)
    assert window.market_returns.index.equals(window.prices.index[1:])
    assert list(window.traded_returns.columns) == ["B", "A"]
    assert window.traded_returns.index.equals(window.sessions)
    np.testing.assert_allclose(window.traded_returns["A"].to_numpy(), (prices[1:] / prices[:-1] - 1.0)[19:, 0])


def test_traded_symbols_join_the_columns_once(store: MarketStore) -> None:
    assert list(read(store, symbols=["A"], traded=["B", "A"]).prices.columns) == ["A", "B"]


DAY = st.sampled_from(DAYS[200:])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(as_of=DAY, joins=DAY, leaves=DAY, after=st.integers(1, 60))
def test_a_membership_that_changes_after_the_window_leaves_it_bit_identical(
    store: MarketStore, as_of: date, joins: date, leaves: date, after: int
) -> None:
    assumed = (min(joins, leaves), max(joins, leaves))
    later = as_of + timedelta(days=after)
    changed = assumed if assumed[1] < as_of else (assumed[0] if assumed[0] <= as_of else later, max(later, assumed[1]))
    one, other = (read(store, as_of=as_of, membership=Membership({"A": span})) for span in (assumed, changed))
    assert one.data_hash == other.data_hash
    assert one.prices["A"].notna().any() if "A" in one.prices else assumed[0] > as_of or assumed[1] < as_of


def test_no_action_of_another_listing_under_its_ticker_reaches_a_member(store: MarketStore) -> None:
    span = Membership({"A": (DAYS[-60], DAYS[-10])})
    before = read(store, membership=span).data_hash
    split = actions(("A", DAYS[-70], "split", 3.0), ("A", DAYS[-5], "dividend", 1.0))
    store.ingest(answer(bars("B", DAYS[:1], [1.0]), acts=split), "made", datetime(2022, 7, 1, 1, tzinfo=UTC), WEEKDAYS)
    assert read(store, membership=span).data_hash == before


def test_the_hash_tells_data_apart_and_nothing_else(store: MarketStore) -> None:
    window = read(store)
    assert read(store).data_hash == window.data_hash
    assert read(store, traded=["A"]).data_hash != window.data_hash
    store.ingest(answer(bars("A", [DAYS[2]], [123.0])), "made", datetime(2022, 7, 2, tzinfo=UTC), WEEKDAYS)
    assert read(store).data_hash == window.data_hash  # a revision before the window, and known too late
    store.ingest(answer(bars("A", [DAYS[-2]], [123.0])), "made", datetime(2022, 7, 1, 9, tzinfo=UTC), WEEKDAYS)
    assert read(store).data_hash != window.data_hash  # known before the decision


def test_a_split_known_later_leaves_the_window_alone(store: MarketStore) -> None:
    window = read(store)
    split = answer(bars("A", [DAYS[-1]], [9.0]), acts=actions(("A", DAYS[-1], "split", 7.0)))
    store.ingest(split, "made", datetime(2022, 7, 2, tzinfo=UTC), WEEKDAYS)
    assert read(store).data_hash == window.data_hash


def test_missing_closes_are_named(store: MarketStore) -> None:
    with pytest.raises(WindowError, match=r"C on 2021-01-04, .* and 5 more; D on 2021-01-04"):
        read(store, Expanding(), symbols=["A", "C", "D"])


def test_too_little_history_is_refused(store: MarketStore) -> None:
    with pytest.raises(WindowError, match="20 sessions before it"):
        read(store, history_start=date(2022, 4, 4))
    with pytest.raises(WindowError, match="400 sessions before it"):
        read(store, Expanding(), lookback=400)


def test_a_day_without_trading_has_no_window(store: MarketStore) -> None:
    with pytest.raises(WindowError, match="2022-07-02 is no session of weekdays"):
        read(store, as_of=date(2022, 7, 2))


def test_a_crypto_year_has_every_day(store: MarketStore, tmp_path: Path) -> None:
    days = tuple(START + timedelta(days=n) for n in range(400))
    always = TradingCalendar("24/7", "UTC", days)
    coins = MarketStore(DatabaseFile(tmp_path / "market.duckdb"), "coins")
    coins.ingest(answer(bars("BTC", days, np.linspace(1.0, 2.0, 400))), "made", FETCHED_AT, always)
    window = read_window(
        coins,
        always,
        horizon_name="short",
        shape=Rolling(),
        as_of=days[-1],
        symbols=["BTC"],
        traded=["BTC"],
        history_start=START,
        lookback=30,
    )
    assert len(window.sessions) == 365
    assert window.sessions.dayofweek.nunique() == 7
    with pytest.raises(WindowError):
        read(store, symbols=["BTC"])
