"""Total-return adjustment: closes as traded and corporate actions in, comparable closes out.

Every close before an ex session e is multiplied by

    P / (P + d) / r

where r is the split ratio (new shares for one old) that goes ex on e, d the cash dividend per share as traded on
e, and P the close as traded on e, or on the first session after e that has one. The newest close keeps its value.
The adjusted return over e is thereby what a holder earned, (P + d) r / P[e-1] - 1: the total return of CRSP.

Yahoo multiplies by (1 - d r / P[e-1]) / r instead, which takes the dividend as reinvested before the session's
move. The two returns over e differ by the yield times the session's move, about 1e-4 for 1 % and 1 %.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Action(NamedTuple):
    """One corporate action.

    Attributes:
        symbol: the listing.
        ex_session: first session on which the share trades without the right.
        kind: "split" or "dividend".
        value: new shares for one old, or cash per share as traded on `ex_session`.
    """

    symbol: str
    ex_session: date
    kind: str
    value: float


class AdjustmentError(Exception):
    """A corporate action that no price history can be adjusted by."""


def adjustment_factors(
    closes: NDArray[np.float64], sessions: list[date], symbols: list[str], actions: Iterable[Action]
) -> NDArray[np.float64]:
    """What each close as traded is to be multiplied by.

    Args:
        closes: closes as traded, shape (T, S), NaN where there is no bar.
        sessions: the T sessions, ascending.
        symbols: the S symbols.
        actions: actions of these symbols in any order. One without a close on both sides has no effect: nothing
            is compared over it.

    Returns:
        Factors of shape (T, S); 1 from the last ex session on.

    Raises:
        AdjustmentError: a value that is not positive, or an unknown kind.

    Examples:
        A split of two for one before the third session, and nothing else:

        >>> days = [date(2024, 6, day) for day in (5, 6, 7)]
        >>> closes = np.array([[100.0], [102.0], [51.0]])
        >>> (closes * adjustment_factors(closes, days, ["KO"], [Action("KO", days[2], "split", 2.0)])).ravel().tolist()
        [50.0, 51.0, 51.0]
    """
    columns = {symbol: column for column, symbol in enumerate(symbols)}
    steps: NDArray[np.float64] = np.ones((len(sessions) + 1, len(symbols)))  # steps[k] scales the rows before k
    for (symbol, ex_session), (ratio, dividend) in _by_ex_session(actions).items():
        column, row = columns[symbol], bisect.bisect_left(sessions, ex_session)
        while row < len(sessions) and not math.isfinite(closes[row, column]):
            row += 1  # no bar on the ex session, as in a halt: the next one settles it
        if row < len(sessions):
            close = float(closes[row, column])
            steps[row, column] *= close / (close + dividend) / ratio
    return np.multiply.accumulate(steps[:0:-1], axis=0)[::-1]


def _by_ex_session(actions: Iterable[Action]) -> dict[tuple[str, date], tuple[float, float]]:
    """Split ratio and dividend of each (symbol, ex session); what goes ex together is applied together."""
    combined: dict[tuple[str, date], tuple[float, float]] = {}
    for action in sorted(actions):
        key = (action.symbol, action.ex_session)
        ratio, dividend = combined.get(key, (1.0, 0.0))
        if not math.isfinite(action.value) or action.value <= 0.0:
            raise AdjustmentError(
                f"{action.symbol} {action.ex_session}: {action.kind} of {action.value} is not positive"
            )
        if action.kind == "split":
            combined[key] = (ratio * action.value, dividend)
        elif action.kind == "dividend":
            combined[key] = (ratio, dividend + action.value)
        else:
            raise AdjustmentError(f"{action.symbol} {action.ex_session}: unknown kind of action {action.kind!r}")
    return combined
