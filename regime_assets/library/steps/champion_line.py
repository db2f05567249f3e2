"""What the champion's design decided on sessions that it had not seen: the record that a challenger is held against.

While the champion's design is refitted, that is its own out-of-sample track: the newest version that existed decided
each session. Once its refits have ended, the bundle that serves decides on, frozen; what lies after its own session
is out of sample for it as well.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd

from regime_assets.library.trading.decided import Decider, weights_of


def champion_weights(
    track: pd.DataFrame,
    frozen: Callable[[], pd.DataFrame],
    serves: Decider,
    symbols: tuple[str, ...],
    sessions: pd.DatetimeIndex,
    since: date,
) -> pd.DataFrame:
    """Weights (n, N) of the champion's line on the newest n of `sessions` on which it has decisions without a gap.

    Args:
        track: decisions of the champion's design, index = sessions.
        frozen: gives the decisions of its bundle on all of `sessions`; called only where the track leaves some open.
        serves: whether its policy or its rule decides.
        symbols: what is traded.
        sessions: those of the challenger's track.
        since: the session that the bundle was fitted on; its earlier decisions are in sample.
    """
    columns = list(symbols)
    found = pd.DataFrame(np.nan, index=sessions, columns=columns)
    if len(track):
        found = weights_of(track, serves, symbols).reindex(sessions)
    open_ones = found.isna().any(axis=1).to_numpy() & (sessions >= pd.Timestamp(since))
    if open_ones.any():
        found[open_ones] = weights_of(frozen(), serves, symbols).reindex(sessions)[open_ones]
    gaps = np.flatnonzero(found.isna().any(axis=1).to_numpy())
    return found.iloc[int(gaps[-1]) + 1 if len(gaps) else 0 :]
