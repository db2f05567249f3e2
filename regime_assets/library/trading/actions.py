"""What an action means: the settings of trading and the one map from actions to positions.

The training environment and the stored policy share this map, so that what is trained is what is served.
A position is what is held between two decisions: one exposure (a fraction of capital, spread by the base weights), or
one weight per instrument when the policy sets weights itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.sleeves import Sleeves

ActionKind = Literal["rule", "residual", "tilts", "exposure", "weights"]


@dataclass(frozen=True, eq=False)
class ActionMap:
    """From actions in [-1, 1] and the rule's exposure to positions and weights.

    An action of zero is the neutral position: the rule's exposure (`residual`), the rule's weights (`tilts`), the
    middle of the limits (`exposure`), the base weights (`weights`).

    Attributes:
        kind: what the action is; `rule` ignores it.
        base_weights: (N,) weights at exposure 1.
        sleeves: the refuge beside them and the limits of the portfolio; None where what is not held is cash.
        tilt_bound, lowest_exposure, highest_exposure, no_trade_band: see `TradingSettings`.
    """

    kind: ActionKind
    base_weights: NDArray[np.float64]
    tilt_bound: float = 0.5
    lowest_exposure: float = 0.0
    highest_exposure: float = 1.0
    no_trade_band: float = 0.0
    sleeves: Sleeves | None = None

    @classmethod
    def of(
        cls, settings: TradingSettings, base_weights: NDArray[np.float64], sleeves: Sleeves | None = None
    ) -> ActionMap:
        """The map that `settings` describe; a portfolio that may borrow or sell short widens the exposure's limits."""
        low, high = settings.lowest_exposure, settings.highest_exposure
        if sleeves is not None:
            low, high = min(low, -sleeves.shorts), max(high, sleeves.invested)
        return cls(settings.action, base_weights, settings.tilt_bound, low, high, settings.no_trade_band, sleeves)

    @property
    def per_instrument(self) -> bool:
        """Whether a position is one weight per instrument."""
        return self.kind in ("weights", "tilts")

    @property
    def from_rule(self) -> bool:
        """Whether an action moves the position away from the rule's, so that zero decides as the rule does."""
        return self.kind in ("residual", "tilts")

    @property
    def width(self) -> int:
        """P, the numbers in one position; also the numbers in one action."""
        return len(self.base_weights) if self.per_instrument else 1

    @property
    def unit_turnover(self) -> float:
        """Traded notional per unit of change in a position, where what is not held is cash."""
        return 1.0 if self.per_instrument else float(np.abs(self.base_weights).sum())

    def positions(self, actions: NDArray[np.floating], rule_exposure: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions (E, P) of actions (E, P), which are clipped to [-1, 1], at the rule's exposure (E,)."""
        # Minimum and maximum: `np.clip` costs a single session three times as much.
        action = np.minimum(np.maximum(actions.astype(np.float64), -1.0), 1.0)
        low, high = self.lowest_exposure, self.highest_exposure
        if self.per_instrument and self.sleeves is not None:
            if self.kind == "tilts":
                return self.sleeves.limited(self.at_rule(rule_exposure) + self.tilt_bound * action)
            return self.sleeves.limited((self.base_weights + self.sleeves.refuge) * (1.0 + action))
        if self.per_instrument:
            weights = self.base_weights * (1.0 + action)
            if self.kind == "tilts":
                rule = rule_exposure.astype(np.float64)[:, None] * self.base_weights
                weights = np.clip(rule + self.tilt_bound * action, low, high)
            # Row sums in a fixed order, so that a row does not depend on how many rows are mapped at once.
            total = np.zeros(len(weights))
            for column in weights.T:
                total += column
            return weights * (high / np.maximum(total, high))[:, None]
        if self.kind == "exposure":
            return low + (high - low) * 0.5 * (action + 1.0)
        rule = self._measured(rule_exposure)[:, None]
        tilt = self.tilt_bound * action if self.kind == "residual" else 0.0
        return np.minimum(np.maximum(rule + tilt, low), high)

    def settled(self, before: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is held (E, P) when `before` was held and `wanted` is wanted: the former within the no-trade band."""
        if self.no_trade_band == 0.0:
            return wanted
        moved = np.abs(wanted - before).max(axis=1, keepdims=True) > self.no_trade_band
        return np.where(moved, wanted, before)

    def held(self, before: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is held of wanted positions (T, P), one session after the other, when `before` (P,) was held."""
        band = self.no_trade_band
        if band == 0.0:
            return wanted
        if wanted.shape[1] == 1:  # a tenth of the time that arrays of one number take
            position, single = float(before[0]), list[float]()
            for value in wanted[:, 0].tolist():
                if abs(value - position) > band:
                    position = value
                single.append(position)
            return np.array(single)[:, None]
        held, position = np.empty_like(wanted), before
        for session, row in enumerate(wanted):
            if np.abs(row - position).max() > band:
                position = row
            held[session] = position
        return held

    def at_rule(self, rule_exposure: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions (E, P) of the rule itself at exposure (E,)."""
        rule = np.clip(self._measured(rule_exposure), self.lowest_exposure, self.highest_exposure)[:, None]
        return self._spread(rule) if self.per_instrument else rule

    def weights(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights (E, N) of positions (E, P)."""
        return positions if self.per_instrument else self._spread(positions)

    def exposure(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Exposure (E,) of weights (E, N): what is held of the risk instruments."""
        return weights.sum(axis=1) if self.sleeves is None else weights[:, self.sleeves.risk].sum(axis=1)

    def _measured(self, rule_exposure: NDArray[np.floating]) -> NDArray[np.float64]:
        """The rule's exposure as the portfolio measures it."""
        measured = rule_exposure.astype(np.float64)
        return measured if self.sleeves is None else self.sleeves.exposure_at(measured)

    def _spread(self, exposure: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights (E, N) of exposures (E, 1)."""
        base = self.base_weights
        return exposure * base if self.sleeves is None else self.sleeves.spread(exposure, base)
