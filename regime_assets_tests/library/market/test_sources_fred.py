"""Macro series by vintage, against a server that keeps an archive as ALFRED does."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest

from regime_assets.library.market.sources.base import FACT_COLUMNS, SourceError
from regime_assets.library.market.sources.fred import FredSource
from regime_assets_tests.library.market import vendor_formats as vendor
from regime_assets_tests.library.market.vendor_formats import Vintage
from regime_assets_tests.library.market.vendor_server import Answer, VendorServer, running_server

KEY = "abcdef0123456789abcdef0123456789"
FIRST, LAST = date(2020, 1, 1), date(2020, 12, 31)
PAYROLLS = [
    Vintage("2020-02-07", "2020-01-01", "152.1"),
    Vintage("2020-03-06", "2020-01-01", "152.2"),
    Vintage("2020-03-06", "2020-02-01", "152.5"),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorServer]:
    monkeypatch.setenv("FRED_API_KEY", KEY)
    with running_server() as running:
        vendor.prepare_fred(running, "PAYEMS", PAYROLLS)
        for path in (vendor.FRED_VINTAGES_PATH, vendor.FRED_OBSERVATIONS_PATH):
            running.route(
                path, vendor.fred_error("Bad Request.  The series does not exist."), query={"series_id": "NONE"}
            )
        yield running


def source(server: VendorServer, **options: Any) -> FredSource:
    return FredSource(**({"base_url": server.base_url, "pause": 0.0, "timeout": 5.0, "backoff": 0.01} | options))


def test_a_revision_is_another_version_of_the_same_period(server: VendorServer) -> None:
    fetched = source(server).fetch_facts(["PAYEMS"], FIRST, LAST)
    assert tuple(fetched.facts.columns) == FACT_COLUMNS
    assert fetched.facts[["period", "value"]].values.tolist() == [
        ["2020-01-01", 152.1],
        ["2020-01-01", 152.2],
        ["2020-02-01", 152.5],
    ]
    assert fetched.failures == {}


def test_a_value_is_known_only_when_its_day_of_publication_is_over_in_new_york(server: VendorServer) -> None:
    known = source(server).fetch_facts(["PAYEMS"], FIRST, LAST).facts["known_at"]
    assert known.tolist()[0] == pd.Timestamp("2020-02-08 05:00", tz="UTC")


def test_only_the_requested_periods_are_returned(server: VendorServer) -> None:
    facts = source(server).fetch_facts(["PAYEMS"], date(2020, 2, 1), LAST).facts
    assert facts["period"].tolist() == ["2020-02-01"]


@pytest.mark.parametrize("vintages_per_request", [1, 2, 3, 5])
def test_the_answer_does_not_depend_on_how_the_archive_is_cut_into_requests(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch, vintages_per_request: int
) -> None:
    values = ["1.0", "1.5", "1.0", "1.0", "2.0"]
    published = [f"2020-0{month}-10" for month in range(2, 7)]
    history = [Vintage(day, "2020-01-01", value) for day, value in zip(published, values, strict=True)]
    vendor.prepare_fred(server, "GDP", [*history, Vintage("2020-04-10", "2020-02-01", "7.0")])
    monkeypatch.setattr("regime_assets.library.market.sources.fred.VINTAGES_PER_REQUEST", vintages_per_request)
    facts = source(server).fetch_facts(["GDP"], FIRST, LAST).facts
    assert facts[["period", "value"]].values.tolist() == [
        ["2020-01-01", 1.0],
        ["2020-01-01", 1.5],
        ["2020-01-01", 1.0],
        ["2020-01-01", 2.0],
        ["2020-02-01", 7.0],
    ]
    assert facts["known_at"].dt.strftime("%m-%d").tolist() == ["02-11", "03-11", "04-11", "06-11", "04-11"]


@pytest.mark.parametrize("vintages_per_request", [1, 2, 1000])
@pytest.mark.parametrize("day", ["2020-02-09", "2020-02-10", "2020-02-11", "2020-04-10", "2020-06-10", "2020-06-11"])
def test_what_was_published_since_a_day_is_the_end_of_the_whole(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch, vintages_per_request: int, day: str
) -> None:
    values = ["1.0", "1.5", "1.0", "1.0", "2.0"]
    published = [f"2020-0{month}-10" for month in range(2, 7)]
    history = [Vintage(day, "2020-01-01", value) for day, value in zip(published, values, strict=True)]
    vendor.prepare_fred(server, "GDP", [*history, Vintage("2020-04-10", "2020-02-01", "7.0")])
    monkeypatch.setattr("regime_assets.library.market.sources.fred.VINTAGES_PER_REQUEST", vintages_per_request)
    whole = source(server).fetch_facts(["GDP"], FIRST, LAST).facts
    since = source(server).fetch_facts(["GDP"], FIRST, LAST, {"GDP": date.fromisoformat(day)})
    wanted = whole[whole["known_at"] >= pd.Timestamp(day, tz="America/New_York") + pd.Timedelta(days=1)]
    pd.testing.assert_frame_equal(since.facts, wanted.reset_index(drop=True))
    assert since.failures == {}


def test_where_nothing_was_published_since_no_observation_is_asked_for(server: VendorServer) -> None:
    fetched = source(server).fetch_facts(["PAYEMS"], FIRST, LAST, {"PAYEMS": date(2020, 4, 1)})
    assert (len(fetched.facts), fetched.failures) == (0, {})
    assert server.times_asked(vendor.FRED_OBSERVATIONS_PATH) == 0
    (asked,) = server.asked
    assert asked.query["realtime_start"] == "2020-04-01"


def test_a_daily_series_with_more_vintages_than_the_archive_allows_is_fetched_whole(server: VendorServer) -> None:
    days = [date(2012, 1, 1) + timedelta(days=n) for n in range(2100)]
    vendor.prepare_fred(server, "DGS10", [Vintage(d.isoformat(), d.isoformat(), "1.0") for d in days])
    facts = source(server).fetch_facts(["DGS10"], days[0], days[-1]).facts
    assert len(facts) == 2100


def test_all_pages_are_read(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FredSource._pages, "__defaults__", (2,))
    assert len(source(server).fetch_facts(["PAYEMS"], FIRST, LAST).facts) == 3
    assert server.times_asked(vendor.FRED_OBSERVATIONS_PATH) == 2


def test_an_observation_without_a_value_is_no_fact(server: VendorServer) -> None:
    vendor.prepare_fred(
        server, "DGS10", [Vintage("2020-01-03", "2020-01-01", "."), Vintage("2020-01-03", "2020-01-02", "1.88")]
    )
    assert source(server).fetch_facts(["DGS10"], FIRST, LAST).facts["value"].tolist() == [1.88]


@pytest.mark.parametrize("value", ["nan", "inf", "high"])
def test_a_value_that_is_no_number_never_becomes_a_fact(server: VendorServer, value: str) -> None:
    vendor.prepare_fred(server, "BAD", [Vintage("2020-01-03", "2020-01-02", value)])
    assert "malformed" in source(server, attempts=1).fetch_facts(["BAD", "PAYEMS"], FIRST, LAST).failures["BAD"]


def test_an_unknown_series_fails_alone(server: VendorServer) -> None:
    fetched = source(server).fetch_facts(["NONE", "PAYEMS"], FIRST, LAST)
    assert set(fetched.facts["subject"]) == {"PAYEMS"}
    assert "does not exist" in fetched.failures["NONE"]


def test_a_series_without_observations_in_the_range_fails_alone(server: VendorServer) -> None:
    failures = source(server).fetch_facts(["PAYEMS"], date(1990, 1, 1), date(1991, 1, 1)).failures
    assert "no observation" in failures["PAYEMS"]


@pytest.mark.parametrize(
    "bad",
    [
        Answer(b""),
        Answer({"count": 1}),
        Answer([]),
        Answer({"count": 1, "vintage_dates": ["soon"]}),
        Answer("x", status=500),
        Answer("", status=429),
    ],
    ids=["empty", "keys", "list", "date", "down", "limit"],
)
def test_an_answer_that_cannot_be_read_fails_the_series_alone(server: VendorServer, bad: Answer) -> None:
    server.route(vendor.FRED_VINTAGES_PATH, bad, query={"series_id": "BAD"})
    fetched = source(server, attempts=2).fetch_facts(["BAD", "PAYEMS"], FIRST, LAST)
    assert set(fetched.facts["subject"]) == {"PAYEMS"}
    assert server.times_asked(vendor.FRED_VINTAGES_PATH) == 3
    assert set(fetched.failures) == {"BAD"}


def test_a_refused_key_is_an_error_of_the_source_that_does_not_show_it(
    server: VendorServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words = f"Bad Request.  The value for variable api_key {KEY} is not registered."
    server.route(vendor.FRED_VINTAGES_PATH, vendor.fred_error(words))
    with pytest.raises(SourceError, match="refuses the key") as caught:
        source(server).fetch_facts(["PAYEMS"], FIRST, LAST)
    assert KEY not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_a_missing_key_names_the_variable(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRED_API_KEY")
    with pytest.raises(SourceError, match="FRED_API_KEY"):
        source(server).fetch_facts(["PAYEMS"], FIRST, LAST)


def test_hostile_series_reach_nobody(server: VendorServer) -> None:
    with pytest.raises(SourceError, match="refused symbols"):
        source(server).fetch_facts(["GDP&api_key=x"], FIRST, LAST)
    assert server.asked == []
