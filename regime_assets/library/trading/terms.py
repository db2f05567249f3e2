"""What trading and holding cost in a portfolio: costs by instrument, cash that earns, borrowing, shorting, a band.

A universe without a portfolio has one number, the cost of what is traded. With one, what is held drifts between two
decisions, and trades bring it back to the decided weights where it has drifted farther than a band.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Charges:
    """What N instruments cost to trade and to hold.

    Attributes:
        cost: (N,) one way, a fraction of the traded notional.
        borrowing: a session, over cash, on what is invested beyond the whole capital.
        shorting: a session, on the notional of what is sold short.
    """

    cost: Array
    borrowing: float
    shorting: float

    def carry(self, weights: Array) -> Array:
        """(...,) what holding weights (..., N) costs a session beyond cash: borrowing, and shorting."""
        beyond = np.maximum(weights.sum(axis=-1) - 1.0, 0.0)
        short = np.maximum(-weights, 0.0).sum(axis=-1)
        return self.borrowing * beyond + self.shorting * short

    def step(self, held: Array, before: Array, returns: Array) -> tuple[Array, Array, Array]:
        """Gross return, turnover and what is charged, each (E,), of weights (E, N) after others, on returns (E, N).

        Sums run over the instruments in a fixed order, so that a row does not depend on how many rows there are.
        """
        gross, turnover, charged = (np.zeros(len(held)) for _ in range(3))
        for n, cost in enumerate(self.cost.tolist()):
            traded = np.abs(held[:, n] - before[:, n])
            gross += held[:, n] * returns[:, n]
            turnover += traded
            charged += cost * traded
        return gross, turnover, charged + self.carry(held)


@dataclass(frozen=True, eq=False)
class Terms(Charges):
    """The terms of N instruments on T sessions.

    Attributes:
        sessions: (T,) that `cash` is of.
        cash: (T,) simple return of cash on each session.
        no_trade_band: difference of any weight to the decided one up to which nothing is traded.
        risk: (N,) whether an instrument counts as exposure; a refuge does not.
    """

    sessions: pd.DatetimeIndex
    cash: Array
    no_trade_band: float
    risk: NDArray[np.bool_]

    def on(self, sessions: pd.DatetimeIndex) -> Terms:
        """The terms on some of the sessions.

        Raises:
            KeyError: a session that the terms are not of.
        """
        rows = self.sessions.get_indexer(sessions)
        if (rows < 0).any():
            raise KeyError(f"no terms are known on {sessions[int(np.argmin(rows))]:%Y-%m-%d}")
        return replace(self, sessions=sessions, cash=self.cash[rows])

    def without_costs(self) -> Terms:
        """The same where trading costs nothing."""
        return replace(self, cost=np.zeros_like(self.cost))


def on(cost: float | Terms, sessions: pd.DatetimeIndex) -> float | Terms:
    """The terms on some sessions; one number for all instruments is the same on all of them."""
    return cost.on(sessions) if isinstance(cost, Terms) else cost


def without_costs(cost: float | Terms) -> float | Terms:
    """The same terms where trading costs nothing."""
    return cost.without_costs() if isinstance(cost, Terms) else 0.0
