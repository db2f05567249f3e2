"""Pictures of training: the VAE's losses and the policy's rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from regime_assets.library.report.figure_style import (
    MUTED,
    TEXT_POINTS,
    Form,
    heading,
    legend,
    panels,
    rendered,
    single,
    strategy_colour,
    thinned,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ERRORS = {"reconstruction": "reconstruction", "validation_reconstruction": "reconstruction, validation"}

STEPS = ("gradient_step", "environment_step", "step")  # the first that is there is the x axis


def loss_curves(curves: pd.DataFrame, *, form: Form = "png") -> bytes:
    """Loss, reconstruction (training and validation), and the KL divergence with the active units, by epoch.

    Args:
        curves: one row an epoch (index or column `epoch`) with the columns loss, reconstruction, kl,
            validation_reconstruction and active_units; those that are absent are not drawn.
        form: "png" or "svg".
    """
    from matplotlib.ticker import MaxNLocator

    curves = curves.set_index("epoch") if "epoch" in curves else curves
    figure, (whole, losses, divergence) = panels(4.6, (1.0, 1.3, 1.0))
    # The loss and the error that is a part of it differ by orders of magnitude: on one axis both would be flat.
    if "loss" in curves:
        whole.plot(curves["loss"], color=strategy_colour(0), lw=1.5, **single(curves["loss"]))
    for position, (column, label) in enumerate(ERRORS.items(), start=1):
        if column in curves:
            losses.plot(curves[column], color=strategy_colour(position), lw=1.5, label=label, **single(curves[column]))
    if "validation_reconstruction" in curves and curves["validation_reconstruction"].notna().any():
        best = int(curves.index[int(curves["validation_reconstruction"].argmin())])
        losses.axvline(best, color=MUTED, lw=0.9, ls=(0, (3, 3)), label=f"lowest validation (epoch {best})")
    if "kl" in curves:
        divergence.plot(curves["kl"], color=strategy_colour(3), lw=1.5, **single(curves["kl"]))
    heading(whole, "loss")
    heading(losses, "mean squared error of scaled features")
    heading(divergence, "KL divergence, nats (line) · active units (dotted, right)")
    if "active_units" in curves:
        units = divergence.twinx()
        units.step(curves.index, curves["active_units"], where="mid", color=MUTED, lw=1.3, ls=":")
        units.set_ylim(0.0, float(curves["active_units"].max()) + 1.0)
        units.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        units.spines[:].set_visible(False)
        units.tick_params(labelsize=TEXT_POINTS - 1, labelcolor=MUTED, length=0)
    _counted(divergence, "epoch")
    legend(figure, losses, columns=2)
    return rendered(figure, form)


def reward_curves(curves: pd.DataFrame, *, form: Form = "png") -> bytes:
    """The policy's mean reward over its entropy, by training step.

    Args:
        curves: columns reward and one of `STEPS`, and where measured entropy and seed; with several seeds
            each has a thin line and their median a thick one, because one seed shows nothing.
        form: "png" or "svg".
    """
    has_entropy = "entropy" in curves and bool(curves["entropy"].notna().any())
    step = next(column for column in STEPS if column in curves)
    figure, axes = panels(3.2 if has_entropy else 2.6, (1.8, 1.0) if has_entropy else (1.0,))
    for panel, (column, colour) in zip(axes, (("reward", 0), ("entropy", 1)), strict=False):
        _by_seed(panel, curves.set_index(step), column, strategy_colour(colour))
    heading(axes[0], "mean reward a step, in sample")
    if has_entropy:
        heading(axes[1], "policy entropy, nats")
    _counted(axes[-1], step.replace("_", " "))
    if "seed" in curves and curves["seed"].nunique() > 1:
        legend(figure, axes[0])
    return rendered(figure, form)


def _by_seed(axes: Axes, curves: pd.DataFrame, column: str, colour: str) -> None:
    if "seed" not in curves or curves["seed"].nunique() == 1:
        line = thinned(curves[column].dropna())
        axes.plot(line.index, line, color=colour, lw=1.7, **single(line))
        return
    for position, (_, run) in enumerate(curves.groupby("seed", sort=True)):
        line = thinned(run[column].dropna())
        label = "" if position else "one seed"
        axes.plot(line.index, line, color=colour, lw=0.8, alpha=0.45, label=label, **single(line))
    median = curves[column].groupby(level=0).median().dropna()
    label = f"median of {curves['seed'].nunique()} seeds"
    axes.plot(median.index, median, color=colour, lw=2.0, label=label, **single(median))


def _counted(axes: Axes, name: str) -> None:
    """An x axis of counts, large ones written short."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(name, fontsize=TEXT_POINTS, color=MUTED)
