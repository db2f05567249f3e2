"""Pictures of regimes: where they lie in latent space, when they held, and how often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.report.chart import INK, Chart, Panel
from regime_assets.library.report.figure_style import days, regime_colours, thinned
from regime_assets.library.report.scales import number_ticks, percent

MOST_DOTS = 2000
MOST_STEPS = 300


def latent_map(latents: NDArray[np.floating], states: NDArray[np.integer], names: Sequence[str]) -> str:
    """Latents (T, L) in the plane of their two largest principal axes, coloured by state (T,); the newest is ringed.

    Two latents are drawn as they are, one against time; of long histories the newest sessions are drawn.
    """
    latents, states = latents[-MOST_DOTS:], states[-MOST_DOTS:]
    plane, labels = _plane(np.asarray(latents, dtype=float))
    chart = Chart(3.2, x_ticks=number_ticks, x_label=labels[0])
    panel = chart.panels[0]
    panel.grid, panel.x_margin = "xy", 0.05
    for state, (name, colour) in enumerate(zip(names, regime_colours(len(names)), strict=True)):
        held = states == state
        label = f"{name} ({held.mean():.0%} of these)"
        panel.dots(plane[held, 0], plane[held, 1], colour, 3.0, 0.55, label=label)
    panel.ring(float(plane[-1, 0]), float(plane[-1, 1]), label="newest")
    panel.heading = f"{labels[1]}; {len(states):,} sessions"
    chart.legend_of = panel
    return chart.svg()


def regime_ribbon(
    sessions: pd.DatetimeIndex,
    prices: pd.Series,
    regimes: NDArray[np.floating] | NDArray[np.integer],
    names: Sequence[str],
) -> str:
    """Prices on a log scale over a background of the regime held at each session.

    Args:
        sessions: the T sessions of `regimes`.
        prices: an index or price level with a value at each of `sessions`.
        regimes: states (T,) of integers, or filtered posteriors (T, K), which are drawn below as well.
        names: the K regimes' names, calm to turbulent.
    """
    posteriors = np.asarray(regimes, dtype=float) if np.ndim(regimes) == 2 else None
    states = np.asarray(regimes, dtype=int) if posteriors is None else posteriors.argmax(axis=1)
    chart = Chart(3.5 if posteriors is None else 4.4, (1.0,) if posteriors is None else (2.4, 1.0))
    top = chart.panels[0]
    _background(top, days(sessions), states, names)
    line = thinned(prices.reindex(sessions))
    top.line(days(line.index), line, INK, 1.2)
    top.log_y, top.heading = True, f"{prices.name or 'price'}, log scale"
    if posteriors is not None:
        _stacked(chart.panels[1], days(sessions), posteriors)
        chart.panels[1].heading = "filtered probability"
    chart.legend_of = top
    return chart.svg()


def regime_occupancy(sessions: pd.DatetimeIndex, states: NDArray[np.integer], names: Sequence[str]) -> str:
    """The share of each calendar year (each quarter when there are fewer than three years) spent in each regime."""
    periods = sessions.to_period("Y" if sessions[-1].year - sessions[0].year >= 3 else "Q")
    shares = pd.crosstab(pd.Index(periods, name="period"), np.asarray(states), normalize="index")
    shares = shares.reindex(columns=range(len(names)), fill_value=0.0)
    every = int(np.ceil(len(shares) / 8))
    texts = [(float(place), str(period)) for place, period in enumerate(shares.index)][::every]
    chart = Chart(2.1, x_ticks=texts)
    panel = chart.panels[0]
    floor = np.zeros(len(shares))
    for state, (name, colour) in enumerate(zip(names, regime_colours(len(names)), strict=True)):
        ceiling = floor + shares[state].to_numpy()
        spans = [(place - 0.43, place + 0.43) for place in range(len(shares))]
        panel.boxes(spans, list(zip(floor.tolist(), ceiling.tolist(), strict=True)), colour, label=name)
        floor = ceiling
    panel.y_range, panel.y_ticks = (0.0, 1.0), number_ticks(0.0, 1.0, 5, percent)
    panel.heading, chart.legend_of = "share of sessions", panel
    return chart.svg()


def _plane(latents: NDArray[np.floating]) -> tuple[NDArray[np.floating], tuple[str, str]]:
    """Two coordinates for each row and the names of both axes."""
    width = latents.shape[1]
    if width == 1:
        return np.column_stack([np.arange(float(len(latents))), latents[:, 0]]), ("session", "latent 1")
    if width == 2:
        return latents, ("latent 1", "latent 2")
    centred = latents - latents.mean(axis=0)
    spread, columns = np.linalg.eigh(centred.T @ centred)
    spread, axes = spread[::-1], columns[:, ::-1].T
    # An axis may point either way: the largest loading is made positive so that refits do not mirror the map.
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    share = spread / max(float(spread.sum()), 1e-12)
    titles = tuple(f"principal axis {i + 1} of {width} latents ({share[i]:.0%})" for i in range(2))
    return centred @ axes[:2].T, (titles[0], titles[1])


def _background(panel: Panel, at: NDArray[np.float64], states: NDArray[np.integer], names: Sequence[str]) -> None:
    """Shade each uninterrupted stay in a regime, up to where the next one begins, so that weekends leave no gaps."""
    starts = np.flatnonzero(np.r_[True, states[1:] != states[:-1]])
    ends = np.r_[starts[1:], len(states) - 1]
    for state, (name, colour) in enumerate(zip(names, regime_colours(len(names)), strict=True)):
        stays = [(float(at[b]), float(at[e])) for b, e in zip(starts, ends, strict=True) if states[b] == state]
        panel.boxes(stays, None, colour, 0.3, label=name)


def _stacked(panel: Panel, at: NDArray[np.float64], posteriors: NDArray[np.floating]) -> None:
    rows = np.unique(np.linspace(0, len(at) - 1, min(len(at), MOST_STEPS)).round().astype(int))
    floor = np.zeros(len(rows))
    for state, colour in enumerate(regime_colours(posteriors.shape[1])):
        ceiling = floor + posteriors[rows, state]
        panel.area(at[rows], floor, ceiling, colour, 0.8)
        floor = ceiling
    panel.y_range, panel.y_ticks = (0.0, 1.0), [(0.0, "0"), (0.5, "½"), (1.0, "1")]
