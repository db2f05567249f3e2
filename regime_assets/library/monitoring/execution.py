"""How much was traded, and what trading cost against the plan, beside what the champion's own record led us to expect.

The plan is the paper portfolio: each weight is held from the close on which it was decided, at that close's price and
for nothing. What was served is filled a session later and pays for its turnover. The difference is the implementation
shortfall, here called slippage; the delay's part of it has either sign.

Reference: Perold (1988), "The implementation shortfall: paper versus reality".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.monitoring.calibration import block_days
from regime_assets.library.monitoring.performance import PerformanceSettings
from regime_assets.library.trading.scoring import FILL_DELAY, score
from regime_assets.library.trading.terms import Terms

COLUMNS = ("turnover", "slippage")


@dataclass(frozen=True)
class Execution:
    """Live trading beside the record's.

    Attributes:
        path: index = live sessions: turnover (notional traded one way, multiples of wealth) and slippage (return lost
            against the plan), summed, each with _low and _high of its predictive band.
        per_year: what turns a sum over the live sessions into one a year.
    """

    path: pd.DataFrame
    per_year: float

    @property
    def outside(self) -> tuple[str, ...]:
        """Which of the two lie outside their band at the end."""
        last = self.path.iloc[-1]
        return tuple(name for name in COLUMNS if not last[f"{name}_low"] <= last[name] <= last[f"{name}_high"])

    @property
    def figures(self) -> dict[str, float]:
        """What plots over partitions: both a year, with their bands."""
        return {f"{column}_per_year": float(self.path[column].iloc[-1]) * self.per_year for column in self.path.columns}


def traded(weights: NDArray[np.float64], returns: pd.DataFrame, cost: float | Terms) -> pd.DataFrame:
    """Turnover and slippage of each session from the first fill on.

    Args:
        weights: (T, N) decided on each session's close.
        returns: (T, N) simple returns, index = sessions.
        cost: one way, as a fraction of the traded notional, or the terms of the T sessions.
    """
    values = returns.to_numpy(np.float64)
    scored = score(weights, values, cost)
    if scored.cash is not None:
        values = values - scored.cash[:, None]  # what is left uninvested earns cash on paper as well
        scored = scored.over_cash
    paper = np.zeros(len(values))
    paper[1:] = (weights[:-1] * values[1:]).sum(axis=1)
    frame = pd.DataFrame({"turnover": scored.turnover, "slippage": paper - scored.net}, index=returns.index)
    return frame.iloc[FILL_DELAY:]


def execution(live: pd.DataFrame, record: pd.DataFrame, settings: PerformanceSettings, seed: int) -> Execution:
    """Live sums beside what as many sessions of the record give, drawn in blocks.

    Args:
        live: (n, 2) `COLUMNS` of what was served.
        record: (m, 2) of the champion's own out-of-sample record, before it.
        settings: block length, paths and band.
        seed: of the bootstrap.
    """
    days = block_days(len(record), len(live), settings.paths, settings.block_sessions, seed)
    path = pd.DataFrame(index=live.index)
    for name in COLUMNS:
        low, high = np.quantile(record[name].to_numpy(np.float64)[days].cumsum(axis=1), settings.band, axis=0)
        path[name], path[f"{name}_low"], path[f"{name}_high"] = live[name].cumsum(), low, high
    return Execution(path, settings.sessions_per_year / len(live))
