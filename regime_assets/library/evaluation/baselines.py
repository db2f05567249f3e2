"""What a regime model has to beat, as decided weights: each row uses only the returns up to its session.

Every baseline goes through the same scorer as the product's own decisions. A timing baseline sets an exposure in
[0, 1] to the base portfolio; it is computed over the whole history that is known and cut to the sessions that are
compared afterwards, so that it has its own memory and fits. Where it has not enough history yet it is in cash.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.evaluation.baseline_models import (
    exponential_mean,
    hidden_markov_exposure,
    jump_exposure,
)
from regime_assets.library.evaluation.metrics import SESSIONS_PER_YEAR
from regime_assets.library.trading.allocation import allocate

Array = NDArray[np.float64]

BUY_AND_HOLD = "buy & hold"
EQUAL_WEIGHT = "equal weight"
VOLATILITY_TARGET = "volatility target"
MOVING_AVERAGE = "200-day average"
HIDDEN_MARKOV = "hidden Markov model"
JUMP_MODEL = "jump model"
SIXTY_FORTY = "60/40"
RISK_PARITY = "risk parity, always"

REBALANCED_EVERY = 21
"""Sessions between two estimates of the risk parity that is always held."""


@dataclass(frozen=True)
class BaselineSettings:
    """Settings of the timing baselines, the field's usual ones; none was tuned here.

    Attributes:
        target_volatility: annualised, of the volatility target.
        volatility_half_life: sessions, of its exponentially weighted variance.
        average_sessions: of the moving average (Faber 2007 uses ten months).
        sessions_per_year: of the universe's calendar.
    """

    target_volatility: float = 0.10
    volatility_half_life: float = 20.0
    average_sessions: int = 200
    sessions_per_year: float = SESSIONS_PER_YEAR


def baselines(
    returns: ArrayLike,
    base_weights: ArrayLike,
    since: int = 0,
    settings: BaselineSettings = BaselineSettings(),
    refuge_weights: Array | None = None,
) -> dict[str, Array]:
    """Every baseline that needs only returns, by name.

    Args:
        returns: (T, N) simple returns of all known sessions.
        base_weights: (N,) the portfolio at exposure 1.
        since: first row that is compared; rows before it are memory only, and the fitted models decide none of them.
        settings: of the timing baselines.
        refuge_weights: (N,) held with what a timing baseline leaves of the capital; None for cash.

    Returns:
        Name → weights (T, N) decided on each session's close.
    """
    matrix, base = np.asarray(returns, dtype=np.float64), np.asarray(base_weights, dtype=np.float64)
    market = matrix @ base
    exposures = {
        VOLATILITY_TARGET: volatility_target_exposure(market, settings),
        MOVING_AVERAGE: moving_average_exposure(market, settings),
        HIDDEN_MARKOV: hidden_markov_exposure(market, since),
        JUMP_MODEL: jump_exposure(market, since),
    }
    return {
        BUY_AND_HOLD: buy_and_hold(len(matrix), base),
        EQUAL_WEIGHT: equal_weight(*matrix.shape),
        **{name: _spread(exposure, base, refuge_weights) for name, exposure in exposures.items()},
    }


def _spread(exposure: Array, base: Array, refuge: Array | None) -> Array:
    """Weights (T, N) of exposures (T,); the rest is cash or the refuge."""
    held = exposure[:, None] * base
    return held if refuge is None else held + (1.0 - exposure)[:, None] * refuge


def fixed_mixes(returns: Array, base_weights: Array, refuge_weights: Array) -> dict[str, Array]:
    """What holds risk and refuge always, by name: weights (T, N).

    The risk parity's covariance is of the year before each session, estimated anew every 21 sessions; the first year
    of the sessions that are given is in equal parts.
    """
    sessions = len(returns)
    parity = np.tile(np.where(base_weights + refuge_weights > 0, 1.0, 0.0), (sessions, 1))
    parity /= parity.sum(axis=1, keepdims=True)
    bounds = np.zeros(returns.shape[1]), np.ones(returns.shape[1])
    for row in range(SESSIONS_PER_YEAR, sessions, REBALANCED_EVERY):
        weights = allocate("risk_parity", returns[row - SESSIONS_PER_YEAR + 1 : row + 1], *bounds)
        parity[row : row + REBALANCED_EVERY] = weights
    return {SIXTY_FORTY: np.tile(0.6 * base_weights + 0.4 * refuge_weights, (sessions, 1)), RISK_PARITY: parity}


def buy_and_hold(sessions: int, base_weights: Array) -> Array:
    """The base portfolio, bought on the first session and kept (T, N).

    Under one cost for everything the scorer ignores drift: a portfolio that is kept and one that is rebalanced to the
    same weights score alike. Under the terms of a portfolio it is rebalanced daily, or beyond the band.
    """
    return np.tile(base_weights, (sessions, 1))


def equal_weight(sessions: int, instruments: int) -> Array:
    """One part of wealth in each instrument, always (T, N)."""
    return np.full((sessions, instruments), 1.0 / instruments)


def volatility_target_exposure(market_returns: Array, settings: BaselineSettings) -> Array:
    """Target over the exponentially weighted volatility, at most 1 (T,)."""
    variance = exponential_mean(market_returns**2, settings.volatility_half_life) * settings.sessions_per_year
    exposure = settings.target_volatility / np.sqrt(np.maximum(variance, settings.target_volatility**2))
    exposure[: int(settings.volatility_half_life)] = 0.0
    return exposure


def moving_average_exposure(market_returns: Array, settings: BaselineSettings) -> Array:
    """1 where the level is above its own moving average, else 0 (T,)."""
    length = settings.average_sessions
    exposure = np.zeros(len(market_returns))
    if len(market_returns) >= length:
        level = np.cumprod(1.0 + market_returns)
        windows = np.lib.stride_tricks.sliding_window_view(level, length)
        exposure[length - 1 :] = level[length - 1 :] > windows.mean(axis=1)
    return exposure
