"""Pictures of performance, and the one place to import every picture from.

Each function takes plain data and returns a drawing (`chart`): an SVG fragment of at most 60 KB that the report puts
inline and asset metadata shows as an image. The files beside this one hold the pictures of regimes, training and data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from regime_assets.library.report.chart import GRID, INK, MUTED, Chart
from regime_assets.library.report.figure_style import (
    days,
    drawn_over,
    markdown_picture,
    regime_colours,
    strategy_colour,
    thinned,
)
from regime_assets.library.report.figures_data import drift_bars, feature_heatmap, price_coverage
from regime_assets.library.report.figures_regimes import latent_map, regime_occupancy, regime_ribbon
from regime_assets.library.report.figures_training import loss_curves, reward_curves
from regime_assets.library.report.scales import Tick, number_ticks, percent

__all__ = [
    "Estimate",
    "drift_bars",
    "equity_and_drawdown",
    "estimates",
    "feature_heatmap",
    "latent_map",
    "loss_curves",
    "markdown_picture",
    "price_coverage",
    "regime_colours",
    "regime_occupancy",
    "regime_ribbon",
    "reward_curves",
    "rolling_sharpe_with_band",
    "weights_over_time",
]

MOST_INSTRUMENTS = 7  # drawn one by one; the smaller ones are summed
MOST_STEPS = 150  # of weights: more than can be told apart
NORMAL_90 = 1.645  # two-sided 90 % of a normal


class Estimate(NamedTuple):
    """A number and its interval."""

    value: float
    low: float
    high: float


def equity_and_drawdown(net: Mapping[str, pd.Series]) -> str:
    """Growth of 1 (logarithmic) over the drawdown, for strategies on their own sessions.

    Args:
        net: strategy name → net simple returns indexed by session; the first is the subject and drawn on top.
    """
    chart = Chart(4.7, (2.2, 1.0))
    growth, drawdown = chart.panels
    for position, (name, returns) in enumerate(net.items()):
        equity = (1.0 + returns.fillna(0.0)).cumprod()
        depth = equity / np.maximum(equity.cummax(), 1.0) - 1.0
        colour, width = strategy_colour(position), 1.9 if position == 0 else 1.1
        for panel, values in ((growth, equity), (drawdown, depth)):
            line = thinned(values)
            panel.line(days(line.index), line, colour, width, label=name, layer=10 - position)
        if position == 0:
            line = thinned(depth)
            drawdown.area(days(line.index), line, 0.0, colour, 0.12)
    under = drawn_over(net)
    growth.log_y, growth.heading = True, "growth of 1, net of costs, log scale" + (f"\n{under}" if under else "")
    growth.ys.append(1.0)
    drawdown.y_ticks, drawdown.heading = _percents, "drawdown"
    chart.legend_of = growth
    return chart.svg()


def rolling_sharpe_with_band(net: Mapping[str, pd.Series], window: int = 252, sessions_per_year: int = 252) -> str:
    """Rolling annualised Sharpe ratios; the first strategy with its pointwise 90 % band.

    The band is Lo's asymptotic standard error for independent returns, sqrt((1 + s**2 / 2) / window) with s the
    Sharpe ratio per session: what the width of the window alone leaves undecided.

    Args:
        net: strategy name → net simple returns indexed by session; the first is the subject.
        window: sessions in a window; sessions before the first full one are not drawn.
        sessions_per_year: for annualising (252 for exchanges, 365 for markets that never close).

    References:
        A. W. Lo, The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), 2002.
    """
    chart = Chart(2.6)
    panel = chart.panels[0]
    annual = np.sqrt(sessions_per_year)
    panel.level(0.0, MUTED)
    for position, (name, returns) in enumerate(net.items()):
        rolling = returns.rolling(window)
        deviation = rolling.std().where(lambda value: value > 1e-12)
        line = thinned((rolling.mean() / deviation).dropna())
        colour = strategy_colour(position)
        if position == 0:
            half = NORMAL_90 * np.sqrt((1.0 + 0.5 * line**2) / window)
            panel.area(days(line.index), (line - half) * annual, (line + half) * annual, colour, 0.15)
        width = 1.9 if position == 0 else 1.1
        panel.line(days(line.index), line * annual, colour, width, label=name, layer=10 - position)
    panel.heading = f"Sharpe ratio of the last {window} sessions, annualised; shaded: 90 % band"
    chart.legend_of = panel
    return chart.svg()


def weights_over_time(weights: pd.DataFrame) -> str:
    """Portfolio weights (T, N) indexed by session, stacked, with the total exposure as a line.

    Beyond a handful of instruments the largest are drawn one by one and the others as one; with short positions
    long and short weights are stacked away from zero in either direction.
    """
    chart = Chart(2.6)
    panel = chart.panels[0]
    order = weights.abs().mean().sort_values(ascending=False, kind="stable").index
    shown = weights[order[:MOST_INSTRUMENTS]].copy()
    if len(order) > MOST_INSTRUMENTS:
        others = weights[order[MOST_INSTRUMENTS:]]
        shown[f"{others.shape[1]} others"] = others.sum(axis=1)
    rows = np.unique(np.linspace(0, len(shown) - 1, min(len(shown), MOST_STEPS)).round().astype(int))
    shown, total = shown.iloc[rows], weights.sum(axis=1).iloc[rows]
    at = days(shown.index)
    above, below = np.zeros(len(at)), np.zeros(len(at))
    for position, name in enumerate(shown.columns):
        values = shown[name].to_numpy(dtype=float)
        long, short = np.maximum(values, 0.0), np.minimum(values, 0.0)
        colour = strategy_colour(position + 1) if position < MOST_INSTRUMENTS else GRID
        panel.area(at, above, above + long, colour, 0.75, label=str(name), step="post")
        if short.any():
            panel.area(at, below, below + short, colour, 0.75, step="post")
        above, below = above + long, below + short
    panel.line(at, total, INK, 1.1, label="net exposure", step="post")
    panel.y_ticks, panel.heading = _percents, "weights, share of capital"
    chart.legend_of = panel
    return chart.svg()


def estimates(values: Mapping[str, Estimate], title: str, colours: Mapping[str, str] | None = None) -> str:
    """Numbers and their intervals, one row each, against zero: what the data can and cannot tell apart.

    Args:
        values: name → estimate, drawn from top to bottom.
        title: what is estimated.
        colours: name → colour, where names have one elsewhere.
    """
    chart = Chart(0.7 + 0.3 * len(values), x_ticks=number_ticks)
    panel = chart.panels[0]
    panel.upright(0.0, MUTED, layer=-1)
    for position, (name, estimate) in enumerate(values.items()):
        colour = (colours or {}).get(name, strategy_colour(position))
        panel.line([estimate.low, estimate.high], [position, position], colour, 2.2, opacity=0.55)
        panel.dots([estimate.value], [position], colour, 6.0)
    panel.y_ticks = [(float(place), name) for place, name in enumerate(values)]
    panel.y_range, panel.x_margin = (len(values) - 0.5, -0.5), 0.05
    panel.grid, panel.names, panel.heading = "x", True, title
    return chart.svg()


def _percents(low: float, high: float) -> list[Tick]:
    return number_ticks(low, high, 4, percent)
