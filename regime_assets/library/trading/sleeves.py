"""A portfolio in two sleeves: what is held when risk is on, and the refuge that is held when it is off.

Exposure is the share of capital in the risk sleeve; what it leaves of the capital is in the refuge, or in cash where
there is none. Sleeves are fitted with the policy, from returns up to its own session, and stored in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sleeves:
    """The refuge beside a risk sleeve, and the limits of all N weights.

    Attributes:
        refuge: (N,) weights of the whole refuge, zero for the risk instruments; all zero where there is no refuge.
        risk: (N,) whether an instrument is a risk instrument.
        risk_on, risk_off: exposure in the calmest and in the most turbulent regime.
        most: (N,) largest weight of each instrument.
        shorts: largest sum of what is sold short.
        invested: largest sum of all weights.
    """

    refuge: Array
    risk: NDArray[np.bool_]
    risk_on: float
    risk_off: float
    most: Array
    shorts: float
    invested: float

    @property
    def least(self) -> Array:
        """(N,) smallest weight of each instrument."""
        return np.where(self.risk, -self.shorts, 0.0)

    def exposure_at(self, rule_exposure: Array) -> Array:
        """Exposure (E,) at the regime's own measure (E,), which is 1 in the calmest regime and 0 in the worst."""
        return self.risk_off + (self.risk_on - self.risk_off) * rule_exposure

    def spread(self, exposure: Array, risk_sleeve: Array) -> Array:
        """Weights (E, N) of exposures (E, 1): the risk sleeve, and the refuge with what it leaves of the capital."""
        return exposure * risk_sleeve + np.clip(1.0 - exposure, 0.0, 1.0) * self.refuge

    def limited(self, weights: Array) -> Array:
        """Weights (E, N) within the limits: of each instrument, of what is sold short, of what is invested."""
        weights = np.clip(weights, self.least, self.most)
        short = _row_sums(np.maximum(-weights, 0.0))
        if self.shorts > 0.0:
            shrink = (self.shorts / np.maximum(short, self.shorts))[:, None]
            weights = np.where(weights < 0.0, weights * shrink, weights)
        total = _row_sums(weights)
        return weights * (self.invested / np.maximum(total, self.invested))[:, None]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The sleeves as arrays."""
        limits = np.array([self.risk_on, self.risk_off, self.shorts, self.invested])
        return {"refuge": self.refuge, "risk": self.risk, "most": self.most, "limits": limits}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The sleeves that `to_arrays` took apart."""
        on, off, shorts, invested = (float(value) for value in arrays["limits"])
        return cls(arrays["refuge"], arrays["risk"].astype(bool), on, off, arrays["most"], shorts, invested)


def _row_sums(weights: Array) -> Array:
    """Row sums in a fixed order, so that a row does not depend on how many rows are mapped at once."""
    total = np.zeros(len(weights))
    for column in weights.T:
        total += column
    return total
