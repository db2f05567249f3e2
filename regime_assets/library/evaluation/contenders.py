"""What a report compares: the learned policy, its regime rule and the baselines, as weights on the same sessions.

Baselines decide from the whole known history. The fitted ones have a model on the first session of the track where 200
sessions precede it. Where a refuge is traded, what times the market holds the refuge in the place of cash, as the rule
does, and fixed mixes of risk and refuge stand beside them.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from regime_assets.library.evaluation.baselines import (
    BUY_AND_HOLD,
    BaselineSettings,
    baselines,
    buy_and_hold,
    fixed_mixes,
)
from regime_assets.library.evaluation.metrics import SESSIONS_PER_YEAR
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.trading.decided import weights_of

__all__ = ["BUY_AND_HOLD", "OWN", "POLICY", "RULE", "contenders"]

POLICY = "learned policy"
RULE = "regime rule"
OWN = frozenset({POLICY, RULE, BUY_AND_HOLD})
"""What a session's verdict rests on; the other baselines stand beside them in reports."""


def contenders(
    history: TrainingSet,
    track: pd.DataFrame,
    sessions_per_year: float = SESSIONS_PER_YEAR,
    *,
    only: Collection[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Weights (T, N) decided on the track's sessions, by contender.

    Args:
        history: returns from the universe's start on.
        track: the out-of-sample decisions; index `session`.
        sessions_per_year: of the universe's calendar.
        only: those that are wanted, buy & hold among them: without another baseline none is fitted. All if None.
    """
    symbols = [str(symbol) for symbol in history.traded_returns.columns]
    base = history.base_weights
    decided = {
        POLICY: weights_of(track, "policy", symbols).to_numpy(),
        RULE: weights_of(track, "rule", symbols).to_numpy(),
    }
    rows = history.sessions.get_indexer(pd.DatetimeIndex(track.index))
    returns = history.traded_returns.to_numpy()
    refuge = history.refuge_weights
    if only is not None and set(only) <= OWN:
        decided[BUY_AND_HOLD] = buy_and_hold(len(track), base)
        return {name: pd.DataFrame(decided[name], track.index, symbols) for name in only}
    settings = BaselineSettings(sessions_per_year=sessions_per_year)
    for name, weights in baselines(returns, base, int(rows[0]), settings, refuge).items():
        decided[name] = weights[rows]
    if refuge is not None:
        for name, weights in fixed_mixes(returns[rows], base, refuge).items():
            decided[name] = weights
    return {
        name: pd.DataFrame(weights, index=track.index, columns=symbols)
        for name, weights in decided.items()
        if only is None or name in only
    }
