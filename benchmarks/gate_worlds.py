"""Markets for the gate's benchmarks: pairs of strategies whose true difference is known.

Simulated pairs have clustered volatility that rises after falls (GJR-GARCH), Student t errors and, where asked
for, autocorrelation. Real pairs are on/off strategies on the sample's S&P 500 (1995 to 2022) and the Nasdaq
composite that arch ships (1999 to 2018): averages, momentum, downside volatility and drawdown rules, quick and
slow, with and without hysteresis. On the sessions on which the two of a pair hold different positions, a constant
is added to the returns of one, so that both have the same Sharpe ratio over the whole history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.evaluation.track_record import SESSIONS_PER_YEAR
from regime_assets.library.market.sources.sample import LAST_SESSION, SampleSource
from regime_assets.library.trading.scoring import FILL_DELAY

Floats = NDArray[np.float64]

YEAR = float(np.sqrt(SESSIONS_PER_YEAR))
COST = 0.001
TAIL_FREEDOM = 5.0
CHAMPION_SHARPE = 0.5
BURN_IN = 200
WARM_UP = 756
"""Sessions before the real strategies are compared: three years for their slowest averages and ranks."""


def shocks(generator: np.random.Generator, shape: tuple[int, ...], sessions: int, autocorrelation: float) -> Floats:
    """(sessions, *shape) returns of unit variance: GJR-GARCH(1, 1), Student t, an AR(1) mean."""
    length = sessions + BURN_IN
    drawn = generator.standard_t(TAIL_FREEDOM, (length, *shape)).astype(np.float32)
    drawn *= np.float32(np.sqrt((TAIL_FREEDOM - 2.0) / TAIL_FREEDOM))
    variance = np.ones(shape, np.float32)
    for day in range(length):
        drawn[day] *= np.sqrt(variance)
        square = drawn[day] ** 2
        variance = 0.02 + (0.03 + 0.12 * (drawn[day] < 0)) * square + 0.89 * variance
        if autocorrelation and day:
            drawn[day] += np.float32(autocorrelation) * drawn[day - 1]
    kept = drawn[BURN_IN:]
    return kept * np.float32(np.sqrt(1.0 - autocorrelation**2))


def simulated_pairs(
    generator: np.random.Generator,
    paths: int,
    challengers: int,
    sessions: int,
    correlation: float,
    *,
    autocorrelation: float = 0.0,
    gain: float = 0.0,
) -> tuple[Floats, Floats]:
    """Champions (P, T) and challengers (P, N, T); the first challenger of each path is truly better by `gain`."""
    market = shocks(generator, (paths, 1), sessions, autocorrelation)
    own = shocks(generator, (paths, challengers), sessions, autocorrelation)
    mixed = np.float32(correlation) * market + np.float32(np.sqrt(1.0 - correlation**2)) * own
    mixed += np.float32(CHAMPION_SHARPE / YEAR)
    mixed[:, :, 0] += np.float32(gain / YEAR)
    champion = market[:, :, 0] + CHAMPION_SHARPE / YEAR
    return np.ascontiguousarray(champion.T), np.ascontiguousarray(mixed.transpose(1, 2, 0))


@dataclass(frozen=True)
class Strategies:
    """On/off strategies on one index.

    Attributes:
        net: (S, T) net returns.
        held: (S, T) what each holds, 0 or 1.
        market: (T,) returns of the index.
    """

    net: Floats
    held: Floats
    market: Floats


@lru_cache(maxsize=1)
def real_strategies() -> tuple[Strategies, ...]:
    """One set an index."""
    from arch.data import nasdaq

    sample = SampleSource().fetch(("SP500",), date(1995, 1, 1), LAST_SESSION).bars
    index = sample.set_index("session")["close"].astype(float).sort_index()
    return tuple(_strategies(close) for close in (index, nasdaq.load()["Adj Close"].astype(float)))


def without_difference(strategies: Strategies, first: int, others: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Net returns (T,) of one strategy and (N, T) of others, which have its Sharpe ratio over the whole history."""
    ours, theirs = strategies.net[first], strategies.net[others].copy()
    differs = strategies.held[others] != strategies.held[first]
    days = np.maximum(differs.sum(axis=1, keepdims=True), 1)
    ratio = ours.mean() / ours.std(ddof=1)
    for _ in range(6):  # the constant changes the deviation a little, so that it is approached
        missing = ratio * theirs.std(axis=1, ddof=1, keepdims=True) - theirs.mean(axis=1, keepdims=True)
        theirs += differs * missing * theirs.shape[1] / days
    return ours, theirs


def windows(
    generator: np.random.Generator, length: int, sessions: int, count: int, block: int | None
) -> NDArray[np.int64]:
    """(count, sessions) positions: circular blocks of a history; one stretch as it was where `block` is None."""
    if block is None:
        return generator.integers(length - sessions, size=(count, 1)) + np.arange(sessions)
    starts = generator.integers(length, size=(count, -(-sessions // block), 1))
    return ((starts + np.arange(block)) % length).reshape(count, -1)[:, :sessions]


def _strategies(close: pd.Series) -> Strategies:
    returns = close.pct_change().fillna(0.0)
    decided = np.stack(_decisions(close, returns))[:, WARM_UP:]
    held = np.zeros_like(decided)
    held[:, FILL_DELAY:] = decided[:, :-FILL_DELAY]
    market = returns.to_numpy()[WARM_UP:]
    net = held * market - COST * np.abs(np.diff(held, axis=1, prepend=0.0))
    return Strategies(net, held, market)


def _decisions(close: pd.Series, returns: pd.Series) -> list[Floats]:
    """What each rule decides on each session."""
    rules: list[Floats] = []
    for window in (50, 75, 100, 125, 150, 200, 250, 300, 400):
        distance = 1.0 - close / close.rolling(window).mean()
        rules += [_switch(distance, low, high) for low, high in ((0.0, 0.0), (-0.03, 0.03), (0.0, 0.05))]
    for window in (63, 126, 189, 252):
        rules.append(_switch(close.shift(window) / close - 1.0, 0.0, 0.0))
    for half_life in (10, 20, 40, 60, 120):
        downside = np.sqrt((returns.clip(upper=0.0) ** 2).ewm(halflife=half_life).mean())
        rank = downside.expanding(250).rank(pct=True)
        spans = ((0.6, 0.6), (0.75, 0.75), (0.9, 0.9), (0.4, 0.6), (0.5, 0.75), (0.5, 0.9), (0.65, 0.8))
        rules += [_switch(rank, low, high) for low, high in spans]
    for depth in (0.08, 0.10, 0.15, 0.20, 0.25):
        fall = 1.0 - close / close.rolling(500, min_periods=50).max()
        rules += [_switch(fall, low * depth, depth) for low in (1.0, 0.5)]
    return rules


def _switch(risk: pd.Series, low: float, high: float) -> Floats:
    """One while invested: out above `high`, in again at or below `low`."""
    values, positions, position = risk.to_numpy(), np.ones(len(risk)), 1.0
    for day, value in enumerate(values):
        if position and value > high:
            position = 0.0
        elif not position and value <= low:
            position = 1.0
        positions[day] = position
    return positions
