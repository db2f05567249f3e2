"""Company facts by filing date, against a server that speaks the SEC's XBRL archive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd
import pytest

from regime_assets.library.market.sources.base import FACT_COLUMNS, SourceError
from regime_assets.library.market.sources.sec import SecSource
from regime_assets_tests.library.market import vendor_formats as vendor
from regime_assets_tests.library.market.vendor_formats import sec_facts, sec_filing
from regime_assets_tests.library.market.vendor_server import Answer, VendorServer, running_server

FIRST, LAST = date(2022, 1, 1), date(2024, 12, 31)
CONTACT = "Test Person test@example.com"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorServer]:
    monkeypatch.setenv("SEC_CONTACT", CONTACT)
    with running_server() as running:
        vendor.prepare_sec(running, {"AAPL": 320193, "BRK-B": 1067983, "GONE": 7})
        assets = [sec_filing("2022-12-31", 100.0, "2023-02-01"), sec_filing("2023-12-31", 120.0, "2024-02-01")]
        running.route(vendor.sec_facts_path(320193), sec_facts({"Assets": {"USD": assets}}))
        yield running


def source(server: VendorServer, **options: Any) -> SecSource:
    return SecSource(**({"base_url": server.base_url, "pause": 0.0, "timeout": 5.0, "backoff": 0.01} | options))


def serve(server: VendorServer, tag: str, unit: str, *filings: dict[str, Any]) -> None:
    server.route(vendor.sec_facts_path(320193), sec_facts({tag: {unit: filings}}))


def test_facts_are_dated_by_their_filing(server: VendorServer) -> None:
    fetched = source(server).fetch_facts(["AAPL"], FIRST, LAST)
    assert tuple(fetched.facts.columns) == FACT_COLUMNS
    assert fetched.facts[["subject", "fact", "period", "value"]].values.tolist() == [
        ["AAPL", "us-gaap:Assets USD", "2022-12-31", 100.0],
        ["AAPL", "us-gaap:Assets USD", "2023-12-31", 120.0],
    ]
    assert fetched.facts["known_at"].tolist()[0] == pd.Timestamp("2023-02-02 05:00", tz="UTC")


def test_a_figure_repeated_in_a_later_report_was_known_from_the_first(server: VendorServer) -> None:
    serve(
        server,
        "Assets",
        "USD",
        sec_filing("2022-12-31", 100.0, "2024-02-01", accession="0-24-1"),
        sec_filing("2022-12-31", 100.0, "2023-02-01", accession="0-23-1"),
        sec_filing("2022-12-31", 90.0, "2024-05-01", accession="0-24-2"),
    )
    facts = source(server).fetch_facts(["AAPL"], FIRST, LAST).facts
    assert facts["value"].tolist() == [100.0, 90.0]
    assert facts["known_at"].dt.strftime("%Y-%m-%d").tolist() == ["2023-02-02", "2024-05-02"]


def test_of_two_filings_on_one_day_the_later_counts(server: VendorServer) -> None:
    amended = sec_filing("2022-12-31", 101.0, "2023-02-01", accession="0-23-2")
    serve(server, "Assets", "USD", amended, sec_filing("2022-12-31", 100.0, "2023-02-01", accession="0-23-1"))
    assert source(server).fetch_facts(["AAPL"], FIRST, LAST).facts["value"].tolist() == [101.0]


def test_a_flow_over_a_quarter_and_over_a_year_are_different_periods(server: VendorServer) -> None:
    serve(
        server,
        "NetIncomeLoss",
        "USD",
        sec_filing("2023-12-31", 40.0, "2024-02-01", start="2023-01-01"),
        sec_filing("2023-12-31", 10.0, "2024-02-01", start="2023-10-01"),
    )
    facts = source(server).fetch_facts(["AAPL"], FIRST, LAST).facts
    assert dict(zip(facts["period"], facts["value"], strict=True)) == {
        "2023-01-01/2023-12-31": 40.0,
        "2023-10-01/2023-12-31": 10.0,
    }


@pytest.mark.parametrize("day", ["2023-01-31", "2023-02-01", "2023-02-02", "2024-05-01", "2024-05-02"])
def test_what_was_filed_since_a_day_is_the_end_of_the_whole(server: VendorServer, day: str) -> None:
    serve(
        server,
        "Assets",
        "USD",
        sec_filing("2022-12-31", 100.0, "2023-02-01", accession="0-23-1"),
        sec_filing("2022-12-31", 100.0, "2024-02-01", accession="0-24-1"),
        sec_filing("2022-12-31", 90.0, "2024-05-01", accession="0-24-2"),
    )
    filings = vendor.sec_filings("2023-02-01", "2024-02-01", "2024-05-01")
    server.route(vendor.sec_filings_path(320193), filings)
    whole = source(server).fetch_facts(["AAPL"], FIRST, LAST).facts
    since = source(server).fetch_facts(["AAPL"], FIRST, LAST, {"AAPL": date.fromisoformat(day)})
    wanted = whole[whole["known_at"] >= pd.Timestamp(day, tz="America/New_York") + pd.Timedelta(days=1)]
    pd.testing.assert_frame_equal(since.facts, wanted.reset_index(drop=True))
    assert since.failures == {}


@pytest.mark.parametrize("tagged", [True, False])
def test_the_facts_are_fetched_again_only_after_a_filing_that_has_some(server: VendorServer, tagged: bool) -> None:
    server.route(vendor.sec_filings_path(320193), vendor.sec_filings("2024-02-01", tagged=tagged))
    fetched = source(server).fetch_facts(["AAPL"], FIRST, LAST, {"AAPL": date(2024, 2, 1)})
    assert server.times_asked(vendor.sec_facts_path(320193)) == int(tagged)
    assert (len(fetched.facts), fetched.failures) == (int(tagged), {})


@pytest.mark.parametrize(
    "bad",
    [Answer({}), Answer({"filings": {"recent": {"filingDate": ["soon"], "isXBRL": [1]}}}), Answer("", status=503)],
    ids=["nothing", "date", "down"],
)
def test_a_list_of_filings_that_cannot_be_read_fails_the_company_alone(server: VendorServer, bad: Answer) -> None:
    server.route(vendor.sec_filings_path(320193), bad)
    server.route(
        vendor.sec_facts_path(1067983), sec_facts({"Assets": {"USD": [sec_filing("2023-12-31", 1.0, "2024-02-01")]}})
    )
    fetched = source(server, attempts=2).fetch_facts(["AAPL", "BRK-B"], FIRST, LAST, {"AAPL": date(2024, 2, 1)})
    assert set(fetched.failures) == {"AAPL"}
    assert set(fetched.facts["subject"]) == {"BRK-B"}


def test_the_contact_is_sent_with_every_request(server: VendorServer) -> None:
    source(server).fetch_facts(["AAPL"], FIRST, LAST)
    assert [asked.headers["user-agent"] for asked in server.asked] == [CONTACT, CONTACT]


@pytest.mark.parametrize("contact", ["", "nobody", "a@b\r\nX-Evil: 1", "ä@example.com"])
def test_without_a_usable_contact_nobody_is_asked(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch, contact: str
) -> None:
    monkeypatch.setenv("SEC_CONTACT", contact)
    with pytest.raises(SourceError, match="SEC_CONTACT"):
        source(server).fetch_facts(["AAPL"], FIRST, LAST)
    assert server.asked == []


def test_companies_without_facts_fail_alone(server: VendorServer) -> None:
    fetched = source(server).fetch_facts(["NONE", "GONE", "AAPL"], FIRST, LAST)
    assert set(fetched.facts["subject"]) == {"AAPL"}
    assert "no company" in fetched.failures["NONE"]
    assert "HTTP 404" in fetched.failures["GONE"]


def test_only_wanted_facts_and_periods_are_returned(server: VendorServer) -> None:
    failures = source(server).fetch_facts(["AAPL"], date(2010, 1, 1), date(2011, 1, 1)).failures
    assert "none of the wanted facts" in failures["AAPL"]
    failures = source(server, concepts=["us-gaap:Goodwill"]).fetch_facts(["AAPL"], FIRST, LAST).failures
    assert "none of the wanted facts" in failures["AAPL"]


@pytest.mark.parametrize(
    "bad",
    [
        Answer(b""),
        Answer({}),
        Answer([]),
        Answer(sec_facts({"Assets": {"USD": [{"end": "2023-12-31"}]}})),
        Answer(sec_facts({"Assets": {"USD": [sec_filing("yesterday", 1.0, "2024-01-01")]}})),
        Answer(sec_facts({"Assets": {"USD": [sec_filing("2023-12-31", float("nan"), "2024-01-01")]}})),
        Answer("", status=503),
        Answer("", status=429),
    ],
    ids=["empty", "nothing", "list", "keys", "date", "nan", "down", "limit"],
)
def test_an_answer_that_cannot_be_read_fails_the_company_alone(server: VendorServer, bad: Answer) -> None:
    server.route(vendor.sec_facts_path(1067983), bad)
    fetched = source(server, attempts=2).fetch_facts(["BRK-B", "AAPL"], FIRST, LAST)
    assert set(fetched.facts["subject"]) == {"AAPL"}
    assert set(fetched.failures) == {"BRK-B"}
    assert server.times_asked(vendor.sec_facts_path(1067983)) == 2


def test_a_refused_client_is_an_error_of_the_source(server: VendorServer) -> None:
    server.route(vendor.SEC_TICKERS_PATH, Answer("<html>Undeclared Automated Tool</html>", status=403))
    with pytest.raises(SourceError, match="check the contact"):
        source(server).fetch_facts(["AAPL"], FIRST, LAST)


def test_the_sec_down_is_an_error_of_the_source(server: VendorServer) -> None:
    server.route(vendor.SEC_TICKERS_PATH, Answer("", status=503))
    with pytest.raises(SourceError, match="SEC is down: HTTP 503"):
        source(server, attempts=2).fetch_facts(["AAPL"], FIRST, LAST)
