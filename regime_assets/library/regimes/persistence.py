"""Regimes that last: a causal filter over the mixture's log-likelihoods, with a penalty for every switch.

A mixture judges every session alone and flickers (8.8 switches a year on the S&P 500). The filter follows, for each
regime, the least loss of a path that ends there: a session's loss is its negative log-likelihood, a switch costs the
penalty (Nystrup, Lindström and Madsen 2020, "Learning hidden Markov models with persistent states by penalizing
jumps"). Only filtered, never smoothed states exist here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts
from regime_assets.library.regimes.settings import PersistenceSettings

Array = NDArray[np.float64]
SMALLEST_PENALTY = 2.0  # nats; below it a filter does next to nothing


class PersistenceError(Exception):
    """The log-likelihoods cannot be filtered."""


class Filtered(NamedTuple):
    """What the filter knows at each session: posteriors (T, K) that sum to 1 and their states (T,), the largest."""

    posteriors: Array
    states: NDArray[np.int64]


@dataclass(frozen=True)
class Persistence:
    """A filter whose every switch costs the same.

    Attributes:
        penalty: of a switch, in nats.
        evidence_weight: what a nat counts in the posterior.
        n_regimes: K.
    """

    penalty: float
    evidence_weight: float
    n_regimes: int

    def filter(self, log_likelihoods: Array) -> Filtered:
        """Filtered posteriors and states: a posterior is the softmax of the weighted least losses.

        Args:
            log_likelihoods: (T, K) log densities, or weighted ones, by ascending session.

        Raises:
            PersistenceError: another number of regimes, or a value that is no finite number.
        """
        if log_likelihoods.ndim != 2 or log_likelihoods.shape[1] != self.n_regimes:
            raise PersistenceError(f"shape {log_likelihoods.shape}, expected (T, {self.n_regimes})")
        losses = _least_losses(_relative_losses(log_likelihoods), self.penalty)
        posteriors = np.exp(-self.evidence_weight * losses)
        return Filtered(posteriors / posteriors.sum(axis=1, keepdims=True), losses.argmin(axis=1))

    def to_parts(self) -> Parts:
        """The filter taken apart."""
        document: dict[str, Any] = {
            "penalty": self.penalty,
            "evidence_weight": self.evidence_weight,
            "n_regimes": self.n_regimes,
        }
        return Parts({}, document)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The filter that `to_parts` took apart."""
        return cls(**parts.document)


@dataclass(frozen=True)
class PersistenceFit:
    """A chosen filter.

    Attributes:
        model: the filter.
        figures: what a reader plots over partitions: penalty, switches_per_year (filtered, in-window),
            raw_switches_per_year (without a penalty), occupancy_{k} (share of sessions), kept (1 when the previous
            penalty was good enough).
    """

    model: Persistence
    figures: dict[str, float]


def fit_persistence(
    log_likelihoods: Array,
    settings: PersistenceSettings,
    previous: Persistence | None = None,
    *,
    sessions_per_year: float,
) -> PersistenceFit:
    """Choose the penalty whose filtered states switch about as often as wanted, in the window.

    The previous penalty stays as long as its switches are near the target: choosing anew at every refit costs agreement
    between refits and wins nothing.

    Args:
        log_likelihoods: (T, K) of the mixture, by ascending session.
        settings: the target.
        previous: the last accepted filter.
        sessions_per_year: of the universe's calendar.

    Raises:
        PersistenceError: a value that is no finite number, or a previous filter of another shape.
    """
    losses = _relative_losses(log_likelihoods)
    n_sessions, n_regimes = losses.shape
    if previous is not None and previous.n_regimes != n_regimes:
        raise PersistenceError(f"the previous filter has {previous.n_regimes} regimes, the mixture {n_regimes}")

    def switches(penalty: float) -> int:
        return count_switches(_least_losses(losses, penalty).argmin(axis=1))

    kept = previous is not None and is_near_target(switches(previous.penalty), n_sessions, settings, sessions_per_year)
    if previous is not None and kept:
        penalty = previous.penalty
    else:
        tried = [float(candidate) for candidate in penalties(settings)]
        distances = np.array(
            [target_distance(switches(candidate), n_sessions, settings, sessions_per_year) for candidate in tried]
        )
        best = [tried[row] for row in np.flatnonzero(np.isclose(distances, distances.min()))]
        # Among equals the nearest to the previous one, or the smallest, which is the quickest to see a change.
        penalty = min(best, key=lambda one: abs(np.log(one / previous.penalty))) if previous is not None else best[0]
    model = Persistence(penalty, settings.evidence_weight, n_regimes)
    return PersistenceFit(model, persistence_figures(model, log_likelihoods, sessions_per_year) | {"kept": float(kept)})


def penalties(settings: PersistenceSettings) -> Array:
    """The penalties that are tried, ascending."""
    return np.geomspace(SMALLEST_PENALTY, settings.largest_penalty, settings.candidates)


def is_near_target(switches: int, n_sessions: int, settings: PersistenceSettings, sessions_per_year: float) -> bool:
    """Whether so many switches in so many sessions are near enough to the target for a penalty to be kept."""
    wanted = settings.wanted(n_sessions, sessions_per_year)
    return abs(switches - wanted) <= max(2.0, settings.tolerance * wanted)


def target_distance(switches: int, n_sessions: int, settings: PersistenceSettings, sessions_per_year: float) -> float:
    """How far so many switches are from the target, as a ratio's logarithm."""
    wanted = settings.wanted(n_sessions, sessions_per_year)
    return abs(float(np.log((switches + 0.5) / (wanted + 0.5))))


def persistence_figures(model: Persistence, log_likelihoods: Array, sessions_per_year: float) -> dict[str, float]:
    """What a filter does with log-likelihoods (T, K): penalty, switches with and without it, occupancy."""
    states = model.filter(log_likelihoods).states
    years = len(states) / sessions_per_year
    return {
        "penalty": model.penalty,
        "switches_per_year": count_switches(states) / years,
        "raw_switches_per_year": count_switches(log_likelihoods.argmax(axis=1)) / years,
        **{f"occupancy_{k}": float((states == k).mean()) for k in range(model.n_regimes)},
    }


def count_switches(states: NDArray[np.int64]) -> int:
    """How often consecutive states differ.

    Examples:
        >>> count_switches(np.array([0, 0, 1, 1, 0]))
        2
    """
    return int(np.count_nonzero(np.diff(states)))


def _relative_losses(log_likelihoods: Array) -> Array:
    """Losses of each session relative to its best regime, (T, K) and at least 0."""
    if not np.isfinite(log_likelihoods).all():
        row = int(np.argwhere(~np.isfinite(log_likelihoods))[0][0])
        raise PersistenceError(f"the log-likelihoods of row {row} are not finite")
    return log_likelihoods.max(axis=1, keepdims=True) - log_likelihoods


def _least_losses(losses: Array, penalty: float) -> Array:
    """(T, K) least loss of a path that ends in each regime at each session, relative to the best one's.

    On plain floats: for so few regimes a call of NumPy a session costs ten times the arithmetic.
    """
    if losses.shape[1] == 2:
        return _two_least_losses(losses, penalty)
    values = [0.0] * losses.shape[1]
    answer: list[list[float]] = []
    for row in losses.tolist():
        reached = [min(value, penalty) + loss for value, loss in zip(values, row, strict=True)]
        best = min(reached)
        values = [value - best for value in reached]
        answer.append(values)
    return np.array(answer)


def _two_least_losses(losses: Array, penalty: float) -> Array:
    """`_least_losses` of two regimes to the bit: a walk-forward filters long histories many times a refit.

    Of each pair one is zero. What is left is one walk, of the difference, that the penalty clips on both sides.
    """
    difference = 0.0
    walk: list[float] = []
    for gap in (losses[:, 0] - losses[:, 1]).tolist():
        if difference > penalty:
            difference = penalty
        elif difference < -penalty:
            difference = -penalty
        difference += gap
        walk.append(difference)
    differences = np.array(walk)
    return np.column_stack([np.maximum(differences, 0.0), np.maximum(-differences, 0.0)])
