"""Markets for the drift benchmark: a factor GARCH whose parameters never change, and the sample data."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.market.sources.sample import LAST_SESSION, SampleSource
from regime_assets.library.monitoring.drift import watched_features
from regime_assets.library.monitoring.surprise import VolatilityForecast

Floats = NDArray[np.float32]

SAMPLE_SYMBOLS = (
    *("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"),
    *("LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"),
)

SYMBOLS = 20
CORRELATION = 0.2
DAILY_VOLATILITY = 0.02
COMMON_SHARE = 0.7
"""Share of the symbols' own variance that follows the factor's: without it the cross-section of 20 symbols averages
their clusters away, and every change is found within days."""
BURN_IN = 300


def simulate(sessions: int, paths: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Unit-variance factor (paths, sessions, 1) and own (paths, sessions, SYMBOLS) returns that cluster.

    GARCH(1, 1), Student t; persistence .99, as fitted to the sample's mean return of 1995 to 2006 (.995) and 1995 to
    2022 (.992), rounded towards the more stationary side.
    """
    length = sessions + BURN_IN
    factor = (generator.standard_t(8, (length, paths, 1)) * np.sqrt(6 / 8)).astype(np.float32)
    own = (generator.standard_t(6, (length, paths, SYMBOLS)) * np.sqrt(4 / 6)).astype(np.float32)
    factor_variance = np.ones((paths, 1), np.float32)
    own_variance = np.ones((paths, SYMBOLS), np.float32)
    for day in range(length):
        shock = own[day].copy()
        factor[day] *= np.sqrt(factor_variance)
        own[day] = shock * np.sqrt(COMMON_SHARE * factor_variance + (1 - COMMON_SHARE) * own_variance)
        factor_variance = 0.01 + 0.07 * factor[day] ** 2 + 0.92 * factor_variance
        own_variance = 0.01 + 0.04 * shock**2 * own_variance + 0.95 * own_variance
    return np.moveaxis(factor[BURN_IN:], 0, 1), np.moveaxis(own[BURN_IN:], 0, 1)


def combine(factor: Floats, own: Floats, correlation: float | Floats = CORRELATION) -> Floats:
    """Returns (paths, sessions, SYMBOLS) with a pairwise correlation, which may differ by session."""
    share = np.asarray(correlation, np.float32).reshape(1, -1, 1)
    return DAILY_VOLATILITY * (np.sqrt(share) * factor + np.sqrt(1 - share) * own) + np.float32(0.0004)


def changes(factor: Floats, own: Floats, start: int) -> dict[str, Floats]:
    """The same market with a change from session `start` on, by name."""
    after = (np.arange(factor.shape[1]) >= start).astype(np.float32)
    base = combine(factor, own)
    return {
        "volatility x 2": base * (1 + after)[None, :, None],
        "volatility x 1.5": base * (1 + 0.5 * after)[None, :, None],
        "correlation .2 to .7": combine(factor, own, CORRELATION + 0.5 * after),
    }


def features_of(returns: Floats, forecast: VolatilityForecast | None) -> Floats:
    """(paths, sessions - surprise.WARM_UP, F) watched features of (paths, sessions, symbols) returns."""
    possible = np.maximum(returns, -0.99)  # a doubled crash must not lose more than everything
    return np.stack([watched_features(pd.DataFrame(path), forecast).to_numpy(np.float32) for path in possible])


def sample_returns() -> pd.DataFrame:
    """(T, 20) simple returns of the sample's stocks, 1995 to 2022; the index, no stock, is left out."""
    bars = SampleSource().fetch(SAMPLE_SYMBOLS, date(1995, 1, 1), LAST_SESSION).bars
    return bars.pivot(index="session", columns="symbol", values="close").pct_change().iloc[1:]
