"""Alpha Vantage: daily bars as traded, with split coefficients and dividends on their ex dates.

The endpoint TIME_SERIES_DAILY_ADJUSTED needs a paid key. Errors arrive with HTTP 200 as a document with a single key:
`Error Message`, `Information` or `Note`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.market.sources.base import (
    DIVIDEND,
    PRICE_FIELDS,
    SPLIT,
    Fetched,
    History,
    PriceBasis,
    SourceError,
    SymbolError,
    assemble,
    check_request,
    no_actions,
)
from regime_assets.library.market.sources.pacing import Pacing, Unavailable, fetch_each
from regime_assets.library.market.sources.vendor_client import VendorClient, from_environment, quoted

VENDOR = "Alpha Vantage"
HOST = "www.alphavantage.co"
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # the full history of one symbol is about 2 MB

_COLUMNS = {
    "1. open": "open",
    "2. high": "high",
    "3. low": "low",
    "4. close": "close",
    "6. volume": "volume",
    "7. dividend amount": DIVIDEND,
    "8. split coefficient": SPLIT,
}


class AlphaVantageSource:
    """Daily bars of Alpha Vantage.

    Args:
        api_key_env: the environment variable that holds the key; the key itself is no argument.
        base_url: a server on this machine that stands in for the vendor.
        pause: seconds between two symbols; 0.8 keeps within the smallest paid plan, 75 requests a minute.
        timeout: seconds for one request.
        attempts: requests per symbol before it counts as failed.
        backoff: seconds before the second attempt, doubled before each further one.
    """

    name = "alpha_vantage"
    settled_hours = 24.0
    basis: PriceBasis = "as traded"
    fields = PRICE_FIELDS

    def __init__(
        self,
        api_key_env: str = "ALPHA_VANTAGE_API_KEY",
        base_url: str | None = None,
        *,
        pause: float = 0.8,
        timeout: float = 30.0,
        attempts: int = 3,
        backoff: float = 15.0,
    ) -> None:
        self._api_key_env = api_key_env
        self._pacing = Pacing(pause, timeout, attempts, backoff)
        self._client = VendorClient(VENDOR, HOST, timeout, MAX_ANSWER_BYTES, base_url)

    def fetch(self, symbols: Sequence[str], first: date, last: date) -> Fetched:
        """As-traded bars and actions of `symbols`; a bar dated today at the exchange is left out.

        Raises:
            SourceError: the key is missing or refused, no symbol was answered, or the request is malformed.
        """
        wanted = check_request(symbols, first, last)
        key = from_environment(self._api_key_env, f"{VENDOR} needs an API key")
        histories, failures = fetch_each(
            VENDOR, wanted, lambda symbol: self._history(symbol, key, first, last), self._pacing
        )
        return assemble(histories, failures)

    def _history(self, symbol: str, key: str, first: date, last: date) -> History:
        query = {
            "function": "TIME_SERIES_DAILY_ADJUSTED",
            "symbol": symbol,
            "outputsize": "full",
            "datatype": "json",
            "apikey": key,
        }
        document = self._client.get_json(f"https://{HOST}/query", query).document
        _raise_for_message(document, key)
        try:
            said = document["Meta Data"]
            if str(said.get("2. Symbol", symbol)).upper() != symbol.upper():
                raise Unavailable(f"answered with the prices of {quoted(said['2. Symbol'], key)}")
            zone = ZoneInfo(said["5. Time Zone"])
            bars = _table(document["Time Series (Daily)"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable(f"malformed answer ({type(error).__name__}: {quoted(error, key)})") from None
        # The newest bar moves until the session is over, and the answer does not say whether it is.
        before_today = bars.index < pd.Timestamp(clock.today(zone.key))
        bars = bars[before_today].loc[pd.Timestamp(first) : pd.Timestamp(last)]
        if bars.empty:
            raise SymbolError(f"{VENDOR} has no completed session from {first} to {last}")
        return History(bars[list(PRICE_FIELDS)], _actions(bars))


def _raise_for_message(document: Any, key: str) -> None:
    """Turn an error that came with HTTP 200 into the exception that it is."""
    if not isinstance(document, dict):
        raise Unavailable(f"malformed answer: a JSON {type(document).__name__}")
    for name in ("Error Message", "Information", "Note"):
        if name not in document:
            continue
        words = quoted(document[name], key)
        if "premium endpoint" in words or "apikey is invalid" in words:
            raise SourceError(f"{VENDOR} refuses the key: {words}")
        if name == "Error Message":
            raise SymbolError(f"{VENDOR}: {words}")
        raise Unavailable(f"{VENDOR}: {words}")


def _table(series: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """Rows by session, ascending; columns `PRICE_FIELDS`, split, dividend."""
    sessions = pd.DatetimeIndex(pd.to_datetime(list(series), format="%Y-%m-%d"), name="session")
    rows = [[float(row[column]) for column in _COLUMNS] for row in series.values()]
    table = pd.DataFrame(rows, index=sessions, columns=list(_COLUMNS.values())).sort_index()
    if not np.isfinite(table.to_numpy()).all():
        raise ValueError("a value that is NaN or infinite")
    return table


def _actions(bars: pd.DataFrame) -> pd.DataFrame:
    parts = [no_actions()]
    for kind, neutral in ((SPLIT, 1.0), (DIVIDEND, 0.0)):
        values = bars.loc[bars[kind] != neutral, kind]
        parts.append(pd.DataFrame({"ex_session": values.index, "kind": kind, "value": values.to_numpy()}))
    return pd.concat(parts, ignore_index=True)
