"""A small market with two regimes that are known, as features and returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.encoders.settings import MlpVaeSettings

QUICK = MlpVaeSettings(
    sequence_length=3, hidden=(12,), n_latents=2, epochs=18, warm_up_epochs=4, steps_per_epoch=12, fine_tune_epochs=3
)


@dataclass(frozen=True)
class RegimeWindow:
    """T sessions: (T, 4) features, market returns, weights, and the regime that made them."""

    features: pd.DataFrame
    market_returns: NDArray[np.float64]
    sample_weight: NDArray[np.float64]
    truth: NDArray[np.int64]

    def first(self, n_sessions: int) -> RegimeWindow:
        return RegimeWindow(
            self.features.iloc[:n_sessions],
            self.market_returns[:n_sessions],
            self.sample_weight[:n_sessions],
            self.truth[:n_sessions],
        )


def regime_window(n_sessions: int = 400, seed: int = 0, run: int = 80) -> RegimeWindow:
    """Regimes that alternate every `run` sessions; features are smooth functions of volatility and trend."""
    draws = np.random.default_rng(seed)
    truth = (np.arange(n_sessions) // run) % 2
    volatility = np.where(truth == 1, 0.025, 0.007)
    returns = draws.normal(np.where(truth == 1, -0.002, 0.001), volatility)
    hidden = np.column_stack([truth, draws.normal(size=n_sessions)])
    mixing = np.array([[2.0, 1.5, -1.5, 0.5], [0.3, -0.4, 0.2, 1.0]])
    table = hidden @ mixing + 0.3 * draws.normal(size=(n_sessions, 4)) + [3.0, -5.0, 0.0, 100.0]
    sessions = pd.bdate_range("2018-01-01", periods=n_sessions, name="session")
    features = pd.DataFrame(table, sessions, ["volatility", "downside", "trend", "level"])
    return RegimeWindow(features, returns, np.ones(n_sessions), truth)
