"""Pictures of performance, and the one place to import every picture from.

Each function takes plain data and returns bytes: by default a PNG of at most 60 KB for asset metadata, with
`form="svg"` a fragment for the report's page. The files beside this one hold the pictures of regimes, training
and data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from regime_assets.library.report.figure_style import (
    GRID,
    INK,
    MUTED,
    TEXT_POINTS,
    Form,
    dated,
    days,
    drawn_over,
    heading,
    legend,
    logarithmic,
    markdown_picture,
    panels,
    plain,
    regime_colours,
    rendered,
    strategy_colour,
    thinned,
)
from regime_assets.library.report.figures_data import drift_bars, feature_heatmap, price_coverage
from regime_assets.library.report.figures_regimes import latent_map, regime_occupancy, regime_ribbon
from regime_assets.library.report.figures_training import loss_curves, reward_curves

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
MOST_STEPS = 300  # of weights: more than can be told apart
NORMAL_90 = 1.645  # two-sided 90 % of a normal


class Estimate(NamedTuple):
    """A number and its interval."""

    value: float
    low: float
    high: float


def equity_and_drawdown(net: Mapping[str, pd.Series], *, form: Form = "png") -> bytes:
    """Growth of 1 (logarithmic) over the drawdown, for strategies on their own sessions.

    Args:
        net: strategy name → net simple returns indexed by session; the first is the subject and drawn on top.
        form: "png" or "svg".
    """
    from matplotlib.ticker import FuncFormatter

    figure, (growth, drawdown) = panels(4.7, (2.2, 1.0))
    extremes = 1.0, 1.0
    for position, (name, returns) in enumerate(net.items()):
        equity = (1.0 + returns.fillna(0.0)).cumprod()
        extremes = min(extremes[0], float(equity.min())), max(extremes[1], float(equity.max()))
        depth = equity / np.maximum(equity.cummax(), 1.0) - 1.0
        colour, width = strategy_colour(position), 1.9 if position == 0 else 1.1
        for axes, values in ((growth, equity), (drawdown, depth)):
            line = thinned(values)
            axes.plot(days(line.index), line, label=plain(name), color=colour, lw=width, zorder=10 - position)
        if position == 0:
            line = thinned(depth)
            drawdown.fill_between(days(line.index), line, 0.0, color=colour, alpha=0.12, lw=0)
    logarithmic(growth, *extremes)
    drawdown.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    under = drawn_over(net)
    heading(growth, "growth of 1, net of costs, log scale" + (f"\n{under}" if under else ""))
    heading(drawdown, "drawdown")
    dated(drawdown)
    legend(figure, growth)
    return rendered(figure, form)


def rolling_sharpe_with_band(
    net: Mapping[str, pd.Series], window: int = 252, sessions_per_year: int = 252, *, form: Form = "png"
) -> bytes:
    """Rolling annualised Sharpe ratios; the first strategy with its pointwise 90 % band.

    The band is Lo's asymptotic standard error for independent returns, sqrt((1 + s**2 / 2) / window) with s the
    Sharpe ratio per session: what the width of the window alone leaves undecided.

    Args:
        net: strategy name → net simple returns indexed by session; the first is the subject.
        window: sessions in a window; sessions before the first full one are not drawn.
        sessions_per_year: for annualising (252 for exchanges, 365 for markets that never close).
        form: "png" or "svg".

    References:
        A. W. Lo, The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), 2002.
    """
    figure, (axes,) = panels(2.6)
    annual = np.sqrt(sessions_per_year)
    axes.axhline(0.0, color=MUTED, linewidth=0.9)
    for position, (name, returns) in enumerate(net.items()):
        rolling = returns.rolling(window)
        deviation = rolling.std().where(lambda value: value > 1e-12)
        per_session = (rolling.mean() / deviation).dropna()
        colour = strategy_colour(position)
        line = thinned(per_session)
        if position == 0:
            half = NORMAL_90 * np.sqrt((1.0 + 0.5 * line**2) / window)
            low, high = (line - half) * annual, (line + half) * annual
            axes.fill_between(days(line.index), low, high, color=colour, alpha=0.15, lw=0)
        width = 1.9 if position == 0 else 1.1
        axes.plot(
            days(line.index),
            line * annual,
            color=colour,
            lw=width,
            label=plain(name),
            zorder=10 - position,
        )
    heading(axes, f"Sharpe ratio of the last {window} sessions, annualised; shaded: 90 % band")
    dated(axes)
    legend(figure, axes)
    return rendered(figure, form)


def weights_over_time(weights: pd.DataFrame, *, form: Form = "png") -> bytes:
    """Portfolio weights (T, N) indexed by session, stacked, with the total exposure as a line.

    Beyond a handful of instruments the largest are drawn one by one and the others as one; with short positions
    long and short weights are stacked away from zero in either direction.
    """
    from matplotlib.ticker import FuncFormatter

    figure, (axes,) = panels(2.6)
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
        axes.fill_between(at, above, above + long, step="post", color=colour, alpha=0.75, lw=0, label=plain(str(name)))
        if short.any():
            axes.fill_between(at, below, below + short, step="post", color=colour, alpha=0.75, lw=0)
        above, below = above + long, below + short
    axes.step(at, total, where="post", color=INK, lw=1.1, label="net exposure")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    heading(axes, "weights, share of capital")
    dated(axes)
    legend(figure, axes, columns=4)
    return rendered(figure, form)


def estimates(
    values: Mapping[str, Estimate],
    title: str,
    colours: Mapping[str, str] | None = None,
    *,
    form: Form = "png",
) -> bytes:
    """Numbers and their intervals, one row each, against zero: what the data can and cannot tell apart.

    Args:
        values: name → estimate, drawn from top to bottom.
        title: what is estimated.
        colours: name → colour, where names have one elsewhere.
        form: "png" or "svg".
    """
    figure, (axes,) = panels(0.7 + 0.3 * len(values))
    axes.axvline(0.0, color=MUTED, linewidth=0.9)
    for position, (name, estimate) in enumerate(values.items()):
        colour = (colours or {}).get(name, strategy_colour(position))
        axes.plot([estimate.low, estimate.high], [position, position], color=colour, lw=2.2, alpha=0.55)
        axes.plot(estimate.value, position, "o", color=colour, ms=6)
    axes.set_yticks(range(len(values)), [plain(name) for name in values])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=TEXT_POINTS)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.margins(x=0.05)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    heading(axes, title)
    return rendered(figure, form)
