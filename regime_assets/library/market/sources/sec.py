"""Company facts from the SEC's XBRL archive, by the day on which they were filed.

The archive repeats last year's figures in every later report; only the first filing and those that changed a figure
are kept. A filing is dated by day; it counts as known from the end of that day in New York, never earlier. The facts of
a company come as one file of megabytes: where only filings since a day are asked for, the short list of its filings
says first whether there are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
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
from regime_assets.library.market.sources.pacing import Pacing, Unavailable, persistently
from regime_assets.library.market.sources.vendor_client import VendorClient, from_environment

VENDOR = "SEC"
HOST = "sec.gov"
TICKERS_URL = "https://www.sec.gov/files/company_tickers.json"
FACTS_URL = "https://data.sec.gov/api/xbrl/companyfacts/CIK{cik:010d}.json"
FILINGS_URL = "https://data.sec.gov/submissions/CIK{cik:010d}.json"
MAX_ANSWER_BYTES = 128 * 1024 * 1024  # the largest company's facts are below 40 MB
DEFAULT_CONCEPTS = (
    "us-gaap:Assets",
    "us-gaap:StockholdersEquity",
    "us-gaap:NetIncomeLoss",
    "us-gaap:EarningsPerShareDiluted",
)


class SecSource:
    """Company facts of the US Securities and Exchange Commission; subjects are tickers.

    Args:
        concepts: taxonomy and tag of the facts to keep; a fact is named "us-gaap:Assets USD", with its unit.
        contact_env: the environment variable with a name and e-mail address. The SEC refuses clients that do not
            say whom to write to.
        base_url: a server on this machine that stands in for the SEC.
        pause: seconds between two companies; the SEC allows 10 requests a second.
        timeout: seconds for one request.
        attempts: per company before it counts as failed.
        backoff: seconds before the second attempt, doubled before each further one.
    """

    name = "sec"

    def __init__(
        self,
        concepts: Sequence[str] = DEFAULT_CONCEPTS,
        contact_env: str = "SEC_CONTACT",
        base_url: str | None = None,
        *,
        pause: float = 0.2,
        timeout: float = 60.0,
        attempts: int = 3,
        backoff: float = 5.0,
    ) -> None:
        self._concepts = tuple(concepts)
        self._contact_env = contact_env
        self._pacing = Pacing(pause, timeout, attempts, backoff)
        self._client = VendorClient(VENDOR, HOST, timeout, MAX_ANSWER_BYTES, base_url)
        self._numbers: dict[str, int] = {}

    def fetch_facts(
        self, subjects: Sequence[str], first: date, last: date, since: Mapping[str, date] | None = None
    ) -> FetchedFacts:
        """All filed versions, or those filed since a day, of the facts whose period ends from `first` to `last`.

        Raises:
            SourceError: the contact is missing or refused, no company was answered, or the request is malformed.
        """
        tickers = check_request(subjects, first, last)
        contact = from_environment(self._contact_env, "the SEC needs a contact, 'Name name@example.com'")
        if "@" not in contact or not contact.isprintable() or not contact.isascii():
            raise SourceError(f"{self._contact_env}: the SEC needs a name and an e-mail address, in ASCII")
        headers = {"User-Agent": contact}
        try:
            self._numbers = self._numbers or persistently(lambda: self._registered(headers), self._pacing)
        except Unavailable as error:
            raise SourceError(f"{VENDOR} is down: {error}") from error
        numbers = self._numbers

        def filed(ticker: str, published: date | None) -> pd.DataFrame:
            number = numbers.get(ticker.upper())
            if number is None:
                raise SymbolError(f"the {VENDOR} lists no company under this ticker")
            if published is not None and not self._has_filed(number, headers, published):
                return no_facts()
            return self._facts(number, headers, first, last, published)

        return fetch_each_subject(VENDOR, tickers, since, filed, self._pacing)

    def _registered(self, headers: Mapping[str, str]) -> dict[str, int]:
        """Ticker → the company's number at the SEC."""
        answer = self._client.get_json(TICKERS_URL, {}, headers)
        _raise_if_refused(answer.status)
        try:
            return {str(row["ticker"]): int(row["cik_str"]) for row in answer.document.values()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"malformed list of tickers ({type(error).__name__})") from error

    def _has_filed(self, number: int, headers: Mapping[str, str], since: date) -> bool:
        """Whether the company filed anything in XBRL since a day. The list reaches back a year at least."""
        answer = self._client.get_json(FILINGS_URL.format(cik=number), {}, headers)
        _raise_if_refused(answer.status)
        if answer.status >= 400:
            raise SymbolError(f"the {VENDOR} has no filings of company {number} (HTTP {answer.status})")
        try:
            recent = answer.document["filings"]["recent"]
            filings = zip(recent["filingDate"], recent["isXBRL"], strict=True)
            return any(bool(tagged) and date.fromisoformat(day) >= since for day, tagged in filings)
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"malformed list of filings ({type(error).__name__}: {error})") from error

    def _facts(
        self, number: int, headers: Mapping[str, str], first: date, last: date, since: date | None
    ) -> pd.DataFrame:
        answer = self._client.get_json(FACTS_URL.format(cik=number), {}, headers)
        _raise_if_refused(answer.status)
        if answer.status >= 400:
            raise SymbolError(f"the {VENDOR} has no facts of company {number} (HTTP {answer.status})")
        try:
            filed = [row for concept in self._concepts for row in _filed(answer.document["facts"], concept)]
            table = pd.DataFrame(filed, columns=["fact", "start", "end", "value", "filed", "accession"])
            ends = pd.to_datetime(table["end"], format="%Y-%m-%d")
            table = table[ends.between(pd.Timestamp(first), pd.Timestamp(last))].sort_values(["filed", "accession"])
            facts = pd.DataFrame(
                {
                    "fact": table["fact"],
                    "period": table["end"].where(table["start"].isna(), table["start"] + "/" + table["end"]),
                    "value": finite_numbers(table["value"]),
                    "known_at": end_of_day(table["filed"]),
                }
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"malformed answer ({type(error).__name__}: {error})") from error
        if facts.empty and since is None:
            raise SymbolError(f"the {VENDOR} has none of the wanted facts from {first} to {last}")
        return facts


def _filed(facts: Mapping[str, Any], concept: str) -> Iterator[tuple[Any, ...]]:
    """The filings of one concept, in all its units; nothing when the company never reported it."""
    taxonomy, _, tag = concept.partition(":")
    for unit, rows in facts.get(taxonomy, {}).get(tag, {}).get("units", {}).items():
        for row in rows:
            yield f"{concept} {unit}", row.get("start"), row["end"], row["val"], row["filed"], row["accn"]


def _raise_if_refused(status: int) -> None:
    if status in (401, 403):
        raise SourceError(f"{VENDOR} refuses this client (HTTP {status}): check the contact that it is given")
