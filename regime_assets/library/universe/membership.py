"""Which symbols belong to a universe on which sessions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Membership:
    """First and last day of membership, by symbol.

    A listing is a symbol on these days: what traded under the same ticker before or after them is something else.

    Attributes:
        spans: (first, last) of each symbol that joins or leaves; one that is not named is always a member.
        absences: (first, last) of days on which a symbol has no price to read: halts, and what was held back.
    """

    spans: Mapping[str, tuple[date, date]] = field(default_factory=dict)
    absences: Mapping[str, tuple[tuple[date, date], ...]] = field(default_factory=dict)

    def without(self, absent: Iterable[tuple[str, date, date]]) -> Membership:
        """The same membership, with further (symbol, first, last) days of absence."""
        absences = dict(self.absences)
        for symbol, first, last in absent:
            absences[symbol] = (*absences.get(symbol, ()), (first, last))
        return replace(self, absences=absences)

    def span(self, symbol: str) -> tuple[date, date]:
        """The first and the last day on which `symbol` is a member."""
        return self.spans.get(symbol, (date.min, date.max))

    def members(self, symbols: Sequence[str], first: date, last: date) -> tuple[str, ...]:
        """Those of `symbols` that are members on some day of [first, last], in their order."""
        return tuple(
            symbol
            for symbol in symbols
            if self.span(symbol)[0] <= last
            and first <= self.span(symbol)[1]
            and not any(begin <= first and last <= end for begin, end in self.absences.get(symbol, ()))
        )

    def mask(self, symbols: Sequence[str], sessions: Sequence[date]) -> NDArray[np.bool_]:
        """Whether each symbol is a member on each session, shape (T, S)."""
        import numpy as np

        held = np.ones((len(sessions), len(symbols)), dtype=bool)
        for column, symbol in enumerate(symbols):
            if symbol in self.spans or symbol in self.absences:
                held[:, column] = self._within(symbol, np.array(sessions, dtype="datetime64[D]"))
        return held

    def of(self, bars: pd.DataFrame) -> pd.DataFrame:
        """The rows of `bars` (columns symbol and session) that are members' on their session."""
        import numpy as np

        days = bars["session"].to_numpy(dtype="datetime64[D]")
        kept = np.ones(len(bars), dtype=bool)
        for symbol in {*self.spans, *self.absences}:
            kept &= (bars["symbol"] != symbol).to_numpy() | self._within(symbol, days)
        return bars[kept]

    def _within(self, symbol: str, days: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        import numpy as np

        first, last = (np.datetime64(day) for day in self.span(symbol))
        within = (days >= first) & (days <= last)
        for begin, end in self.absences.get(symbol, ()):
            within &= (days < np.datetime64(begin)) | (days > np.datetime64(end))
        return within
