"""The window that a model is fitted on: complete adjusted closes up to a session, as known as of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.market.decisions import Decision
from regime_assets.library.universe.exceptions import ALL, Accepted
from regime_assets.library.universe.membership import Membership

if TYPE_CHECKING:
    from regime_assets.library.market.calendar import TradingCalendar
    from regime_assets.library.market.store import MarketStore

NAMED_GAPS = 5
"""Sessions that an error names for each symbol; the rest is counted."""


class WindowError(Exception):
    """There is no complete window; the message names the symbols and sessions that are missing."""


@dataclass(frozen=True)
class Rolling:
    """The sessions of the last `calendar_days` days, all of equal weight.

    Attributes:
        calendar_days: length in calendar days; the default holds the seasons of one year once.
    """

    calendar_days: int = 365


@dataclass(frozen=True)
class Expanding:
    """All sessions since the history's start, recent ones weighing more.

    Attributes:
        half_life_sessions: age in sessions at which a session weighs half as much as the newest; the default is
            two years of 252 sessions.
    """

    half_life_sessions: int = 504


@dataclass(frozen=True)
class Window:
    """One window of one universe and horizon.

    Attributes:
        universe: the universe's name.
        horizon: the horizon's name ("short", "long").
        as_of: the session as of which the prices were known; the last one of the window.
        sessions: the T sessions in the window, ascending.
        prices: total-return adjusted closes, shape (lookback + T, symbols); the rows before the window are there
            for features to look back at. NaN on the sessions on which a symbol is no member, nowhere else.
        traded: the symbols whose returns are earned; each is a column of `prices`.
        sample_weight: weight of each session in the window, shape (T,), mean 1.
        data_hash: SHA-256 over sessions, symbols, prices, weights, and the accepted exceptions among them.
        accepted: what somebody took for right or corrected in these sessions and symbols, a line each.
        refuges: those of the traded symbols that are held when risk is off; the market are the others.
    """

    universe: str
    horizon: str
    as_of: date
    sessions: pd.DatetimeIndex
    prices: pd.DataFrame
    traded: tuple[str, ...]
    sample_weight: NDArray[np.float64]
    data_hash: str
    accepted: tuple[str, ...] = ()
    refuges: tuple[str, ...] = ()

    def standing(self, symbols: Sequence[str]) -> pd.DataFrame:
        """The prices of those of `symbols` that are members on every row."""
        prices = self.prices[[symbol for symbol in symbols if symbol in self.prices.columns]]
        return prices.dropna(axis=1)

    @property
    def market_returns(self) -> pd.Series[float]:
        """Equal-weighted mean simple return of the traded risk symbols, all rows of `prices` but the first."""
        prices = self.prices[[symbol for symbol in self.traded if symbol not in self.refuges]].to_numpy()
        mean = (prices[1:] / prices[:-1] - 1.0).mean(axis=1)
        return pd.Series(mean, index=self.prices.index[1:], name="market_return")

    @property
    def traded_returns(self) -> pd.DataFrame:
        """Simple returns of the traded symbols in the window, shape (T, N).

        The first row is earned from the last lookback session on; a window without lookback has T - 1 rows.
        """
        prices = self.prices[list(self.traded)].to_numpy()
        returns = pd.DataFrame(prices[1:] / prices[:-1] - 1.0, index=self.prices.index[1:], columns=list(self.traded))
        return returns.loc[self.sessions[0] :]


def read_window(
    store: MarketStore,
    calendar: TradingCalendar,
    *,
    horizon_name: str,
    shape: Rolling | Expanding,
    as_of: date,
    symbols: Sequence[str],
    traded: Sequence[str],
    history_start: date,
    lookback: int,
    membership: Membership | None = None,
    accepted: Sequence[Accepted | Decision] = (),
    refuges: Sequence[str] = (),
) -> Window:
    """Read the window that ends with `as_of`, complete or not at all.

    Args:
        store: the universe's bars.
        calendar: the universe's calendar.
        horizon_name: the name that the window carries.
        shape: which sessions are in the window. An expanding window starts `lookback` sessions into the history.
        as_of: a session; nothing that became known later than its decision time is used.
        symbols: what features read; those that are no members on any session that is read are left out.
        traded: what is held; symbols that are not among `symbols` are added behind them.
        history_start: first day that may be read.
        lookback: sessions before the window that features need.
        membership: the sessions on which symbols are members; always when not given.
        accepted: what was taken for right or corrected, in the file or by command, whatever it concerns.
        refuges: those of `traded` that are held when risk is off.

    Raises:
        WindowError: `as_of` is no session, the history is too short, or a member lacks a close.
    """
    if not calendar.is_session(as_of):
        raise WindowError(f"{store.universe}: {as_of} is no session of {calendar.name}")
    history = calendar.sessions(history_start, as_of)
    start = _first_in_window(history, shape, lookback)
    if start < lookback or start >= len(history):
        raise WindowError(
            f"{store.universe} {horizon_name} as of {as_of}: {len(history)} sessions since {history_start} do not "
            f"hold the window and {lookback} sessions before it. {_earliest(calendar, history_start, shape, lookback)}"
        )
    needed = history[start - lookback :]
    members = membership or Membership()
    columns = list(dict.fromkeys((*members.members(symbols, needed[0], as_of), *traded)))
    prices = store.adjusted_closes(as_of, columns, needed[0], as_of, calendar, members)
    _refuse_gaps(prices, members.mask(columns, needed), f"{store.universe} {horizon_name} as of {as_of}")
    sessions = pd.DatetimeIndex(prices.index[lookback:])
    weight = window_weights(shape, len(sessions))
    within = [entry for entry in accepted if _concerns(entry, columns, needed)]
    return Window(
        universe=store.universe,
        horizon=horizon_name,
        as_of=as_of,
        sessions=sessions,
        prices=prices,
        traded=tuple(traded),
        sample_weight=weight,
        data_hash=_hash(prices, tuple(traded), weight, within),
        accepted=tuple(entry.told for entry in within),
        refuges=tuple(refuges),
    )


def _concerns(entry: Accepted | Decision, symbols: Sequence[str], sessions: Sequence[date]) -> bool:
    first, last = entry.span
    return entry.symbol in (ALL, *symbols) and first <= sessions[-1] and sessions[0] <= last


def _earliest(calendar: TradingCalendar, history_start: date, shape: Rolling | Expanding, lookback: int) -> str:
    """From when on there is a window."""
    history = calendar.sessions(history_start, calendar.all_sessions[-1])
    if len(history) <= lookback:
        return "Begin the history earlier: history_start"
    since = history[lookback]
    if isinstance(shape, Rolling):
        since = history[lookback - 1] + timedelta(days=shape.calendar_days)
    earliest = next((session for session in history if session >= since), None)
    if earliest is None:
        return "Begin the history earlier: history_start"
    return f"{earliest} is the first session that does: write first_partition: {earliest}, or an earlier history_start"


def _first_in_window(history: Sequence[date], shape: Rolling | Expanding, lookback: int) -> int:
    """Position in `history` of the window's first session."""
    if isinstance(shape, Expanding):
        return lookback
    after = history[-1] - timedelta(days=shape.calendar_days) if history else date.min
    return sum(session <= after for session in history)


def window_weights(shape: Rolling | Expanding, count: int) -> NDArray[np.float64]:
    """Weights of the `count` sessions of a window, oldest first, mean 1."""
    if isinstance(shape, Rolling):
        return np.ones(count)
    age = np.arange(count - 1, -1, -1)
    weight = 0.5 ** (age / shape.half_life_sessions)
    return weight / weight.mean()


def _refuse_gaps(prices: pd.DataFrame, expected: NDArray[np.bool_], label: str) -> None:
    usable = np.isfinite(prices.to_numpy()) & (prices.to_numpy() > 0.0) | ~expected
    gaps: list[str] = []
    for column, symbol in enumerate(prices.columns):
        missing = prices.index[~usable[:, column]]
        if len(missing):
            named = ", ".join(str(session.date()) for session in missing[:NAMED_GAPS])
            more = f" and {len(missing) - NAMED_GAPS} more" if len(missing) > NAMED_GAPS else ""
            gaps.append(f"{symbol} on {named}{more}")
    if gaps:
        raise WindowError(f"{label}: no usable close for {'; '.join(gaps)}")


def _hash(
    prices: pd.DataFrame, traded: tuple[str, ...], weight: NDArray[np.float64], accepted: Sequence[Accepted | Decision]
) -> str:
    digest = hashlib.sha256()
    digest.update(prices.index.to_numpy(dtype="datetime64[D]").astype("int64").tobytes())
    digest.update("\n".join([*prices.columns, "", *traded]).encode())
    digest.update(np.ascontiguousarray(prices.to_numpy(dtype="float64")).tobytes())
    digest.update(weight.tobytes())
    for entry in sorted((entry.rule, entry.symbol, *map(str, entry.span)) for entry in accepted):
        digest.update("\n".join(entry).encode())
    return digest.hexdigest()
