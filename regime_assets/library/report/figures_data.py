"""Pictures of data: which bars there are, what the features look like, how far they have drifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.report.chart import INK, Chart, Panel
from regime_assets.library.report.figure_style import CALM, TURBULENT, blended, days
from regime_assets.library.report.scales import Tick, date_ticks, number_ticks

MOST_ROWS = 24  # symbols or features with a label each
MOST_COLUMNS = 390
PRESENT = "#b9d0e6"  # a pale CALM: what is as it should be recedes
USUAL = "#f4f4f2"
CLIP = 3.0  # robust standard deviations


def price_coverage(present: pd.DataFrame) -> str:
    """Which symbols (columns) have a bar at which sessions (rows): pale blue where they do, vermilion where not.

    Args:
        present: booleans by session and symbol. In a long history a cell stands for several sessions and takes the
            colour of a gap if any of them lacks its bar.

    Raises:
        TypeError: `present` holds something else than booleans, such as prices.
    """
    if not all(pd.api.types.is_bool_dtype(dtype) for dtype in present.dtypes):
        raise TypeError(f"present holds {sorted({str(t) for t in present.dtypes})}; booleans are needed")
    there = present.to_numpy(dtype=bool)
    whole = np.minimum.reduceat(there, _starts(len(there)), axis=0).T
    chart = _over_sessions(_height(len(whole)), present.index)
    _cells(chart.panels[0], blended((TURBULENT, PRESENT, PRESENT), whole.astype(float)), present.columns)
    missing = int((~there).sum())
    chart.panels[0].heading = f"{len(whole)} symbols, {len(there):,} sessions, {missing:,} bars missing"
    return chart.svg()


def feature_heatmap(features: pd.DataFrame) -> str:
    """Features (T, F) by session, each in its own robust standard deviations around its median, clipped at three."""
    values = features.to_numpy(dtype=float)
    centre = np.nanmedian(values, axis=0)
    scale = 1.4826 * np.nanmedian(np.abs(values - centre), axis=0)
    scaled = np.clip((values - centre) / np.where(scale > 0.0, scale, 1.0), -CLIP, CLIP)
    starts = _starts(len(scaled))
    cells = np.add.reduceat(scaled, starts, axis=0) / np.diff(np.r_[starts, len(scaled)])[:, None]
    chart = _over_sessions(_height(features.shape[1]) + 0.3, features.index)
    colours = blended((CALM, USUAL, TURBULENT), np.nan_to_num((cells.T + CLIP) / (2 * CLIP), nan=0.5))
    _cells(chart.panels[0], colours, features.columns)
    chart.panels[
        0
    ].heading = f"robust standard deviations from the median: blue {-CLIP:.0f}, white 0, red +{CLIP:.0f}".replace(
        "-", "−"
    )
    return chart.svg()


def drift_bars(scores: Mapping[str, float], thresholds: Mapping[str, float] | float) -> str:
    """Each feature's drift score as a multiple of its threshold, the largest first; vermilion from the threshold on.

    Args:
        scores: feature → drift score, in any unit.
        thresholds: feature → alarm threshold in the same unit, or one for all; positive.
    """
    bounds = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(scores, float(thresholds))
    ratios = pd.Series({name: score / bounds[name] for name, score in scores.items()}, dtype=float)
    ratios = ratios.sort_values(ascending=False, kind="stable").iloc[:MOST_ROWS]
    widest = max(1.15, float(ratios.max()) * 1.12)
    chart = Chart(0.6 + 0.24 * len(ratios), x_ticks=number_ticks(0.0, widest, 6))
    panel = chart.panels[0]
    for position, (name, ratio) in enumerate(ratios.items()):
        colour = TURBULENT if ratio >= 1.0 else CALM
        panel.boxes([(0.0, float(ratio))], [(position - 0.33, position + 0.33)], colour)
        panel.note(float(ratio), position, f"{scores[str(name)]:.3g}")
    panel.upright(1.0, INK, dash="30 20")
    panel.x_range = 0.0, widest
    _in_rows(panel, list(ratios.index))
    panel.grid, panel.heading = "x", "drift score ÷ alarm threshold (scores beside the bars)"
    return chart.svg()


def _in_rows(panel: Panel, names: Sequence[object]) -> None:
    """The y axis of one row a name, from top to bottom."""
    panel.y_range, panel.names = (len(names) - 0.5, -0.5), True
    panel.y_ticks = [(float(place), str(name)) for place, name in enumerate(names)]


def _starts(length: int) -> NDArray[np.intp]:
    """First rows of at most `MOST_COLUMNS` equal stretches."""
    return np.unique(np.linspace(0, length, min(length, MOST_COLUMNS), endpoint=False).astype(np.intp))


def _height(rows: int) -> float:
    return 0.75 + 0.17 * min(max(rows, 3), MOST_ROWS)


def _over_sessions(height: float, sessions: pd.Index) -> Chart:
    """A drawing whose x axis counts sessions, each as wide as the next, and says dates."""
    at = days(sessions)
    dates: list[Tick] = [
        (float(np.searchsorted(at, day)), text) for day, text in date_ticks(float(at[0]), float(at[-1]))
    ]
    chart = Chart(height, x_ticks=dates)
    chart.panels[0].x_range = 0.0, float(len(at))
    return chart


def _cells(panel: Panel, colours: NDArray[np.uint8], names: pd.Index) -> None:
    """A grid of coloured cells (rows, columns, 3), with as many row labels as can be read."""
    rows = len(colours)
    panel.cells(colours)
    every = int(np.ceil(rows / MOST_ROWS))
    panel.y_range, panel.grid = (float(rows), 0.0), ""
    panel.y_ticks = [(row + 0.5, str(names[row])) for row in range(0, rows, every)]
