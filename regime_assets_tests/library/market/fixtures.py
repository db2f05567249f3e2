"""Small answers of a source, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.market.sources.base import ACTION_COLUMNS, Fetched

WEEKDAYS = TradingCalendar(
    "weekdays",
    "America/New_York",
    tuple(day for n in range(800) if (day := date(2021, 1, 4) + timedelta(days=n)).weekday() < 5),
)
SESSIONS = WEEKDAYS.sessions(date(2022, 1, 3), date(2022, 1, 31))


def evening(session: date) -> datetime:
    """22:00 UTC: after New York's close, before the session's decision time."""
    return datetime(session.year, session.month, session.day, 22, tzinfo=UTC)


def bars(symbol: str, sessions: Sequence[date], closes: Sequence[float] | NDArray[np.floating[Any]]) -> pd.DataFrame:
    """Bars around the closes, high and low 1 % away."""
    close = pd.Series(closes, dtype="float64")
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": pd.to_datetime(list(sessions)),
            "open": close,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": 1000.0,
        }
    )


def actions(*rows: tuple[str, date, str, float]) -> pd.DataFrame:
    """Corporate actions as a source gives them."""
    frame = pd.DataFrame(list(rows), columns=list(ACTION_COLUMNS))
    return frame.assign(ex_session=pd.to_datetime(frame["ex_session"]))


def answer(*frames: pd.DataFrame, acts: pd.DataFrame | None = None) -> Fetched:
    """What a source would have answered."""
    return Fetched(pd.concat(frames, ignore_index=True), actions() if acts is None else acts, {})
