"""Made-up markets with one thing to find in each, and the oracle that knows what that is.

Every market has two states of volatility, instruments that move together, and trading costs. What is planted is known
to the oracle and to nobody else: it decides by the true expectation of the return that its decision will earn, under
the same bounds, delay and costs as everybody. A signal is of realistic strength when that oracle's Sharpe ratio is
between 1 and 2.5.

Where the oracle sees what nobody can, the state of the market or the gap between price and value, a second one knows
the law as well and has to filter it out of the returns. The distance between the two is what no learner can earn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student_t

from regime_assets.library.design import Component
from regime_assets.library.features.training_set import TrainingSet, build_training_set
from regime_assets.library.market.window import Expanding, Window, window_weights
from regime_assets.library.trading.scoring import FILL_DELAY

Array = NDArray[np.float64]

CALM, TURBULENT = 0.007, 0.016
"""Daily volatility of the two states: 11 % and 25 % a year."""

STAYS = (1.0 / 200.0, 1.0 / 100.0)
"""Probability of leaving the calm and the turbulent state on a session."""

HALF_LIFE = 504
"""Recency half-life of the training window, sessions."""


@dataclass(frozen=True)
class PlantedMarket:
    """One made-up market.

    Attributes:
        name: what is planted.
        history: features and returns as the models get them, T sessions.
        oracle: (T, N) weights that the oracle decides at each session's close.
        knowable: (T, N) weights of who knows the law and sees what is published.
    """

    name: str
    history: TrainingSet
    oracle: Array
    knowable: Array


@dataclass(frozen=True)
class _Draws:
    """What all markets are made of: (T,) states, (T,) market shocks, (T, 4) instruments' own shocks."""

    turbulent: NDArray[np.bool_]
    market: Array
    own: Array
    rng: np.random.Generator

    @property
    def volatility(self) -> Array:
        """(T,) of the market."""
        return np.where(self.turbulent, TURBULENT, CALM)


@dataclass(frozen=True)
class _Planted:
    """(T, N) returns, (T, N) the oracle's expectation of what a decision earns, the same of who sees returns and facts
    alone (None: the oracle's own), published facts (T,) by name."""

    returns: Array
    expected: Array
    knowable: Array | None = None
    facts: dict[str, Array] = field(default_factory=dict)


def _feature(draws: _Draws) -> _Planted:
    """A fact that is published each session and foretells the returns from the first fill on."""
    fact = _persistent(draws.rng, len(draws.market), half_life=15.0)
    expected = 0.0001 + 0.21 * draws.volatility * fact
    returns = _delayed(expected) + draws.market
    return _Planted(returns[:, None], expected[:, None], facts={"planted": fact})


def _momentum(draws: _Draws) -> _Planted:
    """A drift that moves slowly; the oracle knows its law and filters it out of the returns."""
    drift, half_life, size = _persistent(draws.rng, len(draws.market), half_life=50.0), 50.0, 0.30
    returns = (0.0002 + size * draws.volatility * drift) + draws.market
    filtered = _kalman((returns - 0.0002) / draws.volatility, 0.5 ** (1.0 / half_life), size)
    decay = 0.5 ** (FILL_DELAY / half_life)
    return _Planted(returns[:, None], (0.0002 + decay * filtered * draws.volatility)[:, None])


def _reversion(draws: _Draws) -> _Planted:
    """What the price moves beyond its value comes back, half of it within ten sessions."""
    decay, push = 0.5 ** (1.0 / 10.0), 1.0
    shocks = draws.volatility * draws.rng.normal(size=len(draws.market))
    gap, gaps = 0.0, np.empty(len(shocks))
    for t, shock in enumerate(shocks):
        gaps[t] = gap = decay * gap + push * shock
    returns = 0.0003 + 0.15 * draws.market + np.diff(gaps, prepend=0.0)
    # The oracle sees the gap itself: (decay - 1) * decay ** (delay - 1) of it is earned on the session of the fill.
    earned = (decay - 1.0) * decay ** (FILL_DELAY - 1)
    seen = _filtered_gap(returns - 0.0003, decay, noise=0.15)
    return _Planted(returns[:, None], (0.0003 + earned * gaps)[:, None], (0.0003 + earned * seen)[:, None])


def _lead_lag(draws: _Draws) -> _Planted:
    """What the first instrument did of its own in the last weeks, the second one does in the next."""
    own = draws.own[:, 0] * 0.8
    recent, decay, sums = 0.0, 0.5 ** (1.0 / 30.0), np.empty(len(own))
    for t, shock in enumerate(own):
        sums[t] = recent = decay * recent + shock
    scaled = sums / (0.8 * draws.volatility) * np.sqrt(1.0 - decay**2)
    expected = 0.0002 + 0.28 * draws.volatility * scaled
    leader = 0.0003 + draws.market + own
    follower = _delayed(expected) + draws.market + draws.own[:, 1] * 0.8
    return _Planted(np.column_stack([leader, follower]), np.column_stack([np.full(len(own), 0.0003), expected]))


def _premium(draws: _Draws, calm: float, turbulent: float) -> _Planted:
    expected = np.where(draws.turbulent, turbulent, calm)
    stays = 1.0 - np.where(draws.turbulent, STAYS[1], STAYS[0]) * FILL_DELAY
    ahead = stays * expected + (1.0 - stays) * np.where(draws.turbulent, calm, turbulent)
    returns = expected + draws.market
    often = STAYS[0] / sum(STAYS)
    later = often + (_filtered_state(returns, calm, turbulent) - often) * (1.0 - sum(STAYS)) ** FILL_DELAY
    return _Planted(returns[:, None], ahead[:, None], (later * turbulent + (1.0 - later) * calm)[:, None])


PLANTED: dict[str, Callable[[_Draws], _Planted]] = {
    "predictive feature": _feature,
    "momentum": _momentum,
    "mean reversion": _reversion,
    "lead-lag": _lead_lag,
    "premium in the calm regime": lambda draws: _premium(draws, 0.0011, -0.0014),
    "premium in the turbulent regime": lambda draws: _premium(draws, -0.0006, 0.0045),
    "noise": lambda draws: _premium(draws, 0.0, 0.0),
}
"""What can be planted: from the draws to returns (T, N), the oracle's expectation (T, N), and published facts."""


def planted_market(name: str, seed: int, sessions: int, features: Sequence[Component]) -> PlantedMarket:
    """The market `name` of `PLANTED`, drawn by `seed`, with `sessions` after the features' warm-up."""
    first = max(int(feature.load().memory_sessions(feature.settings)) for feature in features)
    count = first + sessions
    rng = np.random.default_rng([seed, *name.encode()])
    turbulent = _states(rng, count)
    volatility = np.where(turbulent, TURBULENT, CALM)
    market = volatility * rng.standard_t(6, count) / np.sqrt(1.5)
    own = volatility[:, None] * rng.normal(size=(count, 4))
    planted = PLANTED[name](_Draws(turbulent, market, own, rng))
    returns, facts = planted.returns, planted.facts
    held = tuple("XY"[: returns.shape[1]])
    watched = 0.0003 + market[:, None] + 0.8 * own[:, 1:]
    columns = {symbol: returns[:, n] for n, symbol in enumerate(held)}
    columns |= {f"W{n}": watched[:, n] for n in range(watched.shape[1])}
    days = pd.bdate_range("1990-01-01", periods=count, name="session")
    prices = pd.DataFrame(columns, days).add(1.0).cumprod() * 100.0
    weights = window_weights(Expanding(HALF_LIFE), sessions)
    window = Window("planted", "long", days[-1].date(), days[first:], prices, held, weights, f"{name} {seed}")
    published = pd.DataFrame({f"fact:{key}": value[first:] for key, value in facts.items()}, days[first:])
    history = build_training_set(window, features, published if facts else None)
    knowable = planted.expected if planted.knowable is None else planted.knowable
    return PlantedMarket(name, history, _weights(planted.expected[first:]), _weights(knowable[first:]))


def _weights(expected: Array) -> Array:
    """All in the instrument of the best expectation, in cash where none is positive; entered and left by a margin.

    The margin keeps the costs of a signal that hovers about zero from eating what it earns.
    """
    margin = 0.0001
    held, weights = -1, np.zeros(expected.shape)
    for t, row in enumerate(expected):
        best = int(row.argmax())
        if held >= 0 and row[held] < -margin:
            held = -1
        if (held < 0 and row[best] > margin) or (held >= 0 and row[best] > row[held] + 2 * margin):
            held = best
        if held >= 0:
            weights[t, held] = 1.0
    return weights


def _states(rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
    leaves, state, states = rng.random(count), False, np.zeros(count, dtype=bool)
    for t, draw in enumerate(leaves):
        state = state != (draw < STAYS[int(state)])
        states[t] = state
    return states


def _persistent(rng: np.random.Generator, count: int, half_life: float) -> Array:
    """An autoregression of the first order with mean 0 and variance 1."""
    decay = 0.5 ** (1.0 / half_life)
    value, values = rng.normal(), np.empty(count)
    for t, shock in enumerate(rng.normal(size=count)):
        values[t] = value = decay * value + np.sqrt(1.0 - decay**2) * shock
    return values


def _kalman(observed: Array, decay: float, size: float) -> Array:
    """The filtered state of `observed = size * state + noise`, both of variance 1, times `size`."""
    mean, variance, filtered = 0.0, 1.0, np.empty(len(observed))
    for t, value in enumerate(observed):
        mean, variance = decay * mean, decay**2 * variance + 1.0 - decay**2
        gain = variance * size / (size**2 * variance + 1.0)
        mean, variance = mean + gain * (value - size * mean), (1.0 - gain * size) * variance
        filtered[t] = mean
    return size * filtered


def _filtered_gap(observed: Array, decay: float, noise: float) -> Array:
    """The gap of which `observed` is the change, filtered; noise is a share of a volatility that is estimated."""
    transition, change = np.array([[decay, 0.0], [1.0, 0.0]]), np.array([1.0, -1.0])
    mean, covariance, squared = np.zeros(2), np.eye(2) * CALM**2, CALM**2
    filtered = np.empty(len(observed))
    for t, value in enumerate(observed):
        mean, covariance = transition @ mean, transition @ covariance @ transition.T
        covariance[0, 0] += squared
        gain = covariance @ change / (change @ covariance @ change + noise**2 * squared)
        mean = mean + gain * (value - change @ mean)
        covariance = covariance - np.outer(gain, change @ covariance)
        squared += 0.05 * (value**2 - squared)
        filtered[t] = mean[0]
    return filtered


def _filtered_state(returns: Array, calm: float, turbulent: float) -> Array:
    """(T,) probability of the turbulent state given the returns so far, by who knows the law (Hamilton 1989)."""
    likelihoods = [student_t.pdf((returns - mean) / (scale / np.sqrt(1.5)), 6) / scale
                   for mean, scale in ((calm, CALM), (turbulent, TURBULENT))]  # fmt: skip
    probability, filtered = STAYS[0] / sum(STAYS), np.empty(len(returns))
    for t, (quiet, wild) in enumerate(zip(*likelihoods, strict=True)):
        ahead = probability * (1.0 - STAYS[1]) + (1.0 - probability) * STAYS[0]
        filtered[t] = probability = ahead * wild / (ahead * wild + (1.0 - ahead) * quiet)
    return filtered


def _delayed(expected: Array) -> Array:
    """What was expected of the return that a decision earns, on the session of that return."""
    delayed = np.zeros(len(expected))
    delayed[FILL_DELAY:] = expected[:-FILL_DELAY]
    return delayed
