"""The two-state statistical jump model: k-means on feature rows with a penalty for every change of state.

Only the difference of the two states' least losses matters. It is a walk that the penalty clips on both sides, so that
one pass over plain floats replaces the dynamic programme's table, and its best path is a fill from right to left.

References:
    Nystrup, Lindström, Madsen (2020): Learning hidden Markov models with persistent states by penalizing jumps. Expert
    Systems with Applications 150. Shu, Yu, Mulvey (2024): Downside risk reduction using regime-switching signals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
States = NDArray[np.int64]


@dataclass(frozen=True)
class JumpFit:
    """The best of several descents.

    Attributes:
        centres: (2, F) mean feature row of each state.
        states: (T,) the best path, 0 or 1 as in the start that it came from.
        loss: half the squared distances to the centres, and the penalty of every jump.
    """

    centres: Array
    states: States
    loss: float


def fit_jump_model(features: Array, penalty: float, starts: Iterable[Array], iterations: int = 300) -> JumpFit:
    """Alternate between the best path and the states' means from each start, and keep the least loss.

    Args:
        features: (T, F), scaled.
        penalty: of a jump, in units of half squared features.
        starts: centres (2, F) to begin at.
        iterations: of one descent, at most; it ends earlier, once its path repeats.

    Raises:
        ValueError: a feature that is no finite number, or no start.
    """
    if not np.isfinite(features).all():
        raise ValueError(f"feature row {int(np.argwhere(~np.isfinite(features))[0][0])} is not finite")
    fits = [_descend(features, penalty, start, iterations) for start in starts]
    if not fits:
        raise ValueError("no start was given")
    return min(fits, key=lambda fit: fit.loss)


def spread_starts(features: Array, risk: Array) -> list[Array]:
    """Centres (2, F) of the sessions below and above a quantile of `risk` (T,), for several of them."""
    starts: list[Array] = []
    for quantile in (0.5, 0.7, 0.9):
        below = risk <= np.quantile(risk, quantile)
        above = below if below.all() else ~below
        starts.append(np.stack([features[below].mean(axis=0), features[above].mean(axis=0)]))
    return starts


def online_states(features: Array, centres: Array, penalty: float) -> States:
    """The last state of the best path that ends at each session, (T,): no later session is seen."""
    return (_advantage(features, centres, penalty) < 0).astype(np.int64)


def best_states(features: Array, centres: Array, penalty: float) -> States:
    """The path (T,) of least loss over all sessions."""
    advantage = _advantage(features, centres, penalty)
    # Beyond the penalty the next state does not matter: there the path is decided, and between such sessions it stays.
    decided = np.abs(advantage) > penalty
    decided[-1] = True
    after = np.where(decided, np.arange(len(advantage)), len(advantage))
    return (advantage < 0)[np.minimum.accumulate(after[::-1])[::-1]].astype(np.int64)


def _descend(features: Array, penalty: float, centres: Array, iterations: int) -> JumpFit:
    total = features.sum(axis=0)
    states = best_states(features, centres, penalty)
    for _ in range(iterations):
        turbulent = int(states.sum())
        if turbulent in {0, len(states)}:
            break
        upper = states.astype(np.float64) @ features
        centres = np.stack([(total - upper) / (len(states) - turbulent), upper / turbulent])
        before, states = states, best_states(features, centres, penalty)
        if np.array_equal(before, states):
            break
    jumps = np.count_nonzero(np.diff(states))
    return JumpFit(centres, states, 0.5 * float(np.square(features - centres[states]).sum()) + penalty * jumps)


def _advantage(features: Array, centres: Array, penalty: float) -> Array:
    """(T,) by how much a path that ends in state 0 at each session beats one that ends in state 1."""
    lower, upper = centres
    gaps = features @ (lower - upper) + (upper @ upper - lower @ lower) / 2
    advantage = 0.0
    walk: list[float] = []
    for gap in gaps.tolist():
        if advantage > penalty:
            advantage = penalty
        elif advantage < -penalty:
            advantage = -penalty
        advantage += gap
        walk.append(advantage)
    return np.array(walk)
