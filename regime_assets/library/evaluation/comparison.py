"""Strategies on the same sessions: what each earned, its figures, and its interval beside buy & hold."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.determinism import derive_seed
from regime_assets.library.evaluation.bootstrap import Interval, sharpe_difference, sharpe_interval
from regime_assets.library.evaluation.contenders import BUY_AND_HOLD, contenders
from regime_assets.library.evaluation.metrics import PerformanceSummary, summarise
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.trading.scoring import Scored, score
from regime_assets.library.trading.terms import Terms, on


@dataclass(frozen=True)
class Comparison:
    """One strategy on the out-of-sample sessions. Intervals are computed for who asks for them.

    The bootstrap's seed derives from the series themselves, so that the same record has the same interval in every
    report.

    Attributes:
        weights: (T, N) decided.
        scored: what they earned and cost.
        summary: every figure.
        reference: (T,) net returns of buy & hold over cash; None for buy & hold itself.
        sessions_per_year: what figures are annualised by.
    """

    name: str
    weights: pd.DataFrame
    scored: Scored
    summary: PerformanceSummary
    reference: NDArray[np.float64] | None
    sessions_per_year: float

    @cached_property
    def interval(self) -> Interval | None:
        """Of the Sharpe ratio; None where it cannot be had."""
        net = self.over_cash
        return sharpe_interval(net, _seed(net), periods_per_year=self.sessions_per_year)

    @cached_property
    def difference(self) -> Interval | None:
        """Paired, to buy & hold; None for buy & hold itself and where it cannot be had."""
        if self.reference is None:
            return None
        seed = _seed(self.over_cash, self.reference)
        return sharpe_difference(self.over_cash, self.reference, seed, periods_per_year=self.sessions_per_year)

    @property
    def net(self) -> pd.Series:
        """(T,) net returns by session."""
        return pd.Series(self.scored.net, index=self.weights.index)

    @property
    def over_cash(self) -> NDArray[np.float64]:
        """(T,) net returns over what cash earned."""
        return self.scored.over_cash.net


def compare(
    history: TrainingSet,
    track: pd.DataFrame,
    cost: float | Terms,
    sessions_per_year: float,
    *,
    only: Collection[str] | None = None,
) -> dict[str, Comparison]:
    """Every contender on the sessions of the track, by the one scorer, under the same costs and delay.

    Args:
        history: returns from the universe's start on.
        track: the out-of-sample decisions; index `session`.
        cost: one way, a fraction of what is traded, or the terms of the history's sessions.
        sessions_per_year: what figures are annualised by.
        only: the contenders that are wanted; all of them if None.
    """
    weights = contenders(history, track, sessions_per_year, only=only)
    returns = history.traded_returns.loc[track.index]
    terms = on(cost, pd.DatetimeIndex(track.index))
    scored = {name: score(w.to_numpy(), returns.to_numpy(), terms) for name, w in weights.items()}
    reference = scored[BUY_AND_HOLD].over_cash.net
    return {
        name: Comparison(
            name,
            weights[name],
            result,
            summarise(result, sessions_per_year),
            None if name == BUY_AND_HOLD else reference,
            sessions_per_year,
        )
        for name, result in scored.items()
    }


def _seed(*series: NDArray[np.float64]) -> int:
    """A seed that depends on the numbers alone."""
    return derive_seed(
        "bootstrap", *(hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest() for one in series)
    )
