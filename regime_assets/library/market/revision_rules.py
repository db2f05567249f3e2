"""The rule on bars that a source gives otherwise than before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from regime_assets.library.market.bar_rules import PRICES
from regime_assets.library.market.findings import Finding, QualitySettings, found

COLUMNS = ("symbol", "session", "field", "before", "now")


def revised_prices(
    before: pd.DataFrame, now: pd.DataFrame, fields: Sequence[str], settings: QualitySettings
) -> pd.DataFrame:
    """The prices that moved by more than the threshold between two looks at the same bars.

    Volumes are left out: vendors count late trades for days, and no feature reads them.

    Args:
        before: columns symbol, session and `fields`; bars as they were.
        now: the same as they are.
        fields: the columns that the source supplies.
        settings: the threshold.

    Returns:
        Columns symbol, session, field, before, now; a row for each revised price.
    """
    both = before.merge(now, on=["symbol", "session"], suffixes=("_before", "_now"))
    frames: list[pd.DataFrame] = []
    for field in (name for name in PRICES if name in fields):
        was, is_now = both[f"{field}_before"].to_numpy(dtype="float64"), both[f"{field}_now"].to_numpy(dtype="float64")
        with np.errstate(invalid="ignore"):
            moved = np.abs(is_now - was) > settings.revision * np.abs(was)
        rows = both.loc[moved, ["symbol", "session"]]
        frames.append(rows.assign(field=field, before=was[moved], now=is_now[moved]))
    revised = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    return revised.sort_values(["session", "symbol", "field"], ignore_index=True)


def revisions(revised: pd.DataFrame, settings: QualitySettings) -> Iterator[Finding]:
    """Rule `revisions`: one finding for each revised price."""
    for symbol, session, field, before, now in revised[list(COLUMNS)].itertuples(index=False):
        bound = f"{before:.6g} as before, within {settings.revision:.3%}"
        yield found("revisions", "warn", symbol, session.date(), field=field, value=float(now), bound=bound)
