"""Strategies on the same sessions: what each earned, its figures, and its interval beside buy & hold."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from regime_assets.library.evaluation.bootstrap import Interval, sharpe_difference, sharpe_interval
from regime_assets.library.evaluation.contenders import BUY_AND_HOLD, contenders
from regime_assets.library.evaluation.metrics import PerformanceSummary, summarise
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.trading.scoring import Scored, score


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


def compare(
    history: TrainingSet, track: pd.DataFrame, seed: int, cost: float, sessions_per_year: float
) -> dict[str, Comparison]:
    """Every contender on the sessions of the track, by the one scorer, under the same costs and delay.

    Args:
        history: returns from the universe's start on.
        track: the out-of-sample decisions; index `session`.
        seed: of the bootstrap.
        cost: one way, a fraction of what is traded.
        sessions_per_year: what figures are annualised by.
    """
    weights = contenders(history, track)
    returns = history.traded_returns.loc[track.index]
    scored = {name: score(w.to_numpy(), returns.to_numpy(), cost) for name, w in weights.items()}
    reference = scored[BUY_AND_HOLD].net
    comparisons: dict[str, Comparison] = {}
    for name, result in scored.items():
        paired = None
        if name != BUY_AND_HOLD:
            paired = sharpe_difference(result.net, reference, seed, periods_per_year=sessions_per_year)
        interval = sharpe_interval(result.net, seed, periods_per_year=sessions_per_year)
        summary = summarise(result, sessions_per_year)
        comparisons[name] = Comparison(name, weights[name], result, summary, interval, paired)
    return comparisons
