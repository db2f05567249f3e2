"""The drift report that a person opens: Evidently's page, with the calibrated bounds in place of its defaults.

Evidently computes the same normed Wasserstein distances as `drift` does. Every feature appears once, over the window
in which it is nearest to its bound or furthest beyond it: a column costs a tenth of a CPU second, and `drift` has the
distances of all windows.
Columns without a bound (reconstruction error, latents, posteriors) are shown and decide nothing: posteriors as a
trigger are blind (doubled volatility found in .26 of cases), and a column without a calibrated bound would break the
budget of false alarms.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regime_assets.library.monitoring.drift import DriftThresholds, demand_finite, measure_drift
from regime_assets.library.monitoring.shared_scripts import SHARED_FOLDER, with_shared_scripts
from regime_assets.library.monitoring.wasserstein import clipped
from regime_assets.library.shared_files import write_file

if TYPE_CHECKING:
    from evidently import Dataset

NO_BOUND = 1e6
"""Evidently puts its own default where a column has no threshold; nothing exceeds this one."""


@dataclass(frozen=True)
class EvidentlyFigures:
    """What Evidently found.

    Attributes:
        drifted: whether any feature in any window reached its calibrated bound.
        share: share of features that did.
        distances: normed Wasserstein distance by column, "rms, 10 sessions"; columns shown only by their name.
        default_drifted: the verdict of Evidently's defaults on the same features and the longest window.
        default_share: the share of features that its defaults call drifted.
        left_out: columns to be shown only that never vary over the reference, so that no distance to it exists.
    """

    drifted: bool
    share: float
    distances: dict[str, float]
    default_drifted: bool
    default_share: float
    left_out: tuple[str, ...]


def write_evidently_report(
    reference: pd.DataFrame, current: pd.DataFrame, thresholds: DriftThresholds, path: Path
) -> EvidentlyFigures:
    """Write an HTML file that opens without a network, from its folder, and return its figures.

    Args:
        reference: (n, C) columns, index = sessions: the features that have bounds, and any that are shown only.
        current: (≥ longest window, C) the same columns for the sessions after it, the newest last.
        thresholds: bounds on the normed Wasserstein distance per feature and window.
        path: the file to write; its folder is created.

    Raises:
        DriftError: a column is missing, not finite, or has a bound and is constant over the reference.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")  # read by Evidently's telemetry
    from evidently import Report
    from evidently.metrics import DriftedColumnsCount, ValueDrift
    from evidently.presets import DataDriftPreset

    scores = measure_drift(reference, current, thresholds).scores
    nearest = scores.loc[scores.groupby("feature", sort=False)["ratio"].idxmax()]
    windows = {str(row.feature): int(row.window) for row in nearest.itertuples()}  # pyright: ignore
    features = list(thresholds.features)
    shown = [name for name in reference.columns if name not in features]
    demand_finite(reference)
    demand_finite(current)
    constant = tuple(name for name in shown if np.ptp(reference[name].to_numpy()) == 0)
    shown = [name for name in shown if name not in constant]
    latest = current.iloc[-max(thresholds.windows) :]
    before, after = _standardised(*_clipped(reference, latest, features))

    bounds = {_column(*pair): float(bound) for pair, bound in zip(windows.items(), nearest["bound"], strict=True)}
    decided = DataDriftPreset(
        columns=list(bounds),
        num_method="wasserstein",
        per_column_threshold=bounds,
        drift_share=1 / len(bounds),  # Evidently's verdict is drift as soon as one column drifted
    )
    # Evidently reads an empty list of tests as "shown, not tested".
    others = [ValueDrift(column=name, method="wasserstein", threshold=NO_BOUND, tests=[]) for name in shown]
    report = Report([decided, *others], include_tests=True)
    snapshot = report.run(
        _dataset(_by_window(after, windows, shown)),
        _dataset(_by_window(before, windows, shown, masked=False)),
    )
    page = with_shared_scripts(snapshot.get_html_str(as_iframe=False), path.parent / SHARED_FOLDER)
    write_file(path, page.encode())
    defaults = Report([DriftedColumnsCount(columns=features)]).run(_dataset(after), _dataset(before))

    metrics: list[dict[str, Any]] = snapshot.dict()["metrics"]
    share = float(metrics[0]["value"]["share"])
    distances = {metric["config"]["column"]: float(metric["value"]) for metric in metrics[1:]}
    default_share = float(defaults.dict()["metrics"][0]["value"]["share"])
    return EvidentlyFigures(
        drifted=share > 0,
        share=share,
        distances=distances,
        default_drifted=default_share >= DriftedColumnsCount().drift_share,
        default_share=default_share,
        left_out=constant,
    )


def _standardised(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both in the reference's standard deviations: Evidently floors its divisor at .001, which daily returns reach."""
    center, scale = reference.mean(), reference.std(ddof=0)
    return (reference - center) / scale, (current - center) / scale


def _clipped(reference: pd.DataFrame, current: pd.DataFrame, features: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both with the features that have bounds clipped as `measure_drift` clips them."""
    before, after = reference.copy(), current.copy()
    for name in features:
        before[name], after[name] = clipped(reference[name].to_numpy(np.float64), current[name].to_numpy(np.float64))
    return before, after


def _by_window(frame: pd.DataFrame, windows: dict[str, int], shown: list[str], masked: bool = True) -> pd.DataFrame:
    """One column per feature; days before its window are NaN, which Evidently leaves out by column."""
    columns: dict[str, Any] = {}
    for feature, window in windows.items():
        values = frame[feature].to_numpy(np.float64, copy=True)
        if masked:
            values[: len(values) - window] = np.nan
        columns[_column(feature, window)] = values
    return pd.DataFrame(columns | {name: frame[name].to_numpy() for name in shown})


def _column(feature: str, window: int) -> str:
    return f"{feature}, {window} sessions"


def _dataset(frame: pd.DataFrame) -> Dataset:
    from evidently import DataDefinition, Dataset

    return Dataset.from_pandas(frame, data_definition=DataDefinition(numerical_columns=list(frame.columns)))
