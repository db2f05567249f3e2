"""Thresholds with a budget: how far do features stray when nothing changes, watched the way the monitor watches?

Days are drawn in blocks of 60 from a long history, which keeps the clustering of volatility and breaks everything
slower; each path is looked at daily, with the same confirmation, latch and cool-down as production. A null drawn
from the reference alone is optimistic (.66 to 1.07 alarms a year at a nominal .5), one from ten years or more honest.

Reference: Künsch (1989), "The jackknife and the bootstrap for general stationary observations"; circular blocks after
Politis and Romano (1992).
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.monitoring import surprise
from regime_assets.library.monitoring.drift import (
    BUDGET_WEIGHTS,
    CROSS_SECTION_SYMBOLS,
    DriftError,
    DriftSettings,
    DriftThresholds,
    demand_finite,
    watched_features,
)
from regime_assets.library.monitoring.drift_episodes import EpisodeCounter
from regime_assets.library.monitoring.wasserstein import rolling_wasserstein

HONEST_YEARS = 10
NULL_SHARE = 0.25
"""The null is held to this share of the budget. A dozen years of history hold a handful of the rare days that bounds
are made of, so that bounds differ from history to history and simulated markets alarm up to three times as often as
their bootstrap. At .25 the upper 95 % bound over simulated worlds keeps to a budget of .5; at .4 it does not.
"""

_REFERENCE_STEP = 5
_CANDIDATES = np.geomspace(0.10, 1e-4, 24)
"""Tail probabilities, per column and day, at which single columns' alarm rates are computed."""


def calibrate_thresholds(returns: pd.DataFrame, settings: DriftSettings, seed: int) -> DriftThresholds:
    """Bounds that open `settings.alarms_per_year` episodes a year in a market like `returns` that does not change.

    First each column (feature × window) gets its own curve of episodes a year against its bound; then one common
    rate, times the feature's budget weight, is raised until all columns together open as many episodes as the
    budget allows.

    Args:
        returns: (T, S) simple returns, index = sessions; ten years or more, known as of the calibration.
        settings: the budget and the monitor's behaviour.
        seed: of the bootstrap; equal seeds and data give equal bits.

    Raises:
        DriftError: there is less than a year of history, or a value is not finite.
    """
    if len(returns) < settings.sessions_per_year:
        raise DriftError(f"{len(returns)} sessions of history: a null needs at least {settings.sessions_per_year}")
    demand_finite(returns)
    forecast = surprise.fit_forecast(returns) if returns.shape[1] >= CROSS_SECTION_SYMBOLS else None
    # Surprises are computed before the days are drawn: at the seams of the blocks volatility jumps without a change.
    features = watched_features(returns, forecast)
    flat = [name for name in features.columns if np.ptp(features[name].to_numpy()) == 0]
    if flat:
        raise DriftError(f"{flat} never vary over the history")
    distances = null_distances(features, settings, seed)
    columns = distances.reshape(*distances.shape[:2], -1)
    weights = np.repeat([BUDGET_WEIGHTS[str(name)] for name in features], len(settings.windows))
    bounds, rate = fit_bounds(columns, weights / weights.max(), settings)
    years = len(returns) / settings.sessions_per_year
    short = f"calibrated on {years:.1f} years of history; below {HONEST_YEARS} the budget of false alarms is a hope"
    return DriftThresholds(
        features=tuple(features.columns),
        windows=settings.windows,
        bounds=bounds.reshape(len(features.columns), len(settings.windows)),
        forecast=forecast,
        alarms_per_year=settings.alarms_per_year,
        null_alarms_per_year=rate,
        history_sessions=len(returns),
        first_session=pd.Timestamp(returns.index[0]).date(),
        last_session=pd.Timestamp(returns.index[-1]).date(),
        notice="" if years >= HONEST_YEARS else short,
    )


def rules_key(settings: DriftSettings) -> str:
    """Names what a calibration depends on besides data and seed, so that no bounds outlive the rules they were for."""
    rules = (settings, sorted(BUDGET_WEIGHTS.items()), NULL_SHARE, surprise.HALF_LIVES, surprise.WARM_UP)
    return hashlib.sha256(repr(rules).encode()).hexdigest()[:12]


def null_distances(features: pd.DataFrame, settings: DriftSettings, seed: int) -> NDArray[np.float32]:
    """(paths, path_sessions, F, W) distances on block-bootstrapped days."""
    length = settings.reference_sessions + max(settings.windows) + settings.path_sessions - 1
    days = block_days(len(features), length, settings.paths, settings.block_sessions, seed)
    scaled = (features - features.mean()) / features.std(ddof=0)
    values = scaled.to_numpy(np.float32)
    columns = [
        rolling_wasserstein(values[:, column][days], settings.reference_sessions, settings.windows, _REFERENCE_STEP)
        for column in range(values.shape[1])
    ]
    return np.stack(columns, axis=2)


def block_days(sessions: int, length: int, paths: int, block: int, seed: int) -> NDArray[np.int64]:
    """(paths, length) positions of circular blocks of days."""
    generator = np.random.default_rng(seed)
    starts = generator.integers(sessions, size=(paths, -(-length // block), 1))
    return ((starts + np.arange(block)) % sessions).reshape(paths, -1)[:, :length]


def episodes_per_year(
    distances: NDArray[np.floating], bounds: NDArray[np.floating], settings: DriftSettings
) -> NDArray[np.float64]:
    """Episodes a year of many alternative monitors.

    Args:
        distances: (paths, sessions, C) distances of C columns.
        bounds: (M, C) bounds of M monitors; infinity leaves a column out.

    Returns:
        (M,) rates.
    """
    counter = EpisodeCounter((len(distances), len(bounds)), settings)
    opened = np.zeros(len(bounds))
    inverse = (1 / bounds).astype(distances.dtype)
    for day in range(distances.shape[1]):
        ratios = (distances[:, day, None, :] * inverse).max(axis=2)
        opened += counter.step(ratios).sum(axis=0)
    return opened * settings.sessions_per_year / (distances.shape[0] * distances.shape[1])


def fit_bounds(
    columns: NDArray[np.float32], weights: NDArray[np.float64], settings: DriftSettings
) -> tuple[NDArray[np.float64], float]:
    """(C,) bounds that keep (paths, sessions, C) null distances to the budget, and the episodes a year that they open.

    Args:
        columns: distances of C columns (feature × window) on null paths.
        weights: (C,) each column's share of the budget, the largest 1.
    """
    count = columns.shape[2]
    quantiles = np.quantile(columns.reshape(-1, count), 1 - _CANDIDATES, axis=0).astype(np.float64)
    curves = np.empty(quantiles.shape)
    for column in range(count):
        single = columns[:, :, column : column + 1]
        curves[:, column] = episodes_per_year(single, quantiles[:, column : column + 1], settings)
    # A latched monitor with a very low bound opens few, endless episodes: there the curve turns, and is left out.
    curves = np.maximum.accumulate(curves[::-1], axis=0)[::-1]

    def bounds_at(rate: float) -> NDArray[np.float64]:
        return np.array([_invert(curves[:, c], quantiles[:, c], rate * weights[c]) for c in range(count)])

    target = NULL_SHARE * settings.alarms_per_year
    rates = np.geomspace(0.02 * target, 1.5 * target, 40)
    candidates = np.stack([bounds_at(rate) for rate in rates])
    together = np.maximum.accumulate(episodes_per_year(columns, candidates, settings))
    within = np.flatnonzero(together <= target)
    if len(within):
        return candidates[within[-1]], float(together[within[-1]])
    return _widened(columns, candidates[0], target, settings)


def _widened(
    columns: NDArray[np.float32], bounds: NDArray[np.float64], target: float, settings: DriftSettings
) -> tuple[NDArray[np.float64], float]:
    """Bounds beyond those of the rarest tail, wider by one factor, the least that keeps to the budget.

    A history of some two years may have a spell that so many null paths contain that even their rarest days alarm too
    often. The last factor is beyond every distance of the null, so that one keeps to it.
    """
    beyond = float((columns / bounds).max()) * 1.001
    candidates = bounds * np.geomspace(1.0, max(beyond, 1.0), 40)[:, None]
    together = np.minimum.accumulate(episodes_per_year(columns, candidates, settings))
    least = int(np.flatnonzero(together <= target)[0])
    return candidates[least], float(together[least])


def _invert(curve: NDArray[np.float64], bounds: NDArray[np.float64], rate: float) -> float:
    """The bound at which a falling curve of episodes a year meets `rate`, on log scales."""
    tiny = 1e-3
    return float(np.interp(-np.log(rate + tiny), -np.log(curve + tiny), bounds))
