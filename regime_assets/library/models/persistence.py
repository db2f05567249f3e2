"""Regimes that last: a causal sticky filter over the mixture's log-likelihoods.

A mixture judges every session alone and flickers (8.8 switches a year on the S&P 500). The filter is the forward
recursion of a hidden Markov model whose every regime is left with the same small probability; its log-odds, the
penalty of a switch, are what a jump model calls the jump penalty (Nystrup, Lindström and Madsen 2020, "Learning hidden
Markov models with persistent states by penalizing jumps"). Only filtered, never smoothed states exist here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts

Array = NDArray[np.float64]
SESSIONS_PER_YEAR = 252
SMALLEST_PENALTY = 0.05  # nats; below it a filter does nothing


class PersistenceError(Exception):
    """The log-likelihoods cannot be filtered."""


class Filtered(NamedTuple):
    """What the filter knows at each session: posteriors (T, K) that sum to 1 and their states (T,), the largest."""

    posteriors: Array
    states: NDArray[np.int64]


@dataclass(frozen=True)
class PersistenceSettings:
    """How often the regime may change.

    Attributes:
        target_switches_per_year: in-window, from which the penalty is chosen.
        tolerance: the previous penalty is kept while its in-window switches differ from the target by no more than
            this share of it, or by two. At 1.0 a penalty of the year 2000 was never chosen anew.
        evidence_weight: what a session's log-likelihood counts; below 1 because consecutive sessions' features
            overlap and are no independent evidence.
        largest_penalty: upper end of the penalties tried, in nats; above it a crash is recognised weeks late.
        candidates: how many penalties are tried, spaced geometrically.
    """

    target_switches_per_year: float = 2.5
    tolerance: float = 0.4
    evidence_weight: float = 0.1
    largest_penalty: float = 60.0
    candidates: int = 48


@dataclass(frozen=True)
class Persistence:
    """A sticky forward filter.

    Attributes:
        penalty: log-odds of staying against moving to one particular other regime, in nats.
        evidence_weight: what a session's log-likelihood counts.
        n_regimes: K.
    """

    penalty: float
    evidence_weight: float
    n_regimes: int

    def filter(self, log_likelihoods: Array) -> Filtered:
        """Filtered posteriors and states.

        Args:
            log_likelihoods: (T, K) log densities, or weighted ones, by ascending session.

        Raises:
            PersistenceError: another number of regimes, or a value that is no finite number.
        """
        posteriors = _forward(self._likelihoods(log_likelihoods), self.penalty)
        return Filtered(posteriors, posteriors.argmax(axis=1))

    def _likelihoods(self, log_likelihoods: Array) -> Array:
        if log_likelihoods.ndim != 2 or log_likelihoods.shape[1] != self.n_regimes:
            raise PersistenceError(f"shape {log_likelihoods.shape}, expected (T, {self.n_regimes})")
        return _relative_likelihoods(log_likelihoods, self.evidence_weight)

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
    log_likelihoods: Array, settings: PersistenceSettings, previous: Persistence | None = None
) -> PersistenceFit:
    """Choose the penalty whose filtered states switch about as often as wanted, in the window.

    The previous penalty stays as long as its switches are near the target: choosing anew at every refit costs agreement
    between refits and wins nothing.

    Args:
        log_likelihoods: (T, K) of the mixture, by ascending session.
        settings: the target.
        previous: the last accepted filter.

    Raises:
        PersistenceError: a value that is no finite number, or a previous filter of another shape.
    """
    likelihoods = _relative_likelihoods(log_likelihoods, settings.evidence_weight)
    n_sessions, n_regimes = likelihoods.shape
    if previous is not None and previous.n_regimes != n_regimes:
        raise PersistenceError(f"the previous filter has {previous.n_regimes} regimes, the mixture {n_regimes}")
    wanted = settings.target_switches_per_year * n_sessions / SESSIONS_PER_YEAR
    kept = False
    penalty = 0.0
    if previous is not None and previous.evidence_weight == settings.evidence_weight:
        penalty = previous.penalty
        switches = count_switches(_forward(likelihoods, penalty).argmax(axis=1))
        kept = abs(switches - wanted) <= max(2.0, settings.tolerance * wanted)
    if not kept:
        penalty = _choose(likelihoods, wanted, settings, penalty if previous is not None else None)
    model = Persistence(float(penalty), settings.evidence_weight, n_regimes)
    return PersistenceFit(model, persistence_figures(model, log_likelihoods) | {"kept": float(kept)})


def persistence_figures(model: Persistence, log_likelihoods: Array) -> dict[str, float]:
    """What a filter does with log-likelihoods (T, K): penalty, switches with and without it, occupancy."""
    states = model.filter(log_likelihoods).states
    years = len(states) / SESSIONS_PER_YEAR
    return {
        "penalty": model.penalty,
        "switches_per_year": count_switches(states) / years,
        "raw_switches_per_year": count_switches(log_likelihoods.argmax(axis=1)) / years,
        **{f"occupancy_{k}": float((states == k).mean()) for k in range(model.n_regimes)},
    }


def count_switches(states: NDArray[np.int64]) -> int:
    """How often consecutive states differ."""
    return int(np.count_nonzero(np.diff(states)))


def _choose(likelihoods: Array, wanted: float, settings: PersistenceSettings, near: float | None) -> float:
    """The candidate nearest to the wanted switches; among equals the one nearest to `near`, or the
    smallest, which is the quickest to recognise a change."""
    candidates = np.geomspace(SMALLEST_PENALTY, settings.largest_penalty, settings.candidates)
    states = _forward_each(likelihoods, candidates).argmax(axis=2)
    switches = np.count_nonzero(np.diff(states, axis=0), axis=0)
    distance = np.abs(np.log((switches + 0.5) / (wanted + 0.5)))
    best = candidates[np.isclose(distance, distance.min())]
    if near is None:
        return float(best[0])
    return float(best[np.argmin(np.abs(np.log(best / near)))])


def _relative_likelihoods(log_likelihoods: Array, evidence_weight: float) -> Array:
    """Tempered likelihoods of each session relative to its best regime, so that none of them overflows."""
    if not np.isfinite(log_likelihoods).all():
        row = int(np.argwhere(~np.isfinite(log_likelihoods))[0][0])
        raise PersistenceError(f"the log-likelihoods of row {row} are not finite")
    return np.exp(evidence_weight * (log_likelihoods - log_likelihoods.max(axis=1, keepdims=True)))


def _forward(likelihoods: Array, penalty: float) -> Array:
    """The forward recursion under one penalty, (T, K) likelihoods to (T, K) posteriors.

    On plain floats: for so few regimes a call of NumPy a session costs ten times the arithmetic.
    """
    n_regimes = likelihoods.shape[1]
    leave = 1.0 / (math.exp(penalty) + n_regimes - 1)
    remain = 1.0 - n_regimes * leave  # staying = leave + remain, since every regime may also be moved to
    current = [1.0 / n_regimes] * n_regimes
    posteriors: list[list[float]] = []
    for row in likelihoods.tolist():
        joint = [(share * remain + leave) * likelihood for share, likelihood in zip(current, row, strict=True)]
        total = sum(joint)
        current = [share / total for share in joint]
        posteriors.append(current)
    return np.array(posteriors)


def _forward_each(likelihoods: Array, penalties: Array) -> Array:
    """The same under each of C penalties at once: (T, K) likelihoods to (T, C, K) posteriors."""
    n_sessions, n_regimes = likelihoods.shape
    leave = 1.0 / (np.exp(penalties) + n_regimes - 1)
    leave = leave[:, None]
    remain = 1.0 - n_regimes * leave
    posteriors = np.empty((n_sessions, len(penalties), n_regimes))
    current = np.full((len(penalties), n_regimes), 1.0 / n_regimes)
    for session in range(n_sessions):
        current = (current * remain + leave) * likelihoods[session]
        current /= current.sum(axis=1, keepdims=True)
        posteriors[session] = current
    return posteriors
