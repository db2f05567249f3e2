"""The real yfinance client against a server that speaks Yahoo's chart format."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.clock import clock
from regime_assets.library.market.sources.base import BAR_COLUMNS, SourceError
from regime_assets.library.market.sources.yahoo import YahooSource, shortest_decimals
from regime_assets_tests.library.market import vendor_formats as vendor
from regime_assets_tests.library.market.vendor_formats import flat_bars, yahoo_chart, yahoo_path
from regime_assets_tests.library.market.vendor_server import Answer, VendorServer, running_server

TODAY = datetime.now(vendor.NEW_YORK).date()
SESSIONS = vendor.weekdays(TODAY - timedelta(days=7), 6)
FIRST, LAST = SESSIONS[0], SESSIONS[-1]
CLOSES = [480.0, 488.0, 496.12, 125.5, 126.25, 127.01]


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with running_server() as running:
        vendor.prepare_yahoo(running)
        running.route(yahoo_path("KO"), yahoo_chart(flat_bars(SESSIONS, [60.0, 60.1, 60.2, 60.3, 60.4, 60.5])))
        running.route(yahoo_path("NONE"), vendor.yahoo_unknown())
        yield running


def source(server: VendorServer, **options: Any) -> YahooSource:
    return YahooSource(**({"base_url": server.base_url, "pause": 0.0, "timeout": 5.0, "backoff": 0.01} | options))


def test_bars_come_back_as_they_were_traded(server: VendorServer) -> None:
    fetched = source(server).fetch(["KO"], FIRST, LAST)
    assert tuple(fetched.bars.columns) == BAR_COLUMNS
    assert fetched.bars["session"].dt.date.tolist() == SESSIONS
    assert fetched.bars["close"].tolist() == [60.0, 60.1, 60.2, 60.3, 60.4, 60.5]
    assert fetched.bars["high"].tolist() == [60.01, 60.11, 60.21, 60.31, 60.41, 60.51]
    assert (fetched.bars["volume"] == 1000).all()
    assert fetched.actions.empty
    assert fetched.failures == {}


def test_prices_before_a_split_are_those_of_the_day(server: VendorServer) -> None:
    server.route(yahoo_path("KLAC"), yahoo_chart(flat_bars(SESSIONS, CLOSES), splits={SESSIONS[3]: (4, 1)}))
    fetched = source(server).fetch(["KLAC"], FIRST, LAST)
    assert fetched.bars["close"].tolist() == CLOSES
    assert (fetched.bars["volume"] == 1000).all()
    assert fetched.actions.to_dict("records") == [
        {"symbol": "KLAC", "ex_session": pd.Timestamp(SESSIONS[3]), "kind": "split", "value": 4.0}
    ]


def test_a_split_after_the_requested_range_is_undone_but_not_returned(server: VendorServer) -> None:
    server.route(yahoo_path("KLAC"), yahoo_chart(flat_bars(SESSIONS, CLOSES), splits={SESSIONS[3]: (4, 1)}))
    fetched = source(server).fetch(["KLAC"], FIRST, SESSIONS[1])
    assert fetched.bars["close"].tolist() == CLOSES[:2]
    assert fetched.actions.empty


def test_a_dividend_is_the_cash_paid_per_share_of_that_day(server: VendorServer) -> None:
    chart = yahoo_chart(
        flat_bars(SESSIONS, CLOSES),
        splits={SESSIONS[3]: (4, 1)},
        dividends={SESSIONS[1]: 1.2, SESSIONS[3]: 0.3, SESSIONS[4]: 0.31},
    )
    server.route(yahoo_path("KLAC"), chart)
    actions = source(server).fetch(["KLAC"], FIRST, LAST).actions
    dividends = actions[actions["kind"] == "dividend"].set_index("ex_session")["value"]
    assert dividends.to_dict() == {
        pd.Timestamp(SESSIONS[1]): 1.2,
        pd.Timestamp(SESSIONS[3]): 0.3,
        pd.Timestamp(SESSIONS[4]): 0.31,
    }


@given(
    cents=st.integers(min_value=100, max_value=500_000),
    ratio=st.sampled_from([(2, 1), (3, 1), (3, 2), (4, 1), (7, 1), (10, 1), (20, 1), (1, 8), (1, 10), (50, 1)]),
)
def test_a_later_split_never_changes_the_as_traded_price(cents: int, ratio: tuple[int, int]) -> None:
    traded, split = cents / 100, ratio[0] / ratio[1]
    before, after = float(np.float32(traded)), float(np.float32(traded / split)) * split
    assert shortest_decimals(np.array([before, after])).tolist() == [traded, traded]


def test_every_fetch_runs_up_to_today(server: VendorServer) -> None:
    source(server).fetch(["KO"], FIRST, SESSIONS[1])
    (asked,) = [asked for asked in server.asked if asked.path == yahoo_path("KO")]
    assert datetime.now().timestamp() - float(asked.query["period2"]) < 60
    assert float(asked.query["period1"]) <= datetime(FIRST.year, FIRST.month, FIRST.day).timestamp()


def test_a_second_fetch_asks_again_instead_of_remembering(server: VendorServer) -> None:
    yahoo = source(server)
    yahoo.fetch(["KO"], FIRST, LAST)
    server.route(yahoo_path("KO"), yahoo_chart(flat_bars(SESSIONS, CLOSES)))
    assert yahoo.fetch(["KO"], FIRST, LAST).bars["close"].tolist() == CLOSES


@pytest.mark.parametrize(
    ("at", "returned"),
    [("15:00", False), ("16:15", False), ("18:00", True)],
)
def test_todays_bar_is_returned_only_once_its_session_is_over(server: VendorServer, at: str, returned: bool) -> None:
    sessions = SESSIONS[:2]
    server.route(yahoo_path("BTC-USD"), yahoo_chart(flat_bars(sessions, [1.5, 1.6])))
    hour, minute = map(int, at.split(":"))
    evening = datetime.combine(sessions[1], datetime.min.time(), vendor.NEW_YORK).replace(hour=hour, minute=minute)
    with clock.at(evening):
        bars = source(server).fetch(["BTC-USD"], sessions[0], sessions[1]).bars
    assert bars["session"].dt.date.tolist() == (sessions if returned else sessions[:1])


def test_a_newest_row_with_a_close_and_no_range_yet_is_a_bar(server: VendorServer) -> None:
    chart = yahoo_chart(flat_bars(SESSIONS, CLOSES))
    quote = chart["chart"]["result"][0]["indicators"]["quote"][0]
    for name in ("open", "high", "low"):
        quote[name][-1] = None
    server.route(yahoo_path("KO"), chart)
    newest = source(server).fetch(["KO"], FIRST, LAST).bars.iloc[-1]
    assert (newest["session"].date(), newest["close"]) == (LAST, CLOSES[-1])
    assert newest[["open", "high", "low"]].isna().all()


@pytest.mark.parametrize("symbol", ["M&M.NS", "BRK-B", "^GSPC", "CL=F", "BTC-USD", "0700.HK"])
def test_symbols_are_asked_for_as_the_vendor_writes_them(server: VendorServer, symbol: str) -> None:
    server.route(yahoo_path(symbol), yahoo_chart(flat_bars(SESSIONS, CLOSES)))
    server.route(yahoo_path(symbol.replace("^", "%5E").replace("&", "%26")), yahoo_chart(flat_bars(SESSIONS, CLOSES)))
    server.route(yahoo_path(symbol.replace("^", "%5E").replace("=", "%3D")), yahoo_chart(flat_bars(SESSIONS, CLOSES)))
    assert source(server).fetch([symbol], FIRST, LAST).bars["close"].tolist() == CLOSES


def test_a_class_share_in_another_vendors_spelling_is_told_yahoos(server: VendorServer) -> None:
    server.route(yahoo_path("BRK.B"), vendor.yahoo_unknown())
    assert "Yahoo writes it BRK-B" in source(server).fetch(["BRK.B", "KO"], FIRST, LAST).failures["BRK.B"]


def test_a_session_without_a_price_is_no_bar(server: VendorServer) -> None:
    chart = yahoo_chart(flat_bars(SESSIONS, CLOSES))
    quote = chart["chart"]["result"][0]["indicators"]["quote"][0]
    for name in ("open", "high", "low", "close", "volume"):
        quote[name][2] = None  # a session that Yahoo lists empty
    quote["close"][4] = None  # and one that it lists in part
    server.route(yahoo_path("GAP"), chart)
    bars = source(server).fetch(["GAP"], FIRST, LAST).bars
    assert bars["session"].dt.date.tolist() == [*SESSIONS[:2], SESSIONS[3], SESSIONS[5]]
    assert not bars.isna().any(axis=None)


def test_an_unknown_symbol_fails_alone_with_yahoos_reason(server: VendorServer) -> None:
    fetched = source(server).fetch(["NONE", "KO"], FIRST, LAST)
    assert set(fetched.bars["symbol"]) == {"KO"}
    assert "may be delisted" in fetched.failures["NONE"]


def test_a_rate_limit_that_passes_is_waited_out(server: VendorServer) -> None:
    good = Answer(yahoo_chart(flat_bars(SESSIONS, CLOSES)))
    # yfinance itself asks twice before it gives up, hence four refusals for two attempts.
    server.route(yahoo_path("AAPL"), *[vendor.yahoo_rate_limit()] * 4, good)
    fetched = source(server).fetch(["AAPL"], FIRST, LAST)
    assert fetched.bars["close"].tolist() == CLOSES


def test_a_rate_limit_that_stays_fails_the_symbol_alone(server: VendorServer) -> None:
    server.route(yahoo_path("AAPL"), vendor.yahoo_rate_limit())
    fetched = source(server, attempts=3).fetch(["AAPL", "KO"], FIRST, LAST)
    assert set(fetched.bars["symbol"]) == {"KO"}
    assert fetched.failures == {"AAPL": "rate limited (HTTP 429); attempts: 3"}
    assert server.times_asked(yahoo_path("AAPL")) == 6


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b""),
        Answer("<html>Will be right back</html>"),
        Answer('{"chart": {"result": [{"meta": {'),
        Answer({"chart": {"result": [{"meta": {}, "indicators": {"quote": [{"close": [1.0]}]}}], "error": None}}),
        Answer([1, 2, 3]),
        Answer("Internal Server Error", status=500),
    ],
    ids=["empty", "page", "truncated", "incomplete", "list", "server-error"],
)
def test_an_answer_that_cannot_be_read_fails_the_symbol_alone(server: VendorServer, answer: Answer) -> None:
    server.route(yahoo_path("BAD"), answer)
    fetched = source(server, attempts=2).fetch(["BAD", "KO"], FIRST, LAST)
    assert set(fetched.bars["symbol"]) == {"KO"}
    assert set(fetched.failures) == {"BAD"}


@pytest.mark.parametrize("status", [401, 403, 502])
def test_a_server_that_refuses_or_fails_is_not_taken_for_an_unknown_symbol(server: VendorServer, status: int) -> None:
    error = {"result": None, "error": {"code": "some", "description": "words"}}
    server.route(yahoo_path("KO"), Answer({"chart": error, "finance": error}, status=status))
    with pytest.raises(SourceError, match=f"Yahoo is down.*HTTP {status}"):
        source(server, attempts=1).fetch(["KO"], FIRST, LAST)


def test_the_prices_of_another_symbol_are_not_taken(server: VendorServer) -> None:
    other = yahoo_chart(flat_bars(SESSIONS, CLOSES))
    other["chart"]["result"][0]["meta"]["symbol"] = "KLAC"
    server.route(yahoo_path("PEP"), other)
    fetched = source(server, attempts=1).fetch(["PEP", "KO"], FIRST, LAST)
    assert fetched.failures == {"PEP": "answered with the prices of KLAC; attempts: 1"}
    assert set(fetched.bars["symbol"]) == {"KO"}


def test_an_answer_without_bars_fails_the_symbol_alone(server: VendorServer) -> None:
    empty = yahoo_chart(flat_bars(SESSIONS, CLOSES))
    del empty["chart"]["result"][0]["timestamp"]
    empty["chart"]["result"][0]["indicators"]["quote"] = [{}]
    server.route(yahoo_path("EMPTY"), empty)
    fetched = source(server).fetch(["EMPTY", "KO"], FIRST, LAST)
    assert "no prices" in fetched.failures["EMPTY"]
    assert server.times_asked(yahoo_path("EMPTY")) == 1


@pytest.mark.parametrize("slow", [Answer("{}", silence_seconds=1.0), Answer("{" * 100, drip_seconds=0.05)])
def test_a_slow_answer_is_cut_off_at_the_time_out(server: VendorServer, slow: Answer) -> None:
    server.route(yahoo_path("SLOW"), slow)
    fetched = source(server, timeout=0.3, attempts=1).fetch(["SLOW", "KO"], FIRST, LAST)
    assert "no answer within 0.3 s" in fetched.failures["SLOW"]
    assert set(fetched.bars["symbol"]) == {"KO"}


def test_yahoo_down_is_an_error_of_the_source(server: VendorServer) -> None:
    symbols = [f"S{number}" for number in range(9)]
    for symbol in symbols:
        server.route(yahoo_path(symbol), vendor.yahoo_rate_limit())
    with pytest.raises(SourceError, match=r"Yahoo is down: none of 9 symbols.*429"):
        source(server, attempts=1).fetch(symbols, FIRST, LAST)
    assert server.times_asked(yahoo_path("S8")) == 0


def test_nobody_listening_is_an_error_of_the_source() -> None:
    with pytest.raises(SourceError, match="Yahoo is down"):
        YahooSource(base_url="http://127.0.0.1:1", pause=0, attempts=1).fetch(["KO"], FIRST, LAST)


def test_a_redirect_away_from_yahoo_is_refused(server: VendorServer) -> None:
    server.route(yahoo_path("KO"), Answer("", status=302, headers={"Location": "http://169.254.169.254/latest"}))
    with pytest.raises(SourceError, match=r"refused to ask http://169\.254\.169\.254"):
        source(server).fetch(["KO"], FIRST, LAST)


def test_an_isin_is_refused_unasked(server: VendorServer) -> None:
    fetched = source(server).fetch(["US0378331005", "KO"], FIRST, LAST)
    assert "ISIN" in fetched.failures["US0378331005"]
    assert not any("US0378331005" in str(asked) for asked in server.asked)


def test_hostile_symbols_reach_nobody(server: VendorServer) -> None:
    with pytest.raises(SourceError, match="refused symbols"):
        source(server).fetch(["KO", "../../admin"], FIRST, LAST)
    assert server.asked == []


def test_a_stand_in_must_be_on_this_machine() -> None:
    with pytest.raises(SourceError, match="no server on this machine"):
        YahooSource(base_url="http://example.com").fetch(["KO"], FIRST, LAST)


def test_yfinance_settings_are_put_back(server: VendorServer) -> None:
    from yfinance.config import YfConfig

    source(server).fetch(["KO"], FIRST, LAST)
    assert YfConfig.debug.hide_exceptions is True


def test_a_session_is_dated_in_exchange_time() -> None:
    """Sydney opens on the evening before in UTC."""
    with running_server() as running:
        vendor.prepare_yahoo(running)
        chart = yahoo_chart(flat_bars(SESSIONS, CLOSES), timezone=vendor.SYDNEY)
        running.route(yahoo_path("BHP.AX"), chart)
        bars = source(running).fetch(["BHP.AX"], FIRST, LAST).bars
        opening = chart["chart"]["result"][0]["timestamp"][0]
        assert all(float(asked.query.get("period1", 0)) <= opening for asked in running.asked)
    assert bars["session"].dt.date.tolist() == SESSIONS


def test_fetched_days_are_dates_and_not_moments(server: VendorServer) -> None:
    session = source(server).fetch(["KO"], FIRST, LAST).bars["session"]
    assert session.dtype == np.dtype("datetime64[ns]")
    assert session.dt.date.min() == date(FIRST.year, FIRST.month, FIRST.day)


@pytest.mark.parametrize(("dividend", "paid"), [(16.88, 16.88), (0.08, 0.08 + 16.8)])
def test_capital_gains_of_a_fund_are_counted_once(server: VendorServer, dividend: float, paid: float) -> None:
    """Among the dividends, as JENYX's, or beside them where the dividend is too small to hold them."""
    closes = [60.0, 60.1, 60.2, 43.3, 43.4, 43.5]
    chart = yahoo_chart(flat_bars(SESSIONS, closes), dividends={SESSIONS[3]: dividend}, gains={SESSIONS[3]: 16.8})
    server.route(yahoo_path("JENYX"), chart)
    (action,) = source(server).fetch(["JENYX"], FIRST, LAST).actions.to_dict("records")
    assert (action["kind"], action["value"]) == ("dividend", pytest.approx(paid, rel=1e-6))


def test_the_unit_of_prices_is_what_the_vendor_says(server: VendorServer) -> None:
    server.route(yahoo_path("TEM.L"), yahoo_chart(flat_bars(SESSIONS, CLOSES), currency="GBp"))
    assert source(server).fetch(["TEM.L", "KO"], FIRST, LAST).currencies == {"TEM.L": "GBp", "KO": "USD"}
