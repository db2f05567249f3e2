"""What the vendors' answers look like: Yahoo, Alpha Vantage, FRED and the SEC.

What a vendor does to prices (Yahoo's split adjustment and single precision) is done here, so that a test can state
as-traded prices and expect exactly these back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from regime_assets_tests.library.market.vendor_server import Answer, Asked, VendorServer

NEW_YORK = ZoneInfo("America/New_York")
SYDNEY = ZoneInfo("Australia/Sydney")
ALL_HOURS = [ZoneInfo(f"Etc/GMT{offset:+d}") for offset in range(-12, 12)]


class TradedBar(NamedTuple):
    """A bar as it was traded."""

    session: date
    open: float
    high: float
    low: float
    close: float
    volume: int


def flat_bars(sessions: Sequence[date], closes: Sequence[float]) -> list[TradedBar]:
    """Bars whose open, high and low surround the close by a cent, volume 1000 each."""
    return [
        TradedBar(day, close, round(close + 0.01, 4), round(close - 0.01, 4), close, 1000)
        for day, close in zip(sessions, closes, strict=True)
    ]


def weekdays(last: date, count: int) -> list[date]:
    """The `count` weekdays up to and including `last`."""
    days = (last - timedelta(days=back) for back in range(2 * count + 4))
    return sorted([day for day in days if day.weekday() < 5][:count])


def yahoo_path(symbol: str) -> str:
    """Where Yahoo serves a symbol's chart."""
    return f"/v8/finance/chart/{symbol}"


def yahoo_chart(
    bars: Sequence[TradedBar],
    splits: Mapping[date, tuple[int, int]] | None = None,
    dividends: Mapping[date, float] | None = None,
    gains: Mapping[date, float] | None = None,
    currency: str = "USD",
    timezone: ZoneInfo = NEW_YORK,
    session_end: datetime | None = None,
) -> dict[str, Any]:
    """Yahoo's chart answer for bars as traded.

    Args:
        bars: as traded.
        splits: ex date → (new shares, old shares).
        dividends: ex date → cash per share as paid then.
        gains: the same of the capital gains of funds.
        currency: unit of the prices.
        timezone: the exchange's.
        session_end: the end of the trading period that Yahoo calls current; 16:00 on the last bar's day if None.
    """
    splits, dividends = splits or {}, dividends or {}

    def later(day: date) -> float:
        return float(np.prod([new / old for ex, (new, old) in splits.items() if ex > day]))

    def opening(day: date) -> int:
        return int(datetime(day.year, day.month, day.day, 9, 30, tzinfo=timezone).timestamp())

    def single(value: float) -> float:
        return float(np.float32(value))

    quote: dict[str, list[Any]] = {
        name: [single(getattr(bar, name) / later(bar.session)) for bar in bars]
        for name in ("open", "high", "low", "close")
    }
    quote["volume"] = [round(bar.volume * later(bar.session)) for bar in bars]
    end = session_end or datetime.combine(bars[-1].session, datetime.min.time(), timezone) + timedelta(hours=16)
    regular = {
        "timezone": "EST",
        "gmtoffset": -18000,
        "start": int((end - timedelta(hours=6.5)).timestamp()),
        "end": int(end.timestamp()),
    }
    meta = {
        "currency": currency,
        "instrumentType": "MUTUALFUND" if gains else "EQUITY",
        "exchangeTimezoneName": str(timezone),
        "regularMarketTime": opening(bars[-1].session),
        "priceHint": 2,
        "dataGranularity": "1d",
        "validRanges": ["1d", "5d", "1mo", "1y", "max"],
        "currentTradingPeriod": {name: dict(regular) for name in ("pre", "regular", "post")},
    }
    events = {
        "splits": {
            str(opening(day)): {
                "date": opening(day),
                "numerator": new,
                "denominator": old,
                "splitRatio": f"{new}:{old}",
            }
            for day, (new, old) in splits.items()
        },
        "dividends": {
            str(opening(day)): {"date": opening(day), "amount": amount / later(day)}
            for day, amount in dividends.items()
        },
        "capitalGains": {
            str(opening(day)): {"date": opening(day), "amount": amount / later(day)}
            for day, amount in (gains or {}).items()
        },
    }
    result = {
        "meta": meta,
        "timestamp": [opening(bar.session) for bar in bars],
        "events": {kind: found for kind, found in events.items() if found},
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": [close * 0.9 for close in quote["close"]]}]},
    }
    return {"chart": {"result": [result], "error": None}}


def yahoo_unknown() -> Answer:
    """What Yahoo says about a symbol that it does not know."""
    error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
    return Answer({"chart": {"result": None, "error": error}}, status=404)


def yahoo_rate_limit() -> Answer:
    """What Yahoo says to a client that asks too often."""
    return Answer("Too Many Requests\r\n", status=429)


def prepare_yahoo(server: VendorServer) -> None:
    """The cookie and crumb pages that yfinance visits before its first request."""
    server.route("/", Answer("", status=404, headers={"Set-Cookie": "A3=cookie; Path=/"}))
    server.route("/v1/test/getcrumb", Answer("crumb"))


ALPHA_VANTAGE_PATH = "/query"


def alpha_vantage_daily(
    bars: Sequence[TradedBar],
    splits: Mapping[date, float] | None = None,
    dividends: Mapping[date, float] | None = None,
    timezone: str = "US/Eastern",
) -> dict[str, Any]:
    """Alpha Vantage's daily adjusted series for bars as traded, newest first."""
    rows = {
        bar.session.isoformat(): {
            "1. open": f"{bar.open}",
            "2. high": f"{bar.high}",
            "3. low": f"{bar.low}",
            "4. close": f"{bar.close}",
            "5. adjusted close": f"{bar.close / 2}",
            "6. volume": f"{bar.volume}",
            "7. dividend amount": f"{(dividends or {}).get(bar.session, 0.0):.4f}",
            "8. split coefficient": f"{(splits or {}).get(bar.session, 1.0)}",
        }
        for bar in reversed(bars)
    }
    return {"Meta Data": {"5. Time Zone": timezone}, "Time Series (Daily)": rows}


FRED_OBSERVATIONS_PATH = "/fred/series/observations"
FRED_VINTAGES_PATH = "/fred/series/vintagedates"
SEC_TICKERS_PATH = "/files/company_tickers.json"


class Vintage(NamedTuple):
    """A value as it was published: of `period`, on `published`."""

    published: str
    period: str
    value: str


def prepare_fred(server: VendorServer, series: str, vintages: Sequence[Vintage]) -> None:
    """Serve a series' vintages as FRED does: by real-time window, what was valid before it clipped to its start."""
    dates = sorted({vintage.published for vintage in vintages})

    def vintage_dates(asked: Asked) -> Any:
        recent = [published for published in dates if published >= asked.query.get("realtime_start", "1776-07-04")]
        return {"count": len(recent), "vintage_dates": recent}

    def observations(asked: Asked) -> Any:
        start, end = asked.query["realtime_start"], asked.query["realtime_end"]
        inside = sum(start <= published <= end for published in dates)
        if inside > 2000:
            return Answer({"error_code": 400, "error_message": f"Bad Request. {inside} vintage dates"}, status=400)
        rows: list[dict[str, str]] = []
        for period in sorted({vintage.period for vintage in vintages}):
            versions = sorted(vintage for vintage in vintages if vintage.period == period)
            following = [*[version.published for version in versions[1:]], "9999-12-31"]
            rows += [
                {"realtime_start": max(version.published, start), "date": period, "value": version.value}
                for version, until in zip(versions, following, strict=True)
                if version.published <= end and until > start
            ]
        wanted = [r for r in rows if asked.query["observation_start"] <= r["date"] <= asked.query["observation_end"]]
        offset, limit = int(asked.query["offset"]), int(asked.query["limit"])
        return {"count": len(wanted), "observations": wanted[offset : offset + limit]}

    server.route(FRED_VINTAGES_PATH, vintage_dates, query={"series_id": series})
    server.route(FRED_OBSERVATIONS_PATH, observations, query={"series_id": series})


def fred_error(message: str) -> Answer:
    """FRED's refusal of a request."""
    return Answer({"error_code": 400, "error_message": message}, status=400)


def sec_facts_path(number: int) -> str:
    """Where the SEC serves a company's facts."""
    return f"/api/xbrl/companyfacts/CIK{number:010d}.json"


def sec_filings_path(number: int) -> str:
    """Where the SEC lists what a company filed."""
    return f"/submissions/CIK{number:010d}.json"


def sec_filings(*days: str, tagged: bool = True) -> dict[str, Any]:
    """A company's list of filings, newest first, as parallel columns."""
    newest_first = sorted(days, reverse=True)
    columns = {"filingDate": newest_first, "isXBRL": [int(tagged)] * len(days), "form": ["10-Q"] * len(days)}
    return {"cik": "1", "name": "X", "filings": {"recent": columns, "files": []}}


def sec_filing(
    end: str, value: float, filed: str, start: str | None = None, accession: str = "0-24-1"
) -> dict[str, Any]:
    """One filed value; `start` makes it a flow."""
    row = {"end": end, "val": value, "accn": accession, "fy": 2024, "fp": "FY", "form": "10-K", "filed": filed}
    return row | ({"start": start} if start else {})


def sec_facts(units: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    """A company's facts: tag → unit → filings."""
    return {"cik": 1, "entityName": "X", "facts": {"us-gaap": {tag: {"units": dict(u)} for tag, u in units.items()}}}


def prepare_sec(server: VendorServer, numbers: Mapping[str, int]) -> None:
    """The SEC's list of tickers."""
    rows = enumerate(numbers.items())
    server.route(SEC_TICKERS_PATH, {str(i): {"cik_str": n, "ticker": t, "title": t} for i, (t, n) in rows})
