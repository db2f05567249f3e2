"""What each instrument did beyond the others, lately: the features behind rotations, leads and lags.

As with all features, a row is computed from exactly the last `memory_sessions` returns in one fixed order.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd

from regime_assets.library.features.market_risk import RETURN_FLOOR, exponential_mean
from regime_assets.library.features.protocol import FeatureError, FeatureInputs
from regime_assets.library.features.settings import RelativeStrengthSettings


class RelativeStrength:
    """The component `relative_strength`."""

    Settings: ClassVar = RelativeStrengthSettings
    version: ClassVar[int] = 1

    @staticmethod
    def memory_sessions(settings: RelativeStrengthSettings) -> int:
        """Returns that a row is computed of."""
        return settings.memory_sessions

    @staticmethod
    def compute(inputs: FeatureInputs, settings: RelativeStrengthSettings) -> pd.DataFrame:
        """Exponential mean of each instrument's return beyond the cross-section's mean, in its own deviations.

        Returns:
            (T, S * H), columns `relative_strength_<half-life>:<symbol>`.

        Raises:
            FeatureError: a named symbol has no prices.
        """
        prices, memory = inputs.prices, settings.memory_sessions
        symbols = settings.symbols or tuple(str(column) for column in prices.columns)
        missing = [symbol for symbol in symbols if symbol not in prices.columns]
        if missing:
            raise FeatureError(f"relative_strength names {', '.join(missing)}, of which there are no prices")
        first, last = (int(row) for row in prices.index.get_indexer(inputs.sessions[[0, -1]]))
        kept = prices.iloc[first - memory : last + 1]
        closes = kept.to_numpy(np.float64)
        returns = closes[1:] / closes[:-1] - 1.0
        mean = np.nanmean(returns, axis=1)
        columns: dict[str, np.ndarray] = {}
        for symbol in symbols:
            excess = returns[:, list(kept.columns).index(symbol)] - mean
            deviation = np.sqrt(exponential_mean(np.square(excess), settings.deviation_half_life, memory))
            for half_life in settings.half_lives:
                strength = exponential_mean(excess, half_life, memory) / (deviation + RETURN_FLOOR)
                columns[f"relative_strength_{half_life}:{symbol}"] = strength
        return pd.DataFrame(columns, index=kept.index[memory:]).loc[inputs.sessions]
