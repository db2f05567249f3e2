"""What fills cost beyond the closes that every backtest assumes, from the stored fills of the orders that were sent."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from regime_assets.library.brokers.order_log import OrderLog
from regime_assets.library.workspace import Workspace


def fill_shortfalls(workspace: Workspace, session: date) -> pd.Series:
    """Shortfall of each session's fills as a fraction of capital, by the session that a backtest books their cost on.

    Orders on the signal of session t are assumed to fill at the close of t + 1; their cost is booked with the return
    of t + 2. The orders are those of the account as a whole, that is of both horizons together: the same shortfall
    counts for each.

    Args:
        session: the newest one; fills whose booking lies after it are left out.
    """
    fills = OrderLog(workspace.database, workspace.universe.name).fills()
    calendar, costs = workspace.calendar, dict[pd.Timestamp, float]()
    for signal, rows in fills.groupby("session"):
        decided = pd.Timestamp(str(signal)).date()
        filled, booked = calendar.next(decided), calendar.next(decided, 2)
        if booked > session:
            continue
        symbols = [str(symbol) for symbol in rows["symbol"]]
        bars = workspace.market.bars(session, filled, filled, calendar, symbols).set_index("symbol")["close"]
        closes = bars.reindex(symbols).to_numpy(np.float64)
        paid = np.where(rows["side"] == "buy", 1.0, -1.0) * (rows["price"].to_numpy(np.float64) - closes)
        amount = float(np.nansum(paid * rows["shares"].to_numpy(np.float64)))
        costs[pd.Timestamp(booked)] = amount / float(rows["capital"].iloc[0])
    return pd.Series(costs, dtype=np.float64)
