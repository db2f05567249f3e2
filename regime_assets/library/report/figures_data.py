"""Pictures of data: which bars there are, what the features look like, how far they have drifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regime_assets.library.report.figure_style import (
    CALM,
    GRID,
    INK,
    MUTED,
    TEXT_POINTS,
    TURBULENT,
    Form,
    dated,
    days,
    heading,
    panels,
    plain,
    rendered,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

MOST_ROWS = 24  # symbols or features with a label each
MOST_COLUMNS = 400
PRESENT = "#b9d0e6"  # a pale CALM: what is as it should be recedes
CLIP = 3.0  # robust standard deviations


def price_coverage(present: pd.DataFrame, *, form: Form = "png") -> bytes:
    """Which symbols (columns) have a bar at which sessions (rows): pale blue where they do, vermilion where not.

    Args:
        present: booleans by session and symbol. In a long history a cell stands for several sessions and takes the
            colour of a gap if any of them lacks its bar.
        form: "png" or "svg".

    Raises:
        TypeError: `present` holds something else than booleans, such as prices.
    """
    from matplotlib.colors import ListedColormap

    if not all(pd.api.types.is_bool_dtype(dtype) for dtype in present.dtypes):
        raise TypeError(f"present holds {sorted({str(t) for t in present.dtypes})}; booleans are needed")
    there = present.to_numpy(dtype=bool)
    whole = np.minimum.reduceat(there, _starts(len(there)), axis=0).T
    figure, (axes,) = panels(_height(len(whole)))
    _grid_of_cells(
        axes,
        present.index,
        whole.astype(float),
        present.columns,
        colours=ListedColormap([TURBULENT, PRESENT]),
        limits=(0.0, 1.0),
    )
    missing = int((~there).sum())
    heading(axes, f"{len(whole)} symbols, {len(there):,} sessions, {missing:,} bars missing")
    return rendered(figure, form)


def feature_heatmap(features: pd.DataFrame, *, form: Form = "png") -> bytes:
    """Features (T, F) by session, each in its own robust standard deviations around its median, clipped at three."""
    from matplotlib.colors import LinearSegmentedColormap

    values = features.to_numpy(dtype=float)
    centre = np.nanmedian(values, axis=0)
    scale = 1.4826 * np.nanmedian(np.abs(values - centre), axis=0)
    scaled = np.clip((values - centre) / np.where(scale > 0.0, scale, 1.0), -CLIP, CLIP)
    starts = _starts(len(scaled))
    cells = np.add.reduceat(scaled, starts, axis=0) / np.diff(np.r_[starts, len(scaled)])[:, None]
    figure, (axes,) = panels(_height(features.shape[1]) + 0.3)
    scale_of_colours = LinearSegmentedColormap.from_list("features", [CALM, "#f4f4f2", TURBULENT])
    _grid_of_cells(axes, features.index, cells.T, features.columns, colours=scale_of_colours, limits=(-CLIP, CLIP))
    bar = figure.colorbar(axes.collections[0], ax=axes, pad=0.015, aspect=30, ticks=[-CLIP, 0.0, CLIP])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=TEXT_POINTS - 1, labelcolor=MUTED, length=0)
    heading(axes, "robust standard deviations from the median")
    return rendered(figure, form)


def drift_bars(scores: Mapping[str, float], thresholds: Mapping[str, float] | float, *, form: Form = "png") -> bytes:
    """Each feature's drift score as a multiple of its threshold, the largest first; vermilion from the threshold on.

    Args:
        scores: feature → drift score, in any unit.
        thresholds: feature → alarm threshold in the same unit, or one for all; positive.
        form: "png" or "svg".
    """
    bounds = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(scores, float(thresholds))
    ratios = pd.Series({name: score / bounds[name] for name, score in scores.items()}, dtype=float)
    ratios = ratios.sort_values(ascending=False, kind="stable").iloc[:MOST_ROWS]
    figure, (axes,) = panels(0.6 + 0.24 * len(ratios))
    at = np.arange(len(ratios))
    axes.barh(at, ratios, height=0.66, color=[TURBULENT if ratio >= 1.0 else CALM for ratio in ratios])
    axes.axvline(1.0, color=INK, lw=1.1, ls=(0, (3, 2)))
    for position, (name, ratio) in enumerate(ratios.items()):
        axes.annotate(
            f"{scores[str(name)]:.3g}",
            (ratio, position),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=TEXT_POINTS - 1.5,
            color=MUTED,
        )
    axes.set_yticks(at, [plain(str(name)) for name in ratios.index])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(ratios) - 0.5, -0.5)
    axes.set_xlim(0.0, max(1.15, float(ratios.max()) * 1.12))
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    heading(axes, "drift score ÷ alarm threshold (scores beside the bars)")
    return rendered(figure, form)


def _starts(length: int) -> NDArray[np.intp]:
    """First rows of at most `MOST_COLUMNS` equal stretches."""
    return np.unique(np.linspace(0, length, min(length, MOST_COLUMNS), endpoint=False).astype(np.intp))


def _height(rows: int) -> float:
    return 0.75 + 0.17 * min(max(rows, 3), MOST_ROWS)


def _grid_of_cells(
    axes: Axes,
    sessions: pd.Index,
    cells: NDArray[np.floating],
    names: Sequence[object] | pd.Index,
    *,
    colours: Colormap,
    limits: tuple[float, float],
) -> None:
    """A grid of coloured cells (rows, columns) over time, with as many row labels as can be read."""
    at = days(sessions)[_starts(len(sessions))]
    edges = np.r_[at, days(sessions)[-1] + np.timedelta64(1, "D")]
    mesh = axes.pcolormesh(
        edges, np.arange(len(cells) + 1), cells, cmap=colours, vmin=limits[0], vmax=limits[1], rasterized=True
    )
    mesh.set_edgecolor("none")
    every = int(np.ceil(len(cells) / MOST_ROWS))
    rows = np.arange(len(cells))[::every]
    axes.set_yticks(rows + 0.5, [plain(str(names[row])) for row in rows])
    axes.set_ylim(len(cells), 0)
    axes.grid(visible=False)
    dated(axes)
