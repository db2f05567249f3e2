"""Small markets whose volatility clusters, for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd


def clustered_returns(sessions: int, symbols: int, seed: int) -> pd.DataFrame:
    """(sessions, symbols) returns: one factor and own noise under a common, slowly varying volatility."""
    generator = np.random.default_rng(seed)
    shocks = generator.normal(0, 0.1, sessions)
    level = np.zeros(sessions)
    for day in range(1, sessions):
        level[day] = 0.95 * level[day - 1] + shocks[day]
    factor = generator.normal(0, 0.008, (sessions, 1))
    noise = generator.normal(0, 0.012, (sessions, symbols))
    index = pd.bdate_range("2001-01-02", periods=sessions, name="session")
    columns = [f"S{number}" for number in range(symbols)]
    return pd.DataFrame(np.exp(level)[:, None] * (factor + noise), index=index, columns=columns)
