"""What turns coordinates into regimes: the protocol, and the form that the built-in regime models share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts, below, prefixed
from regime_assets.library.regimes.mixture import Mixture, downside_moments
from regime_assets.library.regimes.mixture_fitting import mixture_figures
from regime_assets.library.regimes.persistence import (
    Filtered,
    Persistence,
    count_switches,
    persistence_figures,
)
from regime_assets.library.regimes.settings import RegimeSettings

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FitWindow:
    """What regimes are fitted on.

    Attributes:
        sessions: (T,) ascending.
        rows: (T, D) coordinates of the sessions.
        market_returns: (T,) simple returns of the same sessions.
        sample_weight: (T,) recency weights with mean 1.
        sessions_per_year: of the universe's calendar.
    """

    sessions: pd.DatetimeIndex
    rows: Array
    market_returns: Array
    sample_weight: Array
    sessions_per_year: float = 252.0


class Regimes(Protocol):
    """Fitted regimes; they read coordinates and know no features."""

    @property
    def names(self) -> tuple[str, ...]:
        """(K,) calmest first."""
        ...

    def filter(self, rows: Array) -> Filtered:
        """Posteriors (T, K) and states (T,) of rows (T, D), each from that row and earlier ones."""
        ...

    def to_parts(self) -> Parts:
        """The regimes taken apart, for `from_parts` of their component."""
        ...


@runtime_checkable
class Blending(Protocol):
    """Regimes that can be moved part of the way to other ones of their kind."""

    def toward(self, fitted: Self, step: float) -> Self:
        """Regimes on the way from these (step 0) to `fitted` (step 1)."""
        ...


@runtime_checkable
class Describing(Protocol):
    """Regimes that have figures of their own."""

    def describe(self, window: FitWindow) -> dict[str, float]:
        """Figures on a window, by name; they stand beside those of the path, and win over them."""
        ...


@dataclass(frozen=True)
class FittedRegimes:
    """The answer of a component's `fit`.

    Attributes:
        regimes: the fitted ones; they keep the identity of `previous` where there was one.
        figures: of the fit itself, such as its likelihood; those of the regimes are added to them (`describe`).
        exchanged: whether regimes have exchanged their names with the previous ones'.
    """

    regimes: Regimes
    figures: dict[str, float] = field(default_factory=dict)
    exchanged: bool = False


class RegimeComponent(Protocol):
    """What the class that a universe file names offers."""

    Settings: ClassVar[type[RegimeSettings]]
    version: ClassVar[int]

    @staticmethod
    def fit(window: FitWindow, settings: Any, seed: int, previous: Any | None) -> FittedRegimes:
        """Fit regimes to a window, from the previous accepted ones in the same coordinates where there are some."""
        ...

    @staticmethod
    def from_parts(parts: Parts) -> Regimes:
        """The regimes that `to_parts` took apart."""
        ...


@dataclass(frozen=True)
class Segmentation:
    """A mixture, and a filter over its log-likelihoods."""

    mixture: Mixture
    persistence: Persistence

    @property
    def names(self) -> tuple[str, ...]:
        """(K,) calmest first."""
        return self.mixture.names

    def filter(self, rows: Array) -> Filtered:
        """As `Regimes`."""
        return self.persistence.filter(self.mixture.log_likelihoods(rows))

    def toward(self, fitted: Segmentation, step: float) -> Segmentation:
        """Means, covariances and weights on the line between the two, the penalty on its logarithm's."""

        def mixed(start: Array, end: Array) -> Array:
            return start + step * (end - start)

        old, new = self.mixture, fitted.mixture
        mixture = replace(
            new,
            means=mixed(old.means, new.means),
            covariances=mixed(old.covariances, new.covariances),
            weights=mixed(old.weights, new.weights),
        )
        penalty = self.persistence.penalty ** (1 - step) * fitted.persistence.penalty**step
        return Segmentation(mixture, replace(fitted.persistence, penalty=penalty))

    def describe(self, window: FitWindow) -> dict[str, float]:
        """Separation, weights and downside of the components, and switches with and without the filter."""
        mixture = mixture_figures(self.mixture, window.rows, window.market_returns, window.sample_weight)
        return mixture | persistence_figures(
            self.persistence, self.mixture.log_likelihoods(window.rows), window.sessions_per_year
        )

    def to_parts(self) -> Parts:
        """Both taken apart."""
        mixture, persistence = self.mixture.to_parts(), self.persistence.to_parts()
        arrays = prefixed("mixture", mixture.arrays) | prefixed("persistence", persistence.arrays)
        return Parts(arrays, {"mixture": mixture.document, "persistence": persistence.document})

    @staticmethod
    def from_parts(parts: Parts) -> Segmentation:
        """The segmentation that `to_parts` took apart."""
        return Segmentation(
            Mixture.from_parts(Parts(below("mixture", parts.arrays), parts.document["mixture"])),
            Persistence.from_parts(Parts(below("persistence", parts.arrays), parts.document["persistence"])),
        )


def describe(regimes: Regimes, window: FitWindow) -> dict[str, float]:
    """What regimes are like on a window: figures of the path of any regimes, and what their own `describe` adds.

    Returns:
        switches_per_year, occupancy_{k} (share of sessions), smallest_weight (of the weighted posteriors), downside_{k}
        (root mean squared loss of the market), ordered_by_risk (1 or 0).
    """
    filtered = regimes.filter(window.rows)
    root = np.sqrt(downside_moments(window.market_returns, filtered.posteriors, window.sample_weight))
    years = len(filtered.states) / window.sessions_per_year
    path = {
        "switches_per_year": count_switches(filtered.states) / years,
        "smallest_weight": float(np.average(filtered.posteriors, axis=0, weights=window.sample_weight).min()),
        "ordered_by_risk": float((np.diff(root) >= 0).all()),
        **{f"occupancy_{k}": float((filtered.states == k).mean()) for k in range(len(regimes.names))},
        **{f"downside_{k}": float(value) for k, value in enumerate(root)},
    }
    return path | regimes.describe(window) if isinstance(regimes, Describing) else path
