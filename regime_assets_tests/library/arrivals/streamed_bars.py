"""A universe of two files up to a Thursday, and bars that could arrive after it."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from regime_assets.library.home import Home
from regime_assets.library.steps.raw_prices import ingest
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace

LOADED, FRIDAY = date(2020, 6, 25), date(2020, 6, 26)
UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{root}/prices"}}}}
history_start: 2018-01-02
first_partition: 2020-03-16
symbols: [AAPL, MSFT]
{stream}
"""


def loaded_chain(root: Path, stream: str) -> Workspace:
    """The universe with the given `stream:` line, its files, and their bars in the store."""
    for folder in ("universes", "prices"):
        (root / folder).mkdir()
    (root / "universes" / "tiny.yaml").write_text(UNIVERSE.format(root=root, stream=stream))
    workspace = Workspace(load_universe(root / "universes" / "tiny.yaml"), Home(root / "home"))
    sessions = workspace.calendar.sessions(date(2018, 1, 2), LOADED)
    for number, symbol in enumerate(("AAPL", "MSFT")):
        steps = np.random.default_rng(number).normal(0.0, 0.01, len(sessions))
        rows = streamed(symbol, sessions, 100.0 * np.exp(np.cumsum(steps))).drop(columns="symbol")
        rows.to_csv(root / "prices" / f"{symbol}.csv", index=False)
    ingest(workspace, [LOADED], log=lambda _: None)
    return workspace


def streamed(symbol: str, sessions: tuple[date, ...], closes: np.ndarray) -> pd.DataFrame:
    """Bars around the given closes."""
    return pd.DataFrame(
        {
            "symbol": symbol,
            "session": [session.isoformat() for session in sessions],
            "open": closes,
            "high": closes * 1.01,
            "low": closes * 0.99,
            "close": closes,
            "volume": 1000.0 + np.arange(len(closes)),
        }
    )


def bar(workspace: Workspace, session: date = FRIDAY, move: float = 1.0, symbol: str = "AAPL") -> pd.DataFrame:
    """One bar, `move` times the last stored close."""
    return streamed(symbol, (session,), np.array([last_close(workspace, LOADED, symbol) * move]))


def last_close(workspace: Workspace, session: date, symbol: str = "AAPL") -> float:
    """The close of `session`, or the one before it."""
    bars = workspace.market.bars(session, LOADED, session, workspace.calendar, [symbol])
    return float(bars["close"].iloc[-1])
