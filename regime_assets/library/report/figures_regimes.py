"""Pictures of regimes: where they lie in latent space, when they held, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    heading,
    legend,
    logarithmic,
    panels,
    plain,
    regime_colours,
    rendered,
    thinned,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

MOST_DOTS = 3000
MOST_STEPS = 600


def latent_map(
    latents: NDArray[np.floating], states: NDArray[np.integer], names: Sequence[str], *, form: Form = "png"
) -> bytes:
    """Latents (T, L) in the plane of their two largest principal axes, coloured by state (T,); the newest is ringed.

    Two latents are drawn as they are, one against time; of long histories the newest sessions are drawn.
    """
    figure, (axes,) = panels(3.2)
    latents, states = latents[-MOST_DOTS:], states[-MOST_DOTS:]
    plane, labels = _plane(np.asarray(latents, dtype=float))
    for state, (name, colour) in enumerate(zip(names, regime_colours(len(names)), strict=True)):
        held = states == state
        dots = axes.scatter(plane[held, 0], plane[held, 1], s=9, color=colour, alpha=0.55, lw=0)
        dots.set_rasterized(True)
        axes.scatter([], [], s=24, color=colour, label=f"{plain(name)} ({held.mean():.0%} of these)")
    axes.scatter(plane[-1, 0], plane[-1, 1], s=70, facecolors="none", edgecolors=INK, lw=1.4, label="newest")
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.margins(0.05)
    axes.set_xlabel(labels[0], fontsize=TEXT_POINTS, color=MUTED)
    heading(axes, f"{labels[1]}; {len(states):,} sessions")
    legend(figure, axes, columns=4)
    return rendered(figure, form)


def regime_ribbon(
    sessions: pd.DatetimeIndex,
    prices: pd.Series,
    regimes: NDArray[np.floating] | NDArray[np.integer],
    names: Sequence[str],
    *,
    form: Form = "png",
) -> bytes:
    """Prices on a log scale over a background of the regime held at each session.

    Args:
        sessions: the T sessions of `regimes`.
        prices: an index or price level with a value at each of `sessions`.
        regimes: states (T,) of integers, or filtered posteriors (T, K), which are drawn below as well.
        names: the K regimes' names, calm to turbulent.
        form: "png" or "svg".
    """
    posteriors = np.asarray(regimes, dtype=float) if np.ndim(regimes) == 2 else None
    states = np.asarray(regimes, dtype=int) if posteriors is None else posteriors.argmax(axis=1)
    figure, axes = panels(3.5 if posteriors is None else 4.4, (1.0,) if posteriors is None else (2.4, 1.0))
    _background(axes[0], days(sessions), states, names)
    line = thinned(prices.reindex(sessions))
    axes[0].plot(days(line.index), line.to_numpy(), color=INK, lw=1.2)
    logarithmic(axes[0], float(prices.min()), float(prices.max()))
    heading(axes[0], f"{prices.name or 'price'}, log scale")
    if posteriors is not None:
        _stacked(axes[1], days(sessions), posteriors)
        heading(axes[1], "filtered probability")
    dated(axes[-1])
    legend(figure, axes[0], columns=4)
    return rendered(figure, form)


def regime_occupancy(
    sessions: pd.DatetimeIndex, states: NDArray[np.integer], names: Sequence[str], *, form: Form = "png"
) -> bytes:
    """The share of each calendar year (each quarter when there are fewer than three years) spent in each regime."""
    from matplotlib.ticker import FuncFormatter

    figure, (axes,) = panels(2.1)
    periods = sessions.to_period("Y" if sessions[-1].year - sessions[0].year >= 3 else "Q")
    shares = pd.crosstab(pd.Index(periods, name="period"), np.asarray(states), normalize="index")
    shares = shares.reindex(columns=range(len(names)), fill_value=0.0)
    floor = np.zeros(len(shares))
    at = np.arange(len(shares))
    for state, (name, colour) in enumerate(zip(names, regime_colours(len(names)), strict=True)):
        share = shares[state].to_numpy()
        axes.bar(at, share, bottom=floor, width=0.86, color=colour, label=plain(name))
        floor = floor + share
    every = int(np.ceil(len(at) / 8))
    texts = [str(period) for period in shares.index]
    axes.set_xticks(at[::every], texts[::every])
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    heading(axes, "share of sessions")
    legend(figure, axes, columns=4)
    return rendered(figure, form)


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


def _background(axes: Axes, at: NDArray[np.datetime64], states: NDArray[np.integer], names: Sequence[str]) -> None:
    """Shade each uninterrupted stay in a regime, up to where the next one begins, so that weekends leave no gaps."""
    starts = np.flatnonzero(np.r_[True, states[1:] != states[:-1]])
    ends = np.r_[starts[1:], len(states) - 1]
    numbers = at.astype(np.int64)  # days since 1970, matplotlib's unit of dates
    for state, (name, colour) in enumerate(zip(names, regime_colours(len(names)), strict=True)):
        stays = [
            (int(numbers[start]), int(numbers[end] - numbers[start]))
            for start, end in zip(starts, ends, strict=True)
            if states[start] == state
        ]
        axes.broken_barh(
            stays, (0, 1), transform=axes.get_xaxis_transform(), color=colour, alpha=0.3, lw=0, label=plain(name)
        )


def _stacked(axes: Axes, at: NDArray[np.datetime64], posteriors: NDArray[np.floating]) -> None:
    rows = np.unique(np.linspace(0, len(at) - 1, min(len(at), MOST_STEPS)).round().astype(int))
    colours = regime_colours(posteriors.shape[1])
    floor = np.zeros(len(rows))
    for state, colour in enumerate(colours):
        ceiling = floor + posteriors[rows, state]
        axes.fill_between(at[rows], floor, ceiling, color=colour, alpha=0.8, lw=0)
        floor = ceiling
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([0.0, 0.5, 1.0], ["0", "½", "1"])
