"""How what is traded is spread over instruments, as a part of a design: roles, bounds, allocation, and its charges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.trading.allocation import Rule, allocate
from regime_assets.library.trading.sleeves import Sleeves
from regime_assets.library.trading.terms import Charges
from regime_assets.library.universe import Universe

Array = NDArray[np.float64]

FEWEST_SESSIONS = 40
"""Sessions of one regime below which its covariance is no measurement, and all of the window's newest are read."""


@dataclass(frozen=True)
class Portfolio:
    """What is held and how.

    Attributes:
        symbols: (N,) what is traded.
        refuges: those that are held when risk is off.
        least, most: (N,) bounds of an instrument's share of its sleeve.
        rule: by which each sleeve is spread.
        sessions: newest sessions that the rule reads.
        by_regime: whether the risk sleeve is measured in calm sessions and the refuge in turbulent ones.
        risk_on, risk_off: exposure in the calmest and the most turbulent regime.
        shorts: largest sum of what is sold short.
        invested: largest sum of all weights.
        charges: what trading and holding cost; no part of a design.
    """

    symbols: tuple[str, ...]
    refuges: tuple[str, ...]
    least: tuple[float, ...]
    most: tuple[float, ...]
    rule: Rule
    sessions: int
    by_regime: bool
    risk_on: float
    risk_off: float
    shorts: float
    invested: float
    charges: Charges

    @property
    def risk(self) -> NDArray[np.bool_]:
        """(N,) whether an instrument is a risk instrument."""
        return np.array([symbol not in self.refuges for symbol in self.symbols])

    def document(self) -> dict[str, Any]:
        """What the hash of a design is computed of: everything but the charges."""
        return {name: value for name, value in vars(self).items() if name != "charges"}

    def fitted(self, returns: Array, states: NDArray[np.int64]) -> tuple[Array, Sleeves]:
        """The risk sleeve (N,) and the refuge beside it.

        Args:
            returns: (T, N) of the window.
            states: (T,) regimes of its sessions, 0 the calmest.
        """
        base = self._sleeve(self.risk, returns, states == 0)
        refuge = self._sleeve(~self.risk, returns, states == states.max())
        most = np.array(self.most) * self.invested
        return base, Sleeves(refuge, self.risk, self.risk_on, self.risk_off, most, self.shorts, self.invested)

    def _sleeve(self, members: NDArray[np.bool_], returns: Array, inside: NDArray[np.bool_]) -> Array:
        weights = np.zeros(len(self.symbols))
        if members.any():
            own = inside & self.by_regime
            rows = np.flatnonzero(own) if own.sum() >= FEWEST_SESSIONS else np.arange(len(returns))
            seen = returns[rows[-self.sessions :]][:, members]
            weights[members] = allocate(self.rule, seen, np.array(self.least)[members], np.array(self.most)[members])
        return weights


def portfolio_of(universe: Universe) -> Portfolio | None:
    """The portfolio that a universe file describes; None where what is traded is held in equal parts at one cost."""
    chosen, held = universe.portfolio, universe.holdings
    if chosen is None:
        return None
    year = universe.sessions_per_year
    return Portfolio(
        symbols=universe.held,
        refuges=universe.refuges,
        least=tuple(one.least for one in held),
        most=tuple(one.most for one in held),
        rule=chosen.allocation,
        sessions=chosen.allocation_sessions,
        by_regime=chosen.by_regime,
        risk_on=chosen.risk_on,
        risk_off=chosen.risk_off,
        shorts=chosen.shorting.most if chosen.shorting else 0.0,
        invested=chosen.borrowing.most if chosen.borrowing else 1.0,
        charges=Charges(
            cost=np.array([universe.cost if one.cost_bp is None else one.cost_bp / 10_000 for one in held]),
            borrowing=chosen.borrowing.rate / year if chosen.borrowing else 0.0,
            shorting=chosen.shorting.rate / year if chosen.shorting else 0.0,
        ),
    )
