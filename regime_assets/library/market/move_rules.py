"""Rules on how a bar follows the bars before it: moves that cannot be, moves and copies that want a look."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from regime_assets.library.market.findings import Finding, QualitySettings, found
from regime_assets.library.market.panel import Panel


def impossible_moves(panel: Panel, settings: QualitySettings) -> Iterator[Finding]:
    """Rules `unit_jump` and `largest_move`: no listed instrument moves that far in a session, whatever the news."""
    growth = panel.growth
    with np.errstate(invalid="ignore"):
        beyond = (growth >= settings.largest_rise) | (growth <= settings.largest_fall)
    for row, column in panel.cells(beyond):
        value, before = float(panel.values["close"][row, column]), float(panel.previous[row, column])
        size = float(growth[row, column])
        factor = settings.unit_factor if size > 1.0 else 1.0 / settings.unit_factor
        times = f"{size:.4g} times" if size > 1.0 else f"1/{1.0 / size:.4g} of"
        detail = f"{times} the close before, after the known splits and dividends"
        if abs(np.log(size / factor)) <= np.log1p(settings.unit_tolerance):
            bound = f"the unit of the close before, {before:.6g}"
            yield panel.finding(
                row, column, "unit_jump", field="close", value=value, bound=bound, severity="error", detail=detail
            )
        else:
            bound = f"{before * settings.largest_fall:.6g} to {before * settings.largest_rise:.6g}"
            yield panel.finding(
                row, column, "largest_move", field="close", value=value, bound=bound, severity="error", detail=detail
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
            yield panel.finding(row, column, "outlier", value=value, bound=f"|return| <= {bound:.4f}")
        if row + 1 < len(panel.sessions):
            both = (1.0 + value) * (1.0 + float(returns[row + 1, column])) - 1.0
            if abs(both) < settings.reversal * abs(value):
                bound = f"a move that is not undone by the next session (both: {both:+.4f})"
                yield panel.finding(row, column, "spike_and_back", value=value, bound=bound)


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
        yield panel.finding(row, column, "stale", value=count, bound=f"fewer than {limit} identical bars in a row")
    untraded = repeated.copy()
    if "volume" in panel.values:
        close = panel.values["close"]
        untraded[1:] |= (close[1:] == close[:-1]) & (panel.values["volume"][1:] == 0.0)
    present = np.maximum(1, np.isfinite(panel.values["close"]).sum(axis=1))
    whole = 2 if "volume" in panel.values else settings.stale_fewest_closes
    for row in range(panel.checked_from, len(run)):
        for copied, least, fewest in (
            (repeated[row].sum(), settings.stale_share, whole),
            (untraded[row].sum(), settings.untraded_share, settings.stale_fewest_closes),
        ):
            share = float(copied / present[row])
            if copied >= fewest and share >= least:
                bound = f"less than {least:.0%} of the bars equal to the session before"
                yield found("stale_session", "error", "", panel.sessions[row], value=share, bound=bound)
                break


def zero_volumes(panel: Panel) -> Iterator[Finding]:
    """Rule `zero_volume`."""
    if "volume" in panel.values:
        for row, column in panel.cells(panel.values["volume"] == 0.0):
            yield panel.finding(row, column, "zero_volume", field="volume", value=0.0, bound="> 0")
