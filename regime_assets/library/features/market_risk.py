"""Causal risk features of a market and its cross-section, one row a session.

Every value at session t is computed from exactly the last `memory_sessions` returns up to t, in one fixed order of
operations. So a longer history leaves it bit-identical, and no later row can reach it. Exponential means use a kernel
that is cut at the memory and normalised; window sums are built by doubling, never from a running sum (whose rounding
depends on where it began).

The set follows the statistical jump-model literature (Shu, Yu and Mulvey 2024, "Downside Risk Reduction Using
Regime-Switching Signals"): downside deviations and Sortino ratios at several half-lives, with volatility, drawdown,
trend and the cross-section beside them.

A symbol that joins or leaves has no price outside its membership, and none on a session on which it was halted or its
bar was held back. It is in the cross-section of the rows whose memory it has prices for, and only of those: a row is
what it would be had the universe always consisted of that row's cross-section. A row on whose own session a symbol has
no price goes without it; nothing is filled in there. A few such sessions deeper in a row's memory count as sessions
without a trade: the return over them falls on the session on which it trades again.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.features.protocol import FeatureError, FeatureInputs
from regime_assets.library.features.settings import FeatureSettings

Array = NDArray[np.float64]

CROSS_SECTION_MINIMUM = 3
CROSS_SECTION_NAMES = ("implied_correlation", "log_dispersion", "breadth")
MOST_UNTRADED = 5  # sessions without a price in a row's memory; a symbol with more of them is out of its cross-section
RETURN_FLOOR = 1e-4  # one basis point a day: keeps logarithms and ratios finite over windows without a loss


class MarketRisk:
    """The component `market_risk`."""

    Settings: ClassVar = FeatureSettings
    version: ClassVar[int] = 1

    @staticmethod
    def memory_sessions(settings: FeatureSettings) -> int:
        """Returns that a row is computed of."""
        return settings.memory_sessions

    @staticmethod
    def compute(inputs: FeatureInputs, settings: FeatureSettings) -> pd.DataFrame:
        """As `compute_features`."""
        return compute_features(inputs.prices, inputs.market_returns, inputs.sessions, settings)


def feature_names(settings: FeatureSettings, n_symbols: int) -> tuple[str, ...]:
    """The features' names in column order; those of the cross-section need at least three symbols."""
    market = (
        *(f"log_downside_deviation_{h}" for h in settings.half_lives),
        *(f"sortino_{h}" for h in settings.half_lives),
        "log_volatility_ratio",
        "drawdown",
        "trend",
    )
    return market + CROSS_SECTION_NAMES if n_symbols >= CROSS_SECTION_MINIMUM else market


def compute_features(
    prices: pd.DataFrame, market_returns: pd.Series, sessions: pd.DatetimeIndex, settings: FeatureSettings
) -> pd.DataFrame:
    """The features of `sessions`.

    Args:
        prices: (lookback + T, S) adjusted closes by ascending session, one column a symbol; NaN on sessions on which
            a symbol is no member, was halted or was held back.
        market_returns: simple returns of the market on the same sessions, the first of which has none.
        sessions: the T sessions wanted; `memory_sessions` rows of `prices` precede the first of them.
        settings: the windows.

    Returns:
        (T, F) frame with `sessions` as index and `feature_names` as columns, float64, finite.

    Raises:
        FeatureError: too little history, an unsorted or incomplete index, a price or return that is no positive
            (respectively finite) number, or a row whose cross-section is smaller than three symbols.
    """
    _require_complete(prices, market_returns, sessions, settings)
    memory = settings.memory_sessions
    first = int(prices.index.get_indexer(sessions[:1])[0])
    last = int(prices.index.get_indexer(sessions[-1:])[0])
    kept = prices.iloc[first - memory : last + 1]
    returns = market_returns.reindex(kept.index[1:]).to_numpy(dtype=np.float64)
    columns = _market_features(returns, settings)
    if prices.shape[1] >= CROSS_SECTION_MINIMUM:
        closes = np.ascontiguousarray(kept.to_numpy(dtype=np.float64))
        columns += _by_cross_section(closes, kept.index[memory:], settings)
    table = np.column_stack(columns)
    names = list(feature_names(settings, prices.shape[1]))
    return pd.DataFrame(table, index=kept.index[memory:], columns=names).loc[sessions]


def cross_section(prices: pd.DataFrame, memory_sessions: int) -> NDArray[np.bool_]:
    """Which symbols are in the cross-section of each row.

    They have a price on the row, on the first row of its memory, and on all others of it but for `MOST_UNTRADED`.

    Args:
        prices: (memory + T, S) adjusted closes as in `compute_features`.
        memory_sessions: rows before a row that its features look at.

    Returns:
        (T, S), a row for each row of `prices` that has a memory before it.
    """
    present = np.isfinite(prices.to_numpy(dtype=np.float64))
    counts = np.vstack([np.zeros((1, present.shape[1]), dtype=int), np.cumsum(present, axis=0)])
    needed = memory_sessions + 1
    enough = counts[needed:] - counts[:-needed] >= needed - MOST_UNTRADED
    return enough & present[memory_sessions:] & present[: len(present) - memory_sessions]


def _by_cross_section(closes: Array, sessions: pd.Index, settings: FeatureSettings) -> list[Array]:
    """The features of the cross-section, over each stretch of rows that have the same one."""
    members = cross_section(pd.DataFrame(closes), settings.memory_sessions)
    small = members.sum(axis=1) < CROSS_SECTION_MINIMUM
    if small.any():
        row = int(np.argmax(small))
        raise FeatureError(
            f"on {sessions[row]:%Y-%m-%d} {members[row].sum()} symbols have {settings.memory_sessions} sessions of "
            f"history, features of the cross-section need {CROSS_SECTION_MINIMUM}"
        )
    closes = pd.DataFrame(closes).ffill().to_numpy()  # reaches members on earlier rows of their memory alone
    changes = np.flatnonzero((members[1:] != members[:-1]).any(axis=1)) + 1
    parts = [
        _cross_section_features(
            np.ascontiguousarray(closes[begin : end + settings.memory_sessions][:, members[begin]]), settings
        )
        for begin, end in zip([0, *changes], [*changes, len(members)], strict=True)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _market_features(returns: Array, settings: FeatureSettings) -> list[Array]:
    """The market's own features for every row that has a full memory; `returns` is (memory + T - 1,)."""
    losses = np.square(np.minimum(returns, 0.0))
    memory = settings.memory_sessions
    deviations = [np.sqrt(exponential_mean(losses, h, memory)) + RETURN_FLOOR for h in settings.half_lives]
    means = [exponential_mean(returns, h, memory) for h in settings.half_lives]
    squares = np.square(returns)
    fast = _volatility(squares, settings.fast_volatility_sessions, memory)
    slow = _volatility(squares, settings.slow_volatility_sessions, memory)
    drawdown, trend = _drawdown_and_trend(np.log1p(returns), settings)
    return [
        *(np.log(deviation) for deviation in deviations),
        *(mean / deviation for mean, deviation in zip(means, deviations, strict=True)),
        np.log(fast / slow),
        drawdown,
        trend,
    ]


def _cross_section_features(closes: Array, settings: FeatureSettings) -> list[Array]:
    """Implied correlation, dispersion and breadth; `closes` is (memory + T, S)."""
    memory = settings.memory_sessions
    returns = closes[1:] / closes[:-1] - 1.0
    n_symbols = returns.shape[1]
    window = settings.correlation_sessions
    # Variances about zero: a daily mean is too small and too noisy to subtract.
    variances = _window_sum(np.square(returns), window)[memory - window :] / window
    basket = _window_sum(np.square(returns.mean(axis=1)), window)[memory - window :] / window
    own = variances.sum(axis=1) / n_symbols**2
    together = np.square(np.sqrt(variances).mean(axis=1))
    spread = np.maximum(together - own, RETURN_FLOOR**2)
    correlation = np.clip((basket - own) / spread, -1.0, 1.0)
    dispersion = np.sqrt(np.square(returns - returns.mean(axis=1, keepdims=True)).mean(axis=1))
    log_dispersion = np.log(exponential_mean(dispersion, settings.dispersion_half_life, memory) + RETURN_FLOOR)
    window = settings.trend_sessions
    averages = _window_sum(closes[1:], window)[memory - window :] / window
    breadth = (closes[memory:] > averages).mean(axis=1)
    return [correlation, log_dispersion, breadth]


def exponential_mean(values: Array, half_life: int, memory: int) -> Array:
    """Exponentially weighted mean of the last `memory` values, newest heaviest; (n - memory + 1,)."""
    kernel = 0.5 ** (np.arange(memory) / half_life)
    kernel /= kernel.sum()
    rows = len(values) - memory + 1
    mean = np.zeros(rows)
    for lag in range(memory):
        begin = memory - 1 - lag
        mean += kernel[lag] * values[begin : begin + rows]
    return mean


def _window_sum(values: Array, window: int) -> Array:
    """Sums over each `window` consecutive rows, (n - window + 1, ...), built by doubling."""
    total: Array | None = None
    block, width, done = values, 1, 0
    while done < window:
        if (window - done) & width:
            part = block[done : done + len(values) - window + 1]
            total = part.copy() if total is None else total + part
            done += width
        if done < window:
            block, width = block[:-width] + block[width:], width * 2
    assert total is not None
    return total


def _volatility(squares: Array, window: int, memory: int) -> Array:
    return np.sqrt(_window_sum(squares, window)[memory - window :] / window) + RETURN_FLOOR


def _drawdown_and_trend(log_returns: Array, settings: FeatureSettings) -> tuple[Array, Array]:
    """Log distance to the window's highest level and to its average level, from returns alone.

    Levels are expressed relative to the newest one, so that they do not depend on where the history starts.
    """
    memory = settings.memory_sessions
    rows = len(log_returns) - memory + 1
    gained = np.zeros(rows)  # log(level now / level `lag` sessions ago)
    lowest = np.zeros(rows)
    average = np.ones(rows)
    for lag in range(1, max(settings.drawdown_sessions, settings.trend_sessions)):
        begin = memory - lag
        gained += log_returns[begin : begin + rows]
        if lag < settings.drawdown_sessions:
            lowest = np.minimum(lowest, gained)
        if lag < settings.trend_sessions:
            average += np.exp(-gained)
    return lowest, -np.log(average / settings.trend_sessions)


def _require_complete(
    prices: pd.DataFrame, market_returns: pd.Series, sessions: pd.DatetimeIndex, settings: FeatureSettings
) -> None:
    if len(sessions) == 0:
        raise FeatureError("no session was asked for")
    if not (prices.index.is_monotonic_increasing and prices.index.is_unique):
        raise FeatureError("the prices' sessions are not ascending and unique")
    absent = sessions.difference(pd.DatetimeIndex(prices.index))
    if len(absent) > 0:
        raise FeatureError(f"no prices on {absent[0]:%Y-%m-%d} ({len(absent)} sessions are missing)")
    first = int(prices.index.get_indexer(sessions[:1])[0])
    if first < settings.memory_sessions:
        raise FeatureError(
            f"{sessions[0]:%Y-%m-%d} has {first} sessions of history, its features need {settings.memory_sessions}"
        )
    kept = prices.iloc[first - settings.memory_sessions :]
    closes = kept.to_numpy(dtype=np.float64)
    bad = ~np.isnan(closes) & ~(np.isfinite(closes) & (closes > 0))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise FeatureError(
            f"{prices.columns[column]} on {kept.index[row]:%Y-%m-%d}: price {closes[row, column]} is no positive number"
        )
    returns = market_returns.reindex(kept.index[1:]).to_numpy(dtype=np.float64)
    bad_returns = ~(np.isfinite(returns) & (returns > -1.0))
    if bad_returns.any():
        row = int(np.argmax(bad_returns))
        raise FeatureError(f"market return on {kept.index[1:][row]:%Y-%m-%d} is {returns[row]}")
