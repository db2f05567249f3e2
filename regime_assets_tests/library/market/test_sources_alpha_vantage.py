"""The Alpha Vantage source against a server that answers errors with HTTP 200, as the vendor does."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from regime_assets.library.market.sources.alpha_vantage import AlphaVantageSource
from regime_assets.library.market.sources.base import BAR_COLUMNS, SourceError
from regime_assets_tests.library.market import vendor_formats as vendor
from regime_assets_tests.library.market.vendor_formats import alpha_vantage_daily, flat_bars
from regime_assets_tests.library.market.vendor_server import Answer, VendorServer, running_server

KEY = "SECRETKEY0123456"
SESSIONS = vendor.weekdays(datetime.now(vendor.NEW_YORK).date() - timedelta(days=7), 4)
FIRST, LAST = SESSIONS[0], SESSIONS[-1]
CLOSES = [300.0, 302.5, 151.0, 151.25]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorServer]:
    monkeypatch.setenv("ALPHA_VANTAGE_API_KEY", KEY)
    with running_server() as running:
        answer(running, "KO", alpha_vantage_daily(flat_bars(SESSIONS, CLOSES)))
        yield running


def answer(server: VendorServer, symbol: str, *answers: Any) -> None:
    server.route(vendor.ALPHA_VANTAGE_PATH, *answers, query={"symbol": symbol})


def source(server: VendorServer, **options: Any) -> AlphaVantageSource:
    return AlphaVantageSource(
        **({"base_url": server.base_url, "pause": 0.0, "timeout": 5.0, "backoff": 0.01} | options)
    )


def test_bars_and_actions_come_back_as_traded(server: VendorServer) -> None:
    daily = alpha_vantage_daily(flat_bars(SESSIONS, CLOSES), splits={SESSIONS[2]: 2.0}, dividends={SESSIONS[1]: 0.24})
    answer(server, "SPLT", daily)
    fetched = source(server).fetch(["SPLT"], FIRST, LAST)
    assert tuple(fetched.bars.columns) == BAR_COLUMNS
    assert fetched.bars["close"].tolist() == CLOSES
    assert fetched.bars["session"].dt.date.tolist() == SESSIONS
    assert fetched.actions.to_dict("records") == [
        {"symbol": "SPLT", "ex_session": pd.Timestamp(SESSIONS[1]), "kind": "dividend", "value": 0.24},
        {"symbol": "SPLT", "ex_session": pd.Timestamp(SESSIONS[2]), "kind": "split", "value": 2.0},
    ]


def test_the_whole_history_is_asked_for_with_the_key(server: VendorServer) -> None:
    source(server).fetch(["KO"], FIRST, LAST)
    (asked,) = server.asked
    assert asked.query["outputsize"] == "full"
    assert asked.query["apikey"] == KEY


def test_a_bar_dated_today_is_left_out(server: VendorServer) -> None:
    today = datetime.now(vendor.NEW_YORK).date()
    answer(server, "NEW", alpha_vantage_daily(flat_bars([LAST, today], [1.0, 2.0])))
    assert source(server).fetch(["NEW"], FIRST, today).bars["session"].dt.date.tolist() == [LAST]


def test_an_unknown_symbol_fails_alone_and_is_not_asked_again(server: VendorServer) -> None:
    answer(server, "NONE", {"Error Message": "Invalid API call. Please retry or visit the documentation."})
    fetched = source(server).fetch(["NONE", "KO"], FIRST, LAST)
    assert set(fetched.bars["symbol"]) == {"KO"}
    assert "Invalid API call" in fetched.failures["NONE"]
    assert len(server.asked) == 2


@pytest.mark.parametrize("name", ["Note", "Information"])
def test_a_rate_limit_note_is_waited_out(server: VendorServer, name: str) -> None:
    limit = {name: f"We have detected your API key as {KEY} and our rate limit is 5 requests per minute."}
    answer(server, "BUSY", limit, alpha_vantage_daily(flat_bars(SESSIONS, CLOSES)))
    assert source(server).fetch(["BUSY"], FIRST, LAST).failures == {}


def test_a_rate_limit_that_stays_fails_the_symbol_without_showing_the_key(server: VendorServer) -> None:
    limit = {"Information": f"We have detected your API key as {KEY} and our rate limit is 25 requests per day."}
    answer(server, "BUSY", limit)
    failure = source(server).fetch(["BUSY", "KO"], FIRST, LAST).failures["BUSY"]
    assert "25 requests per day" in failure
    assert KEY not in failure


@pytest.mark.parametrize(
    "words",
    [
        "Thank you for using Alpha Vantage! This is a premium endpoint.",
        f"the parameter apikey is invalid or missing: {KEY}. Please claim your free API key.",
    ],
)
def test_a_refused_key_is_an_error_of_the_source(server: VendorServer, words: str) -> None:
    answer(server, "KO", {"Information": words})
    with pytest.raises(SourceError, match="refuses the key") as caught:
        source(server).fetch(["KO", "PEP"], FIRST, LAST)
    assert KEY not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "bad",
    [
        Answer(b""),
        Answer("<html></html>"),
        Answer([]),
        Answer({}),
        Answer({"Meta Data": {"5. Time Zone": "US/Eastern"}, "Time Series (Daily)": {"2024-01-02": {"1. open": "1"}}}),
        Answer({"Meta Data": {"5. Time Zone": "Nowhere/Land"}, "Time Series (Daily)": {}}),
        Answer({"Meta Data": {"2. Symbol": "KO", "5. Time Zone": "US/Eastern"}, "Time Series (Daily)": {}}),
        Answer("gateway", status=502),
        Answer("", status=429),
    ],
    ids=["empty", "page", "list", "nothing", "columns", "zone", "another symbol", "gateway", "limit"],
)
def test_an_answer_that_cannot_be_read_fails_the_symbol_alone(server: VendorServer, bad: Answer) -> None:
    answer(server, "BAD", bad)
    fetched = source(server, attempts=2).fetch(["BAD", "KO"], FIRST, LAST)
    assert set(fetched.bars["symbol"]) == {"KO"}
    assert set(fetched.failures) == {"BAD"}


@pytest.mark.parametrize("values", ["nan", "inf", "one", ""])
def test_a_price_that_is_no_number_never_becomes_a_bar(server: VendorServer, values: str) -> None:
    daily = alpha_vantage_daily(flat_bars(SESSIONS, CLOSES))
    daily["Time Series (Daily)"][SESSIONS[1].isoformat()]["4. close"] = values
    answer(server, "BAD", daily)
    assert "malformed" in source(server, attempts=1).fetch(["BAD", "KO"], FIRST, LAST).failures["BAD"]


def test_an_endless_answer_is_cut_off(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regime_assets.library.market.sources.alpha_vantage.MAX_ANSWER_BYTES", 10_000)
    answer(server, "HUGE", Answer(b" " * 1_000_000))
    assert "request failed" in source(server, attempts=1).fetch(["HUGE", "KO"], FIRST, LAST).failures["HUGE"]


def test_a_redirect_is_not_followed(server: VendorServer) -> None:
    answer(server, "KO", Answer("", status=302, headers={"Location": f"{server.base_url}/elsewhere"}))
    with pytest.raises(SourceError, match="redirects"):
        source(server).fetch(["KO"], FIRST, LAST)
    assert server.times_asked("/elsewhere") == 0


def test_a_missing_key_names_the_variable_and_asks_nobody(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALPHA_VANTAGE_API_KEY")
    with pytest.raises(SourceError, match="ALPHA_VANTAGE_API_KEY"):
        source(server).fetch(["KO"], FIRST, LAST)
    assert server.asked == []


@pytest.mark.parametrize(
    "trouble",
    [
        Answer("", silence_seconds=0.5),
        Answer("x", status=503),
        Answer("no json"),
        Answer({"Note": f"key {KEY}"}),
        Answer({KEY: KEY}),
    ],
    ids=["silent", "down", "text", "note", "echo"],
)
def test_the_key_is_in_no_message_traceback_or_log(
    server: VendorServer, trouble: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer(server, "KO", trouble)
    alpha_vantage = source(server, attempts=1, timeout=0.2)
    with pytest.raises(SourceError, match="is down") as caught:
        alpha_vantage.fetch(["KO"], FIRST, LAST)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(vars(alpha_vantage))
    assert KEY not in shown
