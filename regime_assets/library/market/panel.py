"""Bars as matrices, and what is ordinary for an instrument: the scale of its sessions and its share in the market's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.market.findings import Finding, Severity, found

Matrix = NDArray[np.float64]

ORDINARY_SESSIONS = 60
"""Sessions before the judged one from which its ordinary scale and its share in the market's moves are taken."""

FEWEST_RETURNS = 20
"""Returns below which a scale is not trusted."""

SMALLEST_SCALE, SCALE_OF_FEW = 0.004, 0.02
"""Log returns: no instrument is taken as calmer than the first, none of few returns as calmer than the second."""

LARGEST_SHARE = 4.0
"""Beta beyond which a fit over 60 sessions is not believed; leveraged funds of three times exist."""

FEWEST_OTHERS = 3
"""Other symbols whose median is a market."""

DEVIATIONS = 1.4826
"""Standard deviations of a normal variable in one median absolute deviation."""


@dataclass(frozen=True)
class Panel:
    """Bars as matrices of shape (T, S), T sessions ascending; NaN where there is no usable value.

    Attributes:
        symbols: the S symbols.
        sessions: the T sessions; the first `checked_from` are history and are not judged.
        checked_from: row of the first session that is judged.
        values: field → matrix; the fields that the source supplies.
        split: split ratio that goes ex, 1 where there is none.
        dividend: cash dividend that goes ex, 0 where there is none.
        previous: the last close before each row.
    """

    symbols: tuple[str, ...]
    sessions: tuple[date, ...]
    checked_from: int
    values: dict[str, Matrix]
    split: Matrix
    dividend: Matrix
    previous: Matrix

    @cached_property
    def growth(self) -> Matrix:
        """Gross total return over each session, after the known actions."""
        return (self.values["close"] + self.dividend) * self.split / self.previous

    @cached_property
    def moves(self) -> Matrix:
        """Log of `growth`."""
        return np.log(self.growth)

    def scale(self, row: int, column: int) -> float:
        """Standard deviation of an ordinary session's log return, from the median deviation of those before `row`."""
        past = self._past(row)[:, column]
        past = past[np.isfinite(past)]
        if not past.size:
            return SCALE_OF_FEW
        deviation = DEVIATIONS * float(np.median(np.abs(past - np.median(past))))
        return max(deviation, SMALLEST_SCALE if past.size >= FEWEST_RETURNS else SCALE_OF_FEW)

    def trend(self, row: int, column: int) -> float | None:
        """Log of the last close before `row` over the median of those of the sessions before; None with few of them."""
        past = self._past(row)[:, column]
        past = past[np.isfinite(past)]
        if past.size < FEWEST_RETURNS:
            return None
        path = np.cumsum(past)
        return float(path[-1] - np.median(path))

    def market_part(self, row: int, column: int) -> float:
        """What the median move of the other symbols explains of this one's; 0 with fewer than three others."""
        others = np.delete(np.vstack([self._past(row), self.moves[row : row + 1]]), column, axis=1)
        known = np.isfinite(others).sum(axis=1) >= FEWEST_OTHERS
        if not known[-1]:
            return 0.0
        market = np.full(len(others), np.nan)
        market[known] = np.nanmedian(others[known], axis=1)
        own = self._past(row)[:, column]
        both = np.isfinite(own) & np.isfinite(market[:-1])
        if both.sum() < FEWEST_RETURNS:
            return float(market[-1])
        variance = float(np.square(market[:-1][both]).mean())
        share = float((own[both] * market[:-1][both]).mean()) / variance if variance > 0.0 else 1.0
        return float(np.clip(share, -LARGEST_SHARE, LARGEST_SHARE)) * float(market[-1])

    def _past(self, row: int) -> Matrix:
        return self.moves[max(0, row - ORDINARY_SESSIONS) : row]

    def finding(
        self,
        row: int,
        column: int,
        rule: str,
        *,
        value: float,
        bound: str,
        field: str = "",
        severity: Severity = "warn",
        detail: str = "",
    ) -> Finding:
        """A finding about one cell."""
        symbol, session = self.symbols[column], self.sessions[row]
        return found(rule, severity, symbol, session, field=field, value=value, bound=bound, detail=detail)

    def cells(self, mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
        """Row and column of the judged cells in `mask`."""
        for row, column in np.argwhere(mask[self.checked_from :]):
            yield int(row) + self.checked_from, int(column)


def make_panel(
    bars: pd.DataFrame,
    symbols: Sequence[str],
    sessions: Sequence[date],
    fields: Sequence[str],
    *,
    history: pd.DataFrame | None,
    actions: pd.DataFrame,
) -> Panel:
    """The panel of `bars` on `sessions` behind the bars of `history`; of double bars the first one counts."""
    judged = sorted(sessions)
    past = pd.DataFrame(columns=bars.columns) if history is None else history
    if judged:
        past = past[pd.to_datetime(past["session"]) < pd.Timestamp(judged[0])]
    days = [day.date() for day in sorted(pd.to_datetime(past["session"]).unique())] + judged
    together = bars if past.empty else pd.concat([past, bars], ignore_index=True)
    together = together.drop_duplicates(["symbol", "session"])
    rows = pd.DatetimeIndex(days).get_indexer(pd.DatetimeIndex(together["session"]))
    columns = pd.Index(symbols).get_indexer(pd.Index(together["symbol"]))
    known = (rows >= 0) & (columns >= 0)
    shape = (len(days), len(symbols))
    values: dict[str, Matrix] = {}
    for field in fields:
        matrix = np.full(shape, np.nan)
        matrix[rows[known], columns[known]] = together[field].to_numpy(dtype="float64")[known]
        usable = np.isfinite(matrix) & (matrix >= 0.0 if field == "volume" else matrix > 0.0)
        values[field] = np.where(usable, matrix, np.nan)
    split, dividend = _action_matrices(actions, days, symbols)
    previous = np.full(shape, np.nan)
    previous[1:] = pd.DataFrame(values["close"]).ffill().to_numpy()[:-1]
    return Panel(tuple(symbols), tuple(days), len(days) - len(judged), values, split, dividend, previous)


def _action_matrices(actions: pd.DataFrame, days: Sequence[date], symbols: Sequence[str]) -> tuple[Matrix, Matrix]:
    split, dividend = np.ones((len(days), len(symbols))), np.zeros((len(days), len(symbols)))
    rows = pd.DatetimeIndex(list(days)).get_indexer(pd.DatetimeIndex(actions["ex_session"]))
    columns = pd.Index(symbols).get_indexer(pd.Index(actions["symbol"]))
    for row, column, kind, value in zip(rows, columns, actions["kind"], actions["value"], strict=True):
        if row < 0 or column < 0 or not (np.isfinite(value) and value > 0.0):
            continue
        if kind == "split":
            split[row, column] *= value
        else:
            dividend[row, column] += value
    return split, dividend
