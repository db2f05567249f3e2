"""The market as a policy sees it: precomputed arrays over the sessions of one window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.trading.sleeves import Sleeves
from regime_assets.library.trading.terms import Charges


class TapeError(ValueError):
    """The arrays of a tape do not fit together or hold values that no market has."""


@dataclass(frozen=True, eq=False)
class MarketTape:
    """Sessions, ascending, with everything that training a policy reads.

    Attributes:
        observations: (T, O) float32, row t known at session t's close (latents, posteriors, rule exposure, ...).
        rule_exposure: (T,) exposure that the regime rule sets at session t's close, fraction of capital.
        returns: (T, N) simple close-to-close returns, `returns[t] = P[t] / P[t-1] - 1`; over cash in a portfolio whose
            cash earns a rate.
        base_weights: (N,) weights at exposure 1, not negative.
        sample_weight: (T,) recency weights, not negative; only their ratios matter.
        sleeves: the refuge and the limits of a portfolio; None where what is not held is cash.
        charges: of a portfolio's instruments, given with `sleeves`; None where every one costs what the settings say.

    Raises:
        TapeError: a shape differs, a value is not finite, a return is -100 % or less, a weight is negative.
    """

    observations: NDArray[np.float32]
    rule_exposure: NDArray[np.float64]
    returns: NDArray[np.float64]
    base_weights: NDArray[np.float64]
    sample_weight: NDArray[np.float64]
    sleeves: Sleeves | None = None
    charges: Charges | None = None

    def __post_init__(self) -> None:
        for name, dtype, ndim in (
            ("observations", np.float32, 2),
            ("rule_exposure", np.float64, 1),
            ("returns", np.float64, 2),
            ("base_weights", np.float64, 1),
            ("sample_weight", np.float64, 1),
        ):
            array: NDArray[Any] = np.ascontiguousarray(getattr(self, name), dtype=dtype)
            if array.ndim != ndim:
                raise TapeError(f"{name}: {array.ndim} dimensions, expected {ndim}")
            if not np.isfinite(array).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
                raise TapeError(f"{name}{list(where)} is {array[where]}, not finite")
            object.__setattr__(self, name, array)
        self._check_shapes()
        if (self.sleeves is None) != (self.charges is None):
            raise TapeError("sleeves and charges make a portfolio together: give both or none")
        if (self.returns <= -1.0).any():
            session, instrument = (int(i) for i in np.argwhere(self.returns <= -1.0)[0])
            value = self.returns[session, instrument]
            raise TapeError(f"returns[{session}, {instrument}] is {value}: a price of zero or below")
        if (self.base_weights < 0).any() or self.base_weights.sum() <= 0:
            raise TapeError("base_weights: every weight must be >= 0 and their sum positive")
        if (self.sample_weight < 0).any() or self.sample_weight.sum() <= 0:
            raise TapeError("sample_weight: every weight must be >= 0 and their sum positive")

    def _check_shapes(self) -> None:
        for name in ("rule_exposure", "returns", "sample_weight"):
            if len(getattr(self, name)) != self.n_sessions:
                length = len(getattr(self, name))
                raise TapeError(f"{name}: {length} sessions, observations have {self.n_sessions}")
        if self.returns.shape[1] != len(self.base_weights):
            width = self.returns.shape[1]
            raise TapeError(f"returns: {width} instruments, base_weights has {len(self.base_weights)}")

    @property
    def n_sessions(self) -> int:
        """T."""
        return self.observations.shape[0]

    @property
    def base_returns(self) -> NDArray[np.float64]:
        """(T,) return of the base weights, that is of exposure 1."""
        return (self.returns * self.base_weights).sum(axis=1)
