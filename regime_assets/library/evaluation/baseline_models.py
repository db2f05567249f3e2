"""Two plain regime models as baselines: a Gaussian hidden Markov model and a statistical jump model, two states each.

Both are refitted every half year on the trailing ten years up to that session, and decide each session with the
filtered state, so that the exposure of session t is a function of the returns up to t. They see returns alone, no
cross-section and no autoencoder. A process makes each fit once: both horizons, and every session of a backfill, ask for
the same ones but the last.

References:
    Hamilton (1989): A new approach to the economic analysis of nonstationary time series. Econometrica 57(2).
    Shu, Yu, Mulvey (2024): Downside risk reduction using regime-switching signals. J. Asset Management 25.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.regimes.jump_model import fit_jump_model, online_states, spread_starts

Series = NDArray[np.float64]

_MOST_FITS = 128  # that are remembered: those of sixty years

_VARIANCE_FLOOR = 1e-10  # of a daily return; a stretch of equal prices must not make a density infinite


@dataclass(frozen=True)
class RefitSettings:
    """When a baseline model is fitted; lengths in sessions.

    Attributes:
        least: history that a fit needs; the exposure is zero before there is as much.
        first: history before the regular fits. A comparison that begins earlier gets a fit of its own, on what is known
            on its first session.
        every: between two regular fits.
        window: trailing sessions of a fit.
    """

    least: int = 200
    first: int = 504
    every: int = 126
    window: int = 2520


@dataclass(frozen=True)
class HiddenMarkovSettings:
    """Baum-Welch on returns.

    Attributes:
        cold_iterations: of the first fit.
        warm_iterations: of each later fit, which starts from the one before.
        stay: probability of staying that the first fit starts from.
    """

    cold_iterations: int = 30
    warm_iterations: int = 6
    stay: float = 0.98


@dataclass(frozen=True)
class JumpSettings:
    """Jump model on downside deviation and Sortino ratios.

    Attributes:
        penalty: of a jump, in units of half squared standardised features (Shu, Yu and Mulvey 2024).
        deviation_half_life: of the downside deviation, sessions.
        sortino_half_lives: of the Sortino ratios, sessions.
        iterations: of the alternation between states and centres, at most.
    """

    penalty: float = 50.0
    deviation_half_life: float = 10.0
    sortino_half_lives: tuple[float, ...] = (20.0, 60.0)
    iterations: int = 20


@dataclass(frozen=True)
class _Markov:
    means: tuple[float, float]
    variances: tuple[float, float]
    stay: tuple[float, float]


def hidden_markov_exposure(
    market_returns: Series,
    since: int = 0,
    refits: RefitSettings = RefitSettings(),
    settings: HiddenMarkovSettings = HiddenMarkovSettings(),
) -> Series:
    """Exposure (T,): 1 where the filtered probability of the high-variance state is below one half, else 0.

    Sessions before row `since` are not asked for: fits that only they need are left out, and they stay zero.
    """
    model: _Markov | None = None

    def decide(first: int, refit: int, stop: int) -> Series:
        nonlocal model
        model = _fit_markov(np.ascontiguousarray(market_returns[first:refit]).tobytes(), model, settings)
        filtered, _ = _forward(market_returns[first:stop], model)
        turbulent = int(model.variances[1] >= model.variances[0])
        return (filtered[refit - 1 - first :, turbulent] < 0.5).astype(np.float64)

    return _walk(len(market_returns), since, refits, decide)


def jump_exposure(
    market_returns: Series,
    since: int = 0,
    refits: RefitSettings = RefitSettings(),
    settings: JumpSettings = JumpSettings(),
) -> Series:
    """Exposure (T,): 1 where the online state of the jump model is the one of lower downside deviation, else 0.

    Sessions before row `since` are not asked for: fits that only they need are left out, and they stay zero.
    """
    features = jump_features(market_returns, settings)
    centres: Series | None = None

    def decide(first: int, refit: int, stop: int) -> Series:
        nonlocal centres
        known = features[first:refit]
        centre, scale = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-12)
        scaled = (known - centre) / scale
        starts = spread_starts(scaled, risk=scaled[:, 0])
        if centres is not None:
            starts.append((centres - centre) / scale)
        begun = tuple(np.ascontiguousarray(start).tobytes() for start in starts)
        fitted = _fit_jump(np.ascontiguousarray(scaled).tobytes(), scaled.shape[1], begun, settings)
        centres = fitted * scale + centre
        states = online_states((features[first:stop] - centre) / scale, fitted, settings.penalty)
        turbulent = int(fitted[1, 0] >= fitted[0, 0])
        return (states[refit - 1 - first :] != turbulent).astype(np.float64)

    return _walk(len(market_returns), since, refits, decide)


def jump_features(market_returns: Series, settings: JumpSettings) -> Series:
    """(T, 1 + number of Sortino ratios): downside deviation first, exponentially weighted, causal."""
    losses = np.minimum(market_returns, 0.0) ** 2
    columns = [np.sqrt(exponential_mean(losses, settings.deviation_half_life))]
    for half_life in settings.sortino_half_lives:
        downside = np.sqrt(exponential_mean(losses, half_life) + _VARIANCE_FLOOR)
        columns.append(exponential_mean(market_returns, half_life) / downside)
    return np.stack(columns, axis=1)


def exponential_mean(series: Series, half_life: float) -> Series:
    """(T,) exponentially weighted means with weights that sum to 1 from the first session on."""
    decay = 0.5 ** (1.0 / half_life)
    total, weight, means = 0.0, 0.0, np.empty(len(series))
    for row, value in enumerate(series.tolist()):
        total = decay * total + value
        weight = decay * weight + 1.0
        means[row] = total / weight
    return means


def _walk(sessions: int, since: int, refits: RefitSettings, decide: Callable[[int, int, int], Series]) -> Series:
    """Exposures from fits that march through history; a fit on rows [.., refit) decides from row refit − 1 on."""
    exposure = np.zeros(sessions)
    begin = max(since + 1, refits.least)
    starts = [begin] if begin < refits.first else []
    starts += range(refits.first, sessions + 1, refits.every)
    for refit, following in zip(starts, [*starts[1:], sessions + 1], strict=True):
        stop = min(following - 1, sessions)
        if refit <= sessions and stop > since:
            exposure[refit - 1 : stop] = decide(max(0, refit - refits.window), refit, stop)
    exposure[:since] = 0.0
    return exposure


@lru_cache(_MOST_FITS)
def _fit_jump(scaled: bytes, columns: int, starts: tuple[bytes, ...], settings: JumpSettings) -> Series:
    """Centres (2, columns); whoever reads them must not change them."""
    rows, begun = np.frombuffer(scaled).reshape(-1, columns).copy(), [np.frombuffer(start).copy() for start in starts]
    shaped = [start.reshape(-1, columns) for start in begun]
    return fit_jump_model(rows, settings.penalty, shaped, settings.iterations).centres


@lru_cache(_MOST_FITS)
def _fit_markov(series: bytes, previous: _Markov | None, settings: HiddenMarkovSettings) -> _Markov:
    returns = np.frombuffer(series)
    variance = max(float(returns.var()), _VARIANCE_FLOOR)
    mean = float(returns.mean())
    start = _Markov((mean, mean), (0.5 * variance, 2.0 * variance), (settings.stay, settings.stay))
    model = previous or start
    for _ in range(settings.warm_iterations if previous else settings.cold_iterations):
        model = _markov_step(returns, model)
    return model


def _markov_step(returns: Series, model: _Markov) -> _Markov:
    """One Baum-Welch iteration (scaled forward and backward recursions)."""
    filtered, densities = _forward(returns, model)
    stay0, stay1 = model.stay
    smoothed = np.empty_like(filtered)
    row = filtered[-1]
    smoothed[-1] = row
    back0, back1 = 1.0, 1.0
    density, alpha = densities.tolist(), filtered.tolist()
    moves = [0.0, 0.0]
    for t in range(len(returns) - 2, -1, -1):
        next0, next1 = density[t + 1][0] * back0, density[t + 1][1] * back1
        to0, to1 = stay0 * next0 + (1 - stay0) * next1, (1 - stay1) * next0 + stay1 * next1
        a0, a1 = alpha[t]
        total = a0 * to0 + a1 * to1
        moves[0] += a0 * stay0 * next0 / total
        moves[1] += a1 * stay1 * next1 / total
        smoothed[t] = a0 * to0 / total, a1 * to1 / total
        scale = to0 + to1
        back0, back1 = to0 / scale, to1 / scale
    mass = np.maximum(smoothed.sum(axis=0), 1e-8)
    means = (smoothed * returns[:, None]).sum(axis=0) / mass
    variances = (smoothed * (returns[:, None] - means) ** 2).sum(axis=0) / mass
    leaving = np.maximum(smoothed[:-1].sum(axis=0), 1e-8)
    stay = np.clip(np.array(moves) / leaving, 0.5, 0.9999)
    variances = np.maximum(variances, _VARIANCE_FLOOR)
    return _Markov(_pair(means), _pair(variances), _pair(stay))


def _forward(returns: Series, model: _Markov) -> tuple[Series, Series]:
    """Filtered probabilities (T, 2) and densities (T, 2), each row's scaled by its largest."""
    variances = np.array(model.variances)
    logs = -0.5 * (np.log(variances) + (returns[:, None] - np.array(model.means)) ** 2 / variances)
    densities = np.exp(np.maximum(logs - logs.max(axis=1, keepdims=True), -600.0))
    stay0, stay1 = model.stay
    p0, p1 = 0.5, 0.5
    filtered: list[tuple[float, float]] = []
    for d0, d1 in densities.tolist():
        q0, q1 = (p0 * stay0 + p1 * (1 - stay1)) * d0, (p0 * (1 - stay0) + p1 * stay1) * d1
        total = q0 + q1
        p0, p1 = q0 / total, q1 / total
        filtered.append((p0, p1))
    return np.array(filtered), densities


def _pair(values: Series) -> tuple[float, float]:
    return float(values[0]), float(values[1])
