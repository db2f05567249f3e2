"""Yahoo Finance through yfinance: bars as traded, splits and dividends.

What Yahoo calls `Close` is adjusted for every split up to today, dividends and volume likewise. As-traded values are
recovered with the splits that came later, so every fetch runs up to today whatever range is asked for.
yfinance hides failures as NaN, remembers answers and keeps pickled cookies on disk; all three are switched off here.
Capital gains that funds pay out are part of their dividends, counted once (`_distributions`).
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

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
    SymbolError,
    assemble,
    check_request,
)
from regime_assets.library.market.sources.pacing import Pacing, Unavailable, fetch_each

if TYPE_CHECKING:
    import yfinance

    from regime_assets.library.market.sources.guarded_session import GuardedSession

HOST = "yahoo.com"
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # a century of daily bars of one symbol is about 3 MB
SINGLE_PRECISION = 2.0**-23  # Yahoo's prices are single-precision numbers written in full

CLASSES = ("A", "B", "C")  # of shares; other single letters are exchanges

_COLUMNS = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}


class YahooSource:
    """Daily bars of Yahoo Finance.

    Yahoo publishes no rate limit; `pause` keeps well below the rates at which it is known to answer 429.

    Args:
        base_url: a server on this machine that stands in for every *.yahoo.com host.
        pause: seconds between two symbols.
        timeout: seconds for one request.
        attempts: requests per symbol before it counts as failed.
        ready_minutes: after a session's end, from when on its bar is taken; Yahoo is 15 to 20 minutes late for most.
        settled_hours: after the end of a session's day, up to which its bar is provisional: of evening bars 2 % had an
            open or close outside their range, and all were in order a day later.
        backoff: seconds before the second attempt, doubled before each further one.
    """

    name = "yahoo"
    basis: PriceBasis = "as traded"
    fields = PRICE_FIELDS

    def __init__(
        self,
        base_url: str | None = None,
        pause: float = 0.5,
        timeout: float = 20.0,
        attempts: int = 4,
        backoff: float = 5.0,
        ready_minutes: float = 30.0,
        settled_hours: float = 24.0,
    ) -> None:
        self._ready = timedelta(minutes=ready_minutes)
        self.settled_hours = settled_hours
        self._base_url = base_url
        self._pacing = Pacing(pause, timeout, attempts, backoff)

    def fetch(self, symbols: Sequence[str], first: date, last: date) -> Fetched:
        """As-traded bars and actions of `symbols`; a session that is not over yet is left out.

        Raises:
            SourceError: Yahoo answered for no symbol at all, or the request is malformed.
        """
        wanted = check_request(symbols, first, last)
        with _outspoken_yfinance():
            histories, failures = fetch_each(
                "Yahoo", wanted, lambda symbol: self._history(symbol, first, last), self._pacing
            )
        return assemble(histories, failures)

    @cached_property
    def _session(self) -> GuardedSession:
        from regime_assets.library.market.sources.guarded_session import GuardedSession

        return GuardedSession(
            HOST,
            timeout_seconds=self._pacing.timeout_seconds,
            max_bytes=MAX_ANSWER_BYTES,
            base_url=self._base_url,
            redirects=5,
            impersonate="chrome",
        )

    def _history(self, symbol: str, first: date, last: date) -> History:
        import yfinance
        from curl_cffi.requests.exceptions import JSONDecodeError, RequestException, Timeout
        from yfinance import exceptions, utils

        if utils.is_isin(symbol):
            raise SymbolError("an ISIN, not a Yahoo symbol: one ISIN is listed under several symbols")
        try:
            ticker = yfinance.Ticker(symbol, session=self._session)
            _spare_time_zone_request(symbol.upper())
            # A day early: Yahoo dates a bar by its opening, which in Asia lies on the day before in UTC.
            frame = ticker.history(
                start=first - timedelta(days=1),
                auto_adjust=False,
                actions=True,
                repair=False,
                timeout=self._pacing.timeout_seconds,
            )
            newest = _newest_complete(ticker, frame, pd.Timestamp(clock.now()), self._ready)
        except exceptions.YFRateLimitError:
            raise Unavailable("rate limited (HTTP 429)", self._session.retry_after) from None
        except exceptions.YFTickerMissingError as error:
            if self._session.last_status in (401, 403):  # yfinance takes a refused client for a missing symbol
                raise Unavailable(f"refused (HTTP {self._session.last_status})") from error
            raise SymbolError(f"Yahoo has no prices: {error.rationale}{_spelling(symbol)}") from error
        except Timeout as error:
            raise Unavailable(f"no answer within {self._pacing.timeout_seconds:g} s") from error
        except (JSONDecodeError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise Unavailable(f"malformed answer ({type(error).__name__}: {error})") from error
        except (RequestException, exceptions.YFException) as error:
            raise Unavailable(f"request failed: {error}") from error
        said: Any = ticker.get_history_metadata()
        if str(said.get("symbol", symbol)).upper() != symbol.upper():
            raise Unavailable(f"answered with the prices of {said['symbol']}")
        currency: Any = said.get("currency")
        return _as_traded(frame, newest, first, last)._replace(currency=currency)


def _spelling(symbol: str) -> str:
    """How Yahoo writes a class share, where a symbol looks like another vendor's spelling of one."""
    share, dot, letter = symbol.rpartition(".")
    return f" (if this is a class share, Yahoo writes it {share}-{letter})" if dot and letter in CLASSES else ""


def _as_traded(frame: pd.DataFrame, newest: date, first: date, last: date) -> History:
    """Undo the adjustment for splits after each session, then cut to the sessions from `first` to `last`.

    Args:
        frame: what `Ticker.history` returned; index in exchange time, ascending.
        newest: the last session that is over.
    """
    sessions = pd.DatetimeIndex(pd.DatetimeIndex(frame.index).tz_localize(None).normalize())
    splits = frame["Stock Splits"].where(frame["Stock Splits"] > 0, 1.0).to_numpy(float)
    later_splits = np.append(np.cumprod(splits[::-1])[::-1][1:], 1.0)
    bars = frame[list(_COLUMNS)].rename(columns=_COLUMNS).set_axis(sessions.rename("session"))
    for field in ("open", "high", "low", "close"):
        bars[field] = shortest_decimals(bars[field].to_numpy(float) * later_splits)
    bars["volume"] = np.round(bars["volume"].to_numpy(float) / later_splits)
    dividends = shortest_decimals(_distributions(frame) * later_splits)
    ex_splits = _actions(sessions, SPLIT, splits, splits != 1.0)
    ex_dividends = _actions(sessions, DIVIDEND, dividends, dividends > 0)
    actions = pd.concat([ex_splits, ex_dividends])
    within = (sessions >= pd.Timestamp(first)) & (sessions <= pd.Timestamp(min(last, newest)))
    # Yahoo lists sessions without a price as null, and the newest one at times with a close alone; what is missing is
    # for the quality checks to judge.
    bars = bars[within].dropna(subset=["close"])
    if bars.empty:
        raise SymbolError(f"Yahoo has no completed session from {first} to {last}")
    in_range = actions["ex_session"].between(pd.Timestamp(first), pd.Timestamp(last))
    return History(bars, actions[in_range])


def _distributions(frame: pd.DataFrame) -> np.ndarray:
    """Dividends with the capital gains of funds, each counted once.

    Yahoo lists gains and counts them among the dividends of the same day, so gains are added only where the dividend is
    too small to hold them. What is counted twice all the same does not show in the price, and rule `unpaid_dividend`
    blocks it.
    """
    dividends = frame["Dividends"].to_numpy(float)
    if "Capital Gains" not in frame.columns:
        return dividends
    gains = np.nan_to_num(frame["Capital Gains"].to_numpy(float))
    return np.where(gains > dividends * (1.0 + SINGLE_PRECISION), dividends + gains, dividends)


def shortest_decimals(values: np.ndarray) -> np.ndarray:
    """The shortest decimal number within single precision of each value, shape as `values`.

    Yahoo's prices carry the rounding of single precision, which changes with every later split. Exchanges quote few
    decimals, so the shortest candidate is the price that was traded, and it stays the same from fetch to fetch.
    """
    result = values.astype(float)
    found = ~np.isfinite(result)
    for decimals in range(9):
        rounded = np.round(values, decimals)
        near = ~found & (np.abs(rounded - values) <= SINGLE_PRECISION * np.abs(values))
        result[near] = rounded[near]
        found |= near
    return result


def _actions(sessions: pd.DatetimeIndex, kind: str, values: np.ndarray, present: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"ex_session": sessions[present], "kind": kind, "value": values[present]})


def _newest_complete(ticker: yfinance.Ticker, frame: pd.DataFrame, now: pd.Timestamp, ready: timedelta) -> date:
    """The newest session of the exchange that is over, its closing auction included.

    Yahoo states when the session that it calls current ends; one before it ended at the same time of its day.
    """
    today = now.tz_convert(pd.DatetimeIndex(frame.index).tz).date()
    period: Any = ticker.get_history_metadata().get("currentTradingPeriod", {}).get("regular", {})
    end = period.get("end")
    over = end is not None and end.date() >= today and now >= end - (end.date() - today) + ready
    return today if over else today - timedelta(days=1)


@contextmanager
def _outspoken_yfinance() -> Generator[None]:
    """yfinance that raises its errors and remembers nothing from before; its settings are global to the process."""
    from yfinance.config import YfConfig
    from yfinance.data import YfData

    _private_caches()
    YfData.cache_get.cache_clear()
    debug = YfConfig.debug
    hidden = debug.hide_exceptions
    debug.hide_exceptions = False
    try:
        yield
    finally:
        debug.hide_exceptions = hidden


def _spare_time_zone_request(ticker: str) -> None:
    """Halve the requests: yfinance would ask for the zone in which to read `start`; the answer carries the true one."""
    from yfinance import cache as yfinance_cache

    zones: Any = yfinance_cache.get_tz_cache()
    zones.store(ticker, "UTC")


@cache
def _private_caches() -> None:
    """Give yfinance an empty cache folder of this process: what it keeps there it would unpickle later."""
    from yfinance import cache as yfinance_cache

    folder = tempfile.TemporaryDirectory(prefix="yfinance-")
    atexit.register(folder.cleanup)
    yfinance_cache.set_cache_location(folder.name)
