"""Strategies on the same sessions: what each earned, its figures, and its interval beside buy & hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

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
    """One strategy on the out-of-sample sessions.

    Attributes:
        weights: (T, N) decided.
        scored: what they earned and cost.
        summary: every figure.
        interval: of the Sharpe ratio; None where it cannot be had.
        difference: paired, to buy & hold; None for buy & hold itself and where it cannot be had.
    """

    name: str
    weights: pd.DataFrame
    scored: Scored
    summary: PerformanceSummary
    interval: Interval | None
    difference: Interval | None

    @property
    def net(self) -> pd.Series:
        """(T,) net returns by session."""
        return pd.Series(self.scored.net, index=self.weights.index)

    @property
    def over_cash(self) -> NDArray[np.float64]:
        """(T,) net returns over what cash earned."""
        return self.scored.over_cash.net


def compare(
    history: TrainingSet, track: pd.DataFrame, cost: float | Terms, sessions_per_year: float
) -> dict[str, Comparison]:
    """Every contender on the sessions of the track, by the one scorer, under the same costs and delay.

    The bootstrap's seed derives from the series themselves, so that the same record has the same interval in every
    report.

    Args:
        history: returns from the universe's start on.
        track: the out-of-sample decisions; index `session`.
        cost: one way, a fraction of what is traded, or the terms of the history's sessions.
        sessions_per_year: what figures are annualised by.
    """
    weights = contenders(history, track, sessions_per_year)
    returns = history.traded_returns.loc[track.index]
    terms = on(cost, pd.DatetimeIndex(track.index))
    scored = {name: score(w.to_numpy(), returns.to_numpy(), terms) for name, w in weights.items()}
    reference = scored[BUY_AND_HOLD].over_cash.net
    comparisons: dict[str, Comparison] = {}
    for name, result in scored.items():
        paired, net = None, result.over_cash.net
        if name != BUY_AND_HOLD:
            paired = sharpe_difference(net, reference, _seed(net, reference), periods_per_year=sessions_per_year)
        interval = sharpe_interval(net, _seed(net), periods_per_year=sessions_per_year)
        summary = summarise(result, sessions_per_year)
        comparisons[name] = Comparison(name, weights[name], result, summary, interval, paired)
    return comparisons


def _seed(*series: NDArray[np.float64]) -> int:
    """A seed that depends on the numbers alone."""
    return derive_seed(
        "bootstrap", *(hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest() for one in series)
    )
