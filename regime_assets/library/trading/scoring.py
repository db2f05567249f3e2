"""The one scorer: what decided weights earn, net of costs, when they are filled a session later.

Every strategy that is ever compared (policy, rule, baseline, candidate at the gate, simulated path) passes
through these functions, so that no two numbers differ by a convention. A weight decided on session t's close is
filled at the close of t + 1 and earns `returns[t + 2]` first. Before the first fill the position is cash.

Under one cost for everything cash earns nothing, and the drift of weights between two decisions is ignored: a weight is
held by free rebalancing. Under `Terms` weights drift with what the instruments earn, are brought back at a cost where
they have drifted beyond the band, and cash earns its rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from regime_assets.library.trading.terms import Terms, on

FILL_DELAY = 2
"""Sessions between a decision and the first return that it earns."""

_BLOCK_ELEMENTS = 1 << 17
"""Weights scored at a time (1 MiB), so that a batch's temporaries stay in the processor's cache."""


class ScoringError(ValueError):
    """Weights and returns cannot be scored: their shapes disagree or a number is not finite."""


@dataclass(frozen=True)
class Scored:
    """What a strategy earned and did, per session; arrays are (T,), or (S, T) for a batch of strategies.

    Attributes:
        net: return after costs, a fraction of wealth.
        gross: return before costs.
        turnover: notional traded, one way, as a fraction of wealth, booked with the first return it leads to.
        exposure: sum of the weights that earned this session's return, without those of a refuge.
        cash: (T,) what cash earned on the session; None where it earns nothing.
    """

    net: NDArray[np.float64]
    gross: NDArray[np.float64]
    turnover: NDArray[np.float64]
    exposure: NDArray[np.float64]
    cash: NDArray[np.float64] | None = None

    @property
    def over_cash(self) -> Scored:
        """The same with returns over what cash earned: what ratios, gates and tests compare."""
        if self.cash is None:
            return self
        return Scored(self.net - self.cash, self.gross - self.cash, self.turnover, self.exposure)


def returns_over_cash(weights: ArrayLike, returns: ArrayLike, cost: float | Terms) -> NDArray[np.float64]:
    """Net returns over what cash earned; as `realised_returns` where it earns nothing."""
    if isinstance(cost, Terms):
        return score(weights, returns, cost).over_cash.net
    return realised_returns(weights, returns, cost)


def earned_over_cash(weights: pd.DataFrame, returns: pd.DataFrame, cost: float | Terms) -> pd.Series:
    """Net returns over cash of decided weights from their first fill on.

    Args:
        weights: (n, N) decided on each session's close, index = sessions.
        returns: (T, N) simple returns of those sessions and others.
        cost: of everything, or the terms of those sessions and others.
    """
    sessions = pd.DatetimeIndex(weights.index)
    net = returns_over_cash(weights.to_numpy(), returns.loc[sessions].to_numpy(), on(cost, sessions))
    return pd.Series(net[FILL_DELAY:], index=sessions[FILL_DELAY:])


def realised_returns(weights: ArrayLike, returns: ArrayLike, cost: float | Terms) -> NDArray[np.float64]:
    """Net returns of decided weights: net[t] = w[t-2]·r[t] − cost·Σ|w[t-2] − w[t-3]| under one cost for everything.

    Args:
        weights: decided on each session's close, (T, N) or, for a batch, (S, T, N). With one instrument the
            last axis may be left out of both arguments: exposures (T,) or (S, T) and returns (T,).
        returns: simple returns (T, N) or (T,).
        cost: fraction of the traded notional, one way (10 basis points = 0.0010), or the terms of T sessions.

    Returns:
        (T,) or (S, T). Under one cost the first `FILL_DELAY` sessions are zero: nothing can be filled by then.

    Raises:
        ScoringError: shapes disagree, a weight or a return is not finite, or the cost is negative.

    Examples:
        Half the wealth is invested on the first close: it is filled on the second and earns from the third on.

        >>> realised_returns([0.5, 0.5, 0.5, 0.5], [0.01, 0.01, 0.02, -0.01], cost=0.001).round(4).tolist()
        [0.0, 0.0, 0.0095, -0.005]
    """
    if isinstance(cost, Terms):
        return score(weights, returns, cost).net
    weights, returns = _checked(weights, returns, cost)
    net = np.zeros(_result_shape(weights, returns))
    for rows in blocks(weights, returns):
        gross, turnover, _ = _score_block(weights[rows], returns)
        turnover *= cost
        np.subtract(gross, turnover, out=net[rows][..., FILL_DELAY:])
    return net


def score(weights: ArrayLike, returns: ArrayLike, cost: float | Terms) -> Scored:
    """As `realised_returns`, with the gross return, the turnover and the exposure beside the net return."""
    if isinstance(cost, Terms):
        return _score_portfolio(*_checked(weights, returns, float(cost.cost.max())), cost)
    weights, returns = _checked(weights, returns, cost)
    gross, turnover, exposure = (np.zeros(_result_shape(weights, returns)) for _ in range(3))
    for rows in blocks(weights, returns):
        for whole, block in zip((gross, turnover, exposure), _score_block(weights[rows], returns), strict=True):
            whole[rows][..., FILL_DELAY:] = block
    return Scored(net=gross - cost * turnover, gross=gross, turnover=turnover, exposure=exposure)


def _score_portfolio(weights: NDArray[np.float64], returns: NDArray[np.float64], terms: Terms) -> Scored:
    """Session by session: what is held drifts, is brought back at a session's close, and earns from the next one on."""
    if returns.ndim == 1:
        weights, returns = weights[..., None], returns[:, None]
    if returns.shape != (len(terms.cash), len(terms.cost)):
        raise ScoringError(f"returns {returns.shape} do not fit terms of {len(terms.cash)} sessions")
    shape = _result_shape(weights, returns)
    gross, turnover, exposure, costs = (np.zeros(shape) for _ in range(4))
    held = np.zeros((*shape[:-1], returns.shape[1]))
    for t, earned in enumerate(returns):
        gains = held * earned
        gross[..., t] = gains.sum(axis=-1) + (1.0 - held.sum(axis=-1)) * terms.cash[t] - terms.carry(held)
        exposure[..., t] = held[..., terms.risk].sum(axis=-1)
        if t == 0 or t + 1 == len(returns):
            continue  # nothing was decided before the first close; a trade at the last one is booked after it
        drifted = (held + gains) / (1.0 + gross[..., t])[..., None]
        decided = weights[..., t - 1, :]
        far = np.abs(decided - drifted).max(axis=-1, keepdims=True) > terms.no_trade_band
        held = np.where(far, decided, drifted)
        traded = np.abs(held - drifted)
        turnover[..., t + 1], costs[..., t + 1] = traded.sum(axis=-1), (traded * terms.cost).sum(axis=-1)
    return Scored(net=gross - costs, gross=gross, turnover=turnover, exposure=exposure, cash=terms.cash)


def _score_block(
    weights: NDArray[np.float64], returns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Gross return, turnover and exposure of the sessions from the first fill on."""
    earned = returns[FILL_DELAY:]
    if returns.ndim == 1:
        held = weights[..., : len(earned)]
        turnover = np.empty(held.shape)
        np.abs(held[..., :1], out=turnover[..., :1])
        np.subtract(held[..., 1:], held[..., :-1], out=turnover[..., 1:])
        np.abs(turnover, out=turnover)
        return held * earned, turnover, held
    held = weights[..., : len(earned), :]
    traded = np.diff(held, axis=-2, prepend=0.0)
    return np.einsum("...tn,tn->...t", held, earned), np.abs(traded).sum(axis=-1), held.sum(axis=-1)


def _checked(weights: ArrayLike, returns: ArrayLike, cost: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weights, returns = np.asarray(weights, dtype=np.float64), np.asarray(returns, dtype=np.float64)
    axes = returns.ndim
    if axes not in (1, 2) or weights.ndim not in (axes, axes + 1) or weights.shape[-axes:] != returns.shape:
        raise ScoringError(f"weights {weights.shape} do not fit returns {returns.shape}")
    if not (np.isfinite(cost) and cost >= 0):
        raise ScoringError(f"cost {cost} is not a fraction of the traded notional")
    for name, values in (("weights", weights), ("returns", returns)):
        # A sum is finite only when every term is; looking at it first spares a batch-sized temporary.
        if not np.isfinite(values.sum()) and not np.isfinite(values).all():
            position = tuple(int(axis[0]) for axis in np.nonzero(~np.isfinite(values)))
            raise ScoringError(f"{name}{list(position)} is {values[position]}, not a finite number")
    return weights, returns


def _result_shape(weights: NDArray[np.float64], returns: NDArray[np.float64]) -> tuple[int, ...]:
    return weights.shape if returns.ndim == 1 else weights.shape[:-1]


def blocks(weights: NDArray[np.float64], returns: NDArray[np.float64]) -> list[slice]:
    """Slices over the strategies of a batch; one slice over everything when there is no batch axis."""
    if weights.ndim == returns.ndim:
        return [slice(None)]
    step = max(1, _BLOCK_ELEMENTS // max(1, returns.size))
    return [slice(start, start + step) for start in range(0, len(weights), step)]
