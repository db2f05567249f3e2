"""Macro series by vintage: what FRED's archive (ALFRED) says was published, and when.

Every version of every observation is fetched, or those of the vintages since a day. A vintage is dated by day; a figure
counts as known from the end of that day in New York, never earlier. A series that entered the archive late has its old
observations dated by that entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd

from regime_assets.library.market.sources.base import (
    FetchedFacts,
    SourceError,
    SymbolError,
    check_request,
    end_of_day,
    finite_numbers,
)
from regime_assets.library.market.sources.fact_fetching import fetch_each_subject, no_facts
from regime_assets.library.market.sources.pacing import Pacing, Unavailable
from regime_assets.library.market.sources.vendor_client import VendorClient, from_environment, quoted

VENDOR = "FRED"
HOST = "api.stlouisfed.org"
MAX_ANSWER_BYTES = 64 * 1024 * 1024
VINTAGES_PER_REQUEST = 1000  # the archive refuses more than 2000 at a time
ROWS_PER_REQUEST = 100_000  # the archive's limit
LEVEL = "level"


class FredSource:
    """Macro series of the Federal Reserve Bank of St. Louis; subjects are series ids such as UNRATE.

    Args:
        api_key_env: the environment variable that holds the key; the key itself is no argument.
        base_url: a server on this machine that stands in for FRED.
        pause: seconds between two series; FRED allows 120 requests a minute.
        timeout: seconds for one request.
        attempts: per series before it counts as failed.
        backoff: seconds before the second attempt, doubled before each further one.
    """

    name = "fred"

    def __init__(
        self,
        api_key_env: str = "FRED_API_KEY",
        base_url: str | None = None,
        *,
        pause: float = 1.0,
        timeout: float = 30.0,
        attempts: int = 3,
        backoff: float = 5.0,
    ) -> None:
        self._api_key_env = api_key_env
        self._pacing = Pacing(pause, timeout, attempts, backoff)
        self._client = VendorClient(VENDOR, HOST, timeout, MAX_ANSWER_BYTES, base_url)

    def fetch_facts(
        self, subjects: Sequence[str], first: date, last: date, since: Mapping[str, date] | None = None
    ) -> FetchedFacts:
        """All vintages, or those since a day, of the observations dated `first` to `last`; the fact is called "level".

        Raises:
            SourceError: the key is missing or refused, no series was answered, or the request is malformed.
        """
        series = check_request(subjects, first, last)
        key = from_environment(self._api_key_env, f"{VENDOR} needs an API key")

        def vintages(one: str, published: date | None) -> pd.DataFrame:
            return self._vintages(one, key, first, last, published)

        return fetch_each_subject(VENDOR, series, since, vintages, self._pacing)

    def _vintages(self, series: str, key: str, first: date, last: date, since: date | None) -> pd.DataFrame:
        identity = {"series_id": series, "api_key": key, "file_type": "json"}
        rows: list[dict[str, str]] = []
        wanted = identity if since is None else identity | {"realtime_start": since.isoformat()}
        vintages = self._pages("vintagedates", wanted, "vintage_dates", rows_per_request=10_000)
        try:
            for start, end in _windows(vintages, since):
                query = identity | {"realtime_start": start, "realtime_end": end}
                query |= {"observation_start": first.isoformat(), "observation_end": last.isoformat()}
                rows += self._pages("observations", query, "observations")
            # "." is FRED's mark for an observation that has no value.
            table = pd.DataFrame([row for row in rows if row["value"] != "."])
            if table.empty and since is not None:
                return no_facts()
            if table.empty:
                raise SymbolError(f"{VENDOR} has no observation from {first} to {last}")
            return pd.DataFrame(
                {
                    "fact": LEVEL,
                    "period": pd.to_datetime(table["date"], format="%Y-%m-%d").dt.strftime("%Y-%m-%d"),
                    "value": finite_numbers(table["value"]),
                    "known_at": end_of_day(table["realtime_start"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"malformed answer ({type(error).__name__}: {quoted(error, key)})") from None

    def _pages(
        self, endpoint: str, query: dict[str, str], name: str, rows_per_request: int = ROWS_PER_REQUEST
    ) -> list[Any]:
        """The list `name` of all pages of an answer."""
        found: list[Any] = []
        while True:
            paging = {"limit": rows_per_request, "offset": len(found)}
            answer = self._client.get_json(f"https://{HOST}/fred/series/{endpoint}", query | paging)
            _raise_for_message(answer.status, answer.document, query["api_key"])
            try:
                page, count = list(answer.document[name]), int(answer.document["count"])
            except (KeyError, TypeError, ValueError) as error:
                raise Unavailable(f"malformed answer ({type(error).__name__})") from None
            found += page
            if len(found) >= count or not page:
                return found


def _windows(vintages: list[str], since: date | None) -> list[tuple[str, str]]:
    """Real-time windows of a bearable number of vintages each, together from the first vintage to the last.

    A version that is still valid when a window starts is dated by that start; it repeats the value that the window
    before ended with, and goes when repeated values are dropped. With `since`, the first window starts a day earlier:
    what was valid by then carries that day and is told from what was published on `since` itself.
    """
    days = [date.fromisoformat(vintage) for vintage in vintages]
    starts = days[::VINTAGES_PER_REQUEST]
    ends = [*(start - timedelta(days=1) for start in starts[1:]), *days[-1:]]
    if since is not None and starts:
        starts[0] = since - timedelta(days=1)
    return [(start.isoformat(), end.isoformat()) for start, end in zip(starts, ends, strict=True)]


def _raise_for_message(status: int, document: Any, key: str) -> None:
    if status < 400:
        return
    words = quoted(document.get("error_message", "") if isinstance(document, dict) else "", key)
    if "api_key" in words or status in (401, 403):
        raise SourceError(f"{VENDOR} refuses the key (HTTP {status}): {words}")
    raise SymbolError(f"{VENDOR}: {words or 'no such series'} (HTTP {status})")
