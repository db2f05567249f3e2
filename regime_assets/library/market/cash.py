"""What cash earns, session by session: a constant rate, or a series of `macro` as known on the session before."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.market.fact_features import fact_features
from regime_assets.library.market.fact_store import FactsStore
from regime_assets.library.market.sources.fred import LEVEL

if TYPE_CHECKING:
    import pandas as pd

    from regime_assets.library.database import Database
    from regime_assets.library.market.calendar import TradingCalendar
    from regime_assets.library.universe import Universe


class OnSessions(Protocol):
    """A table of sessions."""

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """(T,) ascending."""
        ...


def cash_returns(
    universe: Universe, database: Database, calendar: TradingCalendar, as_of: date, table: OnSessions
) -> NDArray[np.float64] | None:
    """(T,) simple return of cash on each session of a table; None where it earns nothing.

    The rate of a session is the one that was known at the decision time of the session before: what is earned over a
    night is agreed on before it. Of the first session it is its own.

    Raises:
        FactFeatureError: the series has no value that was known on the first session.
    """
    chosen = universe.portfolio.cash if universe.portfolio else None
    if chosen is None:
        return None
    year = universe.sessions_per_year
    if chosen.series is None or universe.macro is None:
        return np.full(len(table.sessions), (chosen.rate or 0.0) / year)
    store = FactsStore(database, universe.name, universe.macro.kind)
    days = [moment.date() for moment in table.sessions]
    known = fact_features(store, calendar, as_of, days, {"cash": [(chosen.series, LEVEL)]})["cash"].to_numpy(np.float64)
    return np.concatenate([known[:1], known[:-1]]) / 100.0 / year
