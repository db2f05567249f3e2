"""Pictures of training: the VAE's losses and the policy's rewards."""

from __future__ import annotations

import pandas as pd

from regime_assets.library.report.chart import MUTED, Chart, Panel
from regime_assets.library.report.figure_style import strategy_colour, thinned
from regime_assets.library.report.scales import Tick, number_ticks, short_count

ERRORS = {"reconstruction": "reconstruction", "validation_reconstruction": "reconstruction, validation"}

STEPS = ("gradient_step", "environment_step", "step")  # the first that is there is the x axis


def loss_curves(curves: pd.DataFrame) -> str:
    """Loss, reconstruction (training and validation), and the KL divergence with the active units, by epoch.

    Args:
        curves: one row an epoch (index or column `epoch`) with the columns loss, reconstruction, kl,
            validation_reconstruction and active_units; those that are absent are not drawn.
    """
    curves = curves.set_index("epoch") if "epoch" in curves else curves
    chart = Chart(4.6, (1.0, 1.3, 1.0), _counted, "epoch")
    whole, losses, divergence = chart.panels
    # The loss and the error that is a part of it differ by orders of magnitude: on one axis both would be flat.
    if "loss" in curves:
        whole.line(curves.index, curves["loss"], strategy_colour(0), 1.5)
    for position, (column, label) in enumerate(ERRORS.items(), start=1):
        if column in curves:
            losses.line(curves.index, curves[column], strategy_colour(position), 1.5, label=label)
    if "validation_reconstruction" in curves and curves["validation_reconstruction"].notna().any():
        best = int(curves.index[int(curves["validation_reconstruction"].argmin())])
        losses.upright(best, MUTED, dash="30 30", label=f"lowest validation (epoch {best})")
    if "kl" in curves:
        divergence.line(curves.index, curves["kl"], strategy_colour(3), 1.5)
    whole.heading, losses.heading = "loss", "mean squared error of scaled features"
    divergence.heading = "KL divergence, nats (line) · active units (dotted, right)"
    if "active_units" in curves:
        _active_units(divergence, curves["active_units"].astype(float))
    chart.legend_of = losses
    return chart.svg()


def _active_units(panel: Panel, units: pd.Series) -> None:
    """A second line with an axis of its own on the right, from no unit to one more than ever were active."""
    low, high = panel.vertical()
    most = float(units.max()) + 1.0
    panel.y_range = low, high
    panel.line(units.index, low + units / most * (high - low), MUTED, 1.3, dash="12 18", step="mid")
    panel.right_ticks = [
        (low + value / most * (high - low), text) for value, text in number_ticks(0.0, most, 4, whole=True)
    ]


def reward_curves(curves: pd.DataFrame) -> str:
    """The policy's mean reward over its entropy, by training step.

    Args:
        curves: columns reward and one of `STEPS`, and where measured entropy and seed; with several seeds
            each has a thin line and their median a thick one, because one seed shows nothing.
    """
    has_entropy = "entropy" in curves and bool(curves["entropy"].notna().any())
    step = next(column for column in STEPS if column in curves)
    shares = (1.8, 1.0) if has_entropy else (1.0,)
    chart = Chart(3.2 if has_entropy else 2.6, shares, _counted, step.replace("_", " "))
    for panel, (column, colour) in zip(chart.panels, (("reward", 0), ("entropy", 1)), strict=False):
        _by_seed(panel, curves.set_index(step), column, strategy_colour(colour))
    chart.panels[0].heading = "mean reward a step, in sample"
    if has_entropy:
        chart.panels[1].heading = "policy entropy, nats"
    if "seed" in curves and curves["seed"].nunique() > 1:
        chart.legend_of = chart.panels[0]
    return chart.svg()


def _by_seed(panel: Panel, curves: pd.DataFrame, column: str, colour: str) -> None:
    if "seed" not in curves or curves["seed"].nunique() == 1:
        line = thinned(curves[column].dropna())
        panel.line(line.index, line, colour, 1.7)
        return
    for _, run in curves.groupby("seed", sort=True):
        line = thinned(run[column].dropna())
        panel.line(line.index, line, colour, 0.8, opacity=0.45, label="one seed")
    median = curves[column].groupby(level=0).median().dropna()
    panel.line(median.index, median, colour, 2.0, label=f"median of {curves['seed'].nunique()} seeds")


def _counted(low: float, high: float) -> list[Tick]:
    """An x axis of counts, large ones written short."""
    return number_ticks(low, high, 6, short_count, whole=True)
