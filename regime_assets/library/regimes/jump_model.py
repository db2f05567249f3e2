"""The statistical jump model: k-means on feature rows with a penalty for every change of state.

Of two states only the difference of their least losses matters. It is a walk that the penalty clips on both sides, so
that one pass over plain floats replaces the dynamic programme's table, and its best path is a fill from right to left.
More states take the table.

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
        centres: (K, F) mean feature row of each state.
        states: (T,) the best path, numbered as in the start that it came from.
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
        starts: centres (K, F) to begin at.
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


def spread_starts(features: Array, risk: Array, n_states: int = 2) -> list[Array]:
    """Centres (K, F) of the sessions between quantiles of `risk` (T,), for several sets of them, calmest first."""
    starts: list[Array] = []
    for highest in (0.5, 0.7, 0.9):
        bounds = np.quantile(risk, np.linspace(0.0, highest, n_states)[1:])
        level = np.searchsorted(bounds, risk, side="left")
        groups = [level == k for k in range(n_states)]
        # A risk that hardly varies leaves a group empty: its centre is that of all sessions.
        starts.append(
            np.stack([features[group].mean(axis=0) if group.any() else features.mean(axis=0) for group in groups])
        )
    return starts


def online_states(features: Array, centres: Array, penalty: float) -> States:
    """The last state of the best path that ends at each session, (T,): no later session is seen."""
    if len(centres) == 2:
        return (_advantage(features, centres, penalty) < 0).astype(np.int64)
    return np.asarray([min(range(len(row)), key=row.__getitem__) for row in _table(features, centres, penalty)])


def best_states(features: Array, centres: Array, penalty: float) -> States:
    """The path (T,) of least loss over all sessions."""
    if len(centres) > 2:
        return _traced(_table(features, centres, penalty), penalty)
    advantage = _advantage(features, centres, penalty)
    # Beyond the penalty the next state does not matter: there the path is decided, and between such sessions it stays.
    decided = np.abs(advantage) > penalty
    decided[-1] = True
    after = np.where(decided, np.arange(len(advantage)), len(advantage))
    return (advantage < 0)[np.minimum.accumulate(after[::-1])[::-1]].astype(np.int64)


def _descend(features: Array, penalty: float, centres: Array, iterations: int) -> JumpFit:
    states = best_states(features, centres, penalty)
    for _ in range(iterations):
        counts = np.bincount(states, minlength=len(centres))
        if not counts.all():
            break
        centres = _means(features, states, counts)
        before, states = states, best_states(features, centres, penalty)
        if np.array_equal(before, states):
            break
    jumps = np.count_nonzero(np.diff(states))
    return JumpFit(centres, states, 0.5 * float(np.square(features - centres[states]).sum()) + penalty * jumps)


def _means(features: Array, states: States, counts: NDArray[np.int64]) -> Array:
    """(K, F) mean row of each state; the first state's is what the others leave of the total."""
    sums = [(states == k).astype(np.float64) @ features for k in range(1, len(counts))]
    first = features.sum(axis=0)
    for part in sums:
        first = first - part
    return np.stack([first, *sums]) / counts[:, None]


def _table(features: Array, centres: Array, penalty: float) -> list[list[float]]:
    """(T, K) least loss of a path that ends in each state at each session, less the least of them."""
    distances = [0.5 * np.square(features - centre).sum(axis=1) for centre in centres]
    reached = [0.0] * len(centres)
    table: list[list[float]] = []
    for losses in np.column_stack(distances).tolist():
        reached = [min(before, penalty) + loss for before, loss in zip(reached, losses, strict=True)]
        least = min(reached)
        reached = [value - least for value in reached]
        table.append(reached)
    return table


def _traced(table: list[list[float]], penalty: float) -> States:
    """The best path, from the last session back: a state is left where coming from the best one is cheaper."""
    states = np.empty(len(table), dtype=np.int64)
    state = min(range(len(table[-1])), key=table[-1].__getitem__)
    states[-1] = state
    for t in range(len(table) - 2, -1, -1):
        if table[t][state] > penalty:
            state = min(range(len(table[t])), key=table[t].__getitem__)
        states[t] = state
    return states


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
