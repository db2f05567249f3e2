"""Rules on how a bar follows the bars before it: jumps that are mistakes, moves and copies that want a look.

A jump blocks only when something besides its size speaks for a mistake, since shares do fall by half in a day. A
split leaves the turnover in cash as it was, a wrong unit leaves the volume in shares as it was, and neither moves
the rest of the market; a crash multiplies both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.market.findings import Finding, QualitySettings, Severity, found

Matrix = NDArray[np.float64]


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

    @property
    def growth(self) -> Matrix:
        """Gross total return over each session, after the known actions."""
        return (self.values["close"] + self.dividend) * self.split / self.previous

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


def jumps(panel: Panel, settings: QualitySettings) -> Iterator[Finding]:
    """Rules `unit_jump` and `unapplied_split`."""
    growth = panel.growth
    with np.errstate(invalid="ignore"):
        moved = np.abs(np.log(growth)) > np.log(min(settings.split_ratios)) - settings.split_tolerance
    for row, column in panel.cells(moved):
        size = float(growth[row, column])
        unit = _nearest(size, (settings.unit_factor,), settings.unit_tolerance)
        if unit is not None:
            usual = _usual(panel, row, column, settings, in_cash=False)
            calm = _others_calm(growth, row, column, settings)
            certain = unit > 1.0 or (calm if usual is None else usual)
            yield _jump(
                panel, (row, column), "unit_jump", ratio=unit, certain=certain, evidence="volume or market as usual"
            )
            continue
        declared = float(panel.split[row, column])
        ratios = settings.split_ratios if declared == 1.0 else (*settings.split_ratios, declared, 1.0 / declared)
        ratio = _nearest(size, ratios, settings.split_tolerance)
        if ratio is not None:
            usual = _usual(panel, row, column, settings, in_cash=True)
            certain = bool(usual) and _opened_there(panel, row, column, ratio, settings)
            yield _jump(
                panel,
                (row, column),
                "unapplied_split",
                ratio=ratio,
                certain=certain,
                evidence="turnover in cash as usual",
            )


def outliers(panel: Panel, settings: QualitySettings) -> Iterator[Finding]:
    """Rules `outlier` and `spike_and_back`."""
    returns = panel.growth - 1.0
    with np.errstate(invalid="ignore"):
        large = np.abs(returns) > settings.outlier_floor
    for row, column in panel.cells(large):
        value = float(returns[row, column])
        past = returns[max(0, row - settings.mad_sessions) : row, column]
        past = past[np.isfinite(past)]
        deviation = float(np.median(np.abs(past - np.median(past)))) if past.size else 0.0
        bound = max(settings.outlier_mad * deviation, settings.outlier_floor)
        if abs(value) > bound:
            yield _at(panel, row, column, "outlier", value=value, bound=f"|return| <= {bound:.4f}")
        if row + 1 < len(panel.sessions):
            both = (1.0 + value) * (1.0 + float(returns[row + 1, column])) - 1.0
            if abs(both) < settings.reversal * abs(value):
                bound = f"a move that is not undone by the next session (both: {both:+.4f})"
                yield _at(panel, row, column, "spike_and_back", value=value, bound=bound)


def copies(panel: Panel, settings: QualitySettings) -> Iterator[Finding]:
    """Rules `stale` and `stale_session`: bars that repeat the one before."""
    repeated = np.ones(panel.split.shape, dtype=bool)
    for matrix in panel.values.values():
        repeated[:1] = False
        repeated[1:] &= matrix[1:] == matrix[:-1]
    run = np.ones(repeated.shape, dtype=int)
    for row in range(1, len(run)):
        run[row] = np.where(repeated[row], run[row - 1] + 1, 1)
    limit = settings.stale_bars if "volume" in panel.values else settings.stale_closes
    for row, column in panel.cells(run >= limit):
        count = float(run[row, column])
        yield _at(panel, row, column, "stale", value=count, bound=f"fewer than {limit} identical bars in a row")
    present = np.isfinite(panel.values["close"]).sum(axis=1)
    for row in range(panel.checked_from, len(run)):
        share = repeated[row].sum() / max(1, present[row])
        if present[row] > 1 and share >= settings.stale_share:
            bound = f"less than {settings.stale_share:.0%} of the bars equal to the session before"
            yield found("stale_session", "error", "", panel.sessions[row], value=float(share), bound=bound)


def volumes_and_dividends(panel: Panel, settings: QualitySettings) -> Iterator[Finding]:
    """Rules `zero_volume` and `large_dividend`."""
    if "volume" in panel.values:
        for row, column in panel.cells(panel.values["volume"] == 0.0):
            yield _at(panel, row, column, "zero_volume", field="volume", value=0.0, bound="> 0")
    with np.errstate(invalid="ignore"):
        share = panel.dividend * panel.split / panel.previous
    for row, column in panel.cells(share > settings.large_dividend):
        bound = f"at most {settings.large_dividend:.0%} of the close before"
        value = float(share[row, column])
        yield _at(panel, row, column, "large_dividend", field="dividend", value=value, bound=bound)


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


def _nearest(size: float, ratios: Sequence[float], tolerance: float) -> float | None:
    """The ratio, or one over it, that `size` equals within `tolerance`; None when there is none."""
    either = np.array([*ratios, *(1.0 / ratio for ratio in ratios)])
    either = either[np.abs(np.log(either)) > 0.1]
    if not either.size:
        return None
    nearest = float(either[np.argmin(np.abs(np.log(size / either)))])
    return nearest if abs(np.log(size / nearest)) <= np.log1p(tolerance) else None


def _usual(panel: Panel, row: int, column: int, settings: QualitySettings, *, in_cash: bool) -> bool | None:
    """Whether the volume is no multiple of what it was before; None where there is no volume to compare."""
    if "volume" not in panel.values:
        return None
    amount = panel.values["volume"][:, column]
    if in_cash:
        amount = amount * panel.values["close"][:, column]
    past = amount[max(0, row - settings.volume_sessions) : row]
    past = past[np.isfinite(past) & (past > 0.0)]
    if not past.size or not np.isfinite(amount[row]):
        return None
    change = float(amount[row]) / float(np.median(past))
    return change <= settings.usual_volume


def _others_calm(growth: Matrix, row: int, column: int, settings: QualitySettings) -> bool:
    others = np.delete(growth[row], column)
    others = others[np.isfinite(others)]
    return others.size >= 2 and abs(float(np.median(others)) - 1.0) < settings.market_move


def _opened_there(panel: Panel, row: int, column: int, ratio: float, settings: QualitySettings) -> bool:
    """Whether the open was at the new level already; true where there is no open."""
    if "open" not in panel.values:
        return True
    opened = panel.values["open"][row, column] * panel.split[row, column] / panel.previous[row, column]
    return bool(abs(np.log(opened / ratio)) <= np.log1p(settings.split_tolerance))


def _jump(panel: Panel, cell: tuple[int, int], rule: str, *, ratio: float, certain: bool, evidence: str) -> Finding:
    row, column = cell
    times = f"{ratio:g} times" if ratio > 1.0 else f"1/{1.0 / ratio:g} of"
    detail = f"about {times} the close before; {evidence}: {'yes' if certain else 'no or unknown'}"
    severity: Severity = "error" if certain else "warn"
    value = float(panel.values["close"][row, column])
    bound = f"a level that follows from {panel.previous[row, column]:.6g}"
    return _at(panel, row, column, rule, field="close", value=value, bound=bound, severity=severity, detail=detail)


def _at(
    panel: Panel,
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
    symbol, session = panel.symbols[column], panel.sessions[row]
    return found(rule, severity, symbol, session, field=field, value=value, bound=bound, detail=detail)
