"""Decided weights in a table of decisions: a column an instrument while they are worked with, one column stored.

A table of decisions has a row a session. Beside the exposures of rule and policy it holds their weights, in columns
named `rule_weight:<symbol>` and `policy_weight:<symbol>`. Universes that share a stored table hold different
instruments, so there the weights of a row are one JSON object, `rule_weights` and `policy_weights`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Decider = Literal["rule", "policy", "shadow"]
DECIDERS: tuple[Decider, ...] = ("rule", "policy", "shadow")


class DecidedWeightsError(ValueError):
    """The decisions are about other instruments than those that are asked for."""


def weight_columns(weights: NDArray[np.float64], decider: Decider, symbols: Sequence[str]) -> dict[str, object]:
    """The columns of weights (T, N) that `decider` decided for `symbols` (N)."""
    return {f"{decider}_weight:{symbol}": weights[:, n] for n, symbol in enumerate(symbols)}


def weights_of(decisions: pd.DataFrame, decider: Decider, symbols: Sequence[str]) -> pd.DataFrame:
    """The weights (T, N) of a table of decisions, columns `symbols`.

    A row without weights was stored before they were: it held its exposure in equal parts.

    Raises:
        DecidedWeightsError: a row has weights of some of the symbols only, or of others.
    """
    prefix = f"{decider}_weight:"
    known = [column for column in decisions.columns if column.startswith(prefix)]
    found = decisions[known].rename(columns=lambda column: column.removeprefix(prefix))
    other = [symbol for symbol in found.columns if symbol not in symbols and found[symbol].notna().any()]
    if other:
        raise DecidedWeightsError(
            f"decisions hold {', '.join(other)}, which is not traded any more; what is traded makes another universe: "
            "give it another name"
        )
    weights = found.reindex(columns=list(symbols)).to_numpy(np.float64)
    stored = np.isfinite(weights).sum(axis=1)
    partial = np.flatnonzero((stored > 0) & (stored < len(symbols)))
    if len(partial):
        missing = [symbol for symbol, weight in zip(symbols, weights[partial[0]], strict=True) if np.isnan(weight)]
        raise DecidedWeightsError(
            f"the decision of {decisions.index[partial[0]]} has no weight of {', '.join(missing)}; what is traded "
            "makes another universe: give it another name"
        )
    equal_parts = decisions[f"{decider}_exposure"].to_numpy(np.float64)[:, None] / len(symbols)
    decided = np.where(stored[:, None] > 0, weights, equal_parts)
    return pd.DataFrame(decided, index=decisions.index, columns=list(symbols))


def packed(decisions: pd.DataFrame) -> pd.DataFrame:
    """The decisions with one JSON column of weights a decider, as they are stored."""
    kept = decisions[[column for column in decisions.columns if "_weight:" not in str(column)]].copy()
    for decider in DECIDERS:
        prefix = f"{decider}_weight:"
        columns = [column for column in decisions.columns if str(column).startswith(prefix)]
        if not columns:
            continue
        names = [str(column).removeprefix(prefix) for column in columns]
        rows = decisions[columns].to_numpy(np.float64).tolist()
        kept[f"{decider}_weights"] = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    return kept


def unpacked(stored: pd.DataFrame) -> pd.DataFrame:
    """The decisions that `packed` made, and those that were stored before weights were."""
    decisions = stored.drop(columns=[f"{decider}_weights" for decider in DECIDERS], errors="ignore")
    for decider in DECIDERS:
        if f"{decider}_weights" not in stored:
            continue
        texts = ["{}" if pd.isna(text) else text for text in stored[f"{decider}_weights"]]
        rows = json.loads(f"[{','.join(texts)}]")  # at once: a track is read some times a session, and grows with each
        symbols = list(dict.fromkeys(symbol for row in rows for symbol in row))
        weights = [[row.get(symbol, np.nan) for symbol in symbols] for row in rows]
        columns = [f"{decider}_weight:{symbol}" for symbol in symbols]
        table = pd.DataFrame(
            np.reshape(np.array(weights, np.float64), (len(rows), len(symbols))), stored.index, columns
        )
        decisions = decisions.join(table)
    return decisions
