"""What others would have said of the same days: Evidently's defaults, and river's detectors where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

Booleans = NDArray[np.bool_]
Series = NDArray[np.float32]

EVIDENTLY_SIGNIFICANCE = 0.05
EVIDENTLY_SHARE = 0.5


def evidently_defaults(features: Series, reference_sessions: int, window: int) -> Booleans:
    """(looks,) verdicts of `DataDriftPreset()` on (T, F) features: at most 1,000 reference rows, so a two-sample
    Kolmogorov-Smirnov test per column at .05, drift when half of the columns drifted. Its test is called directly.
    """
    looks = len(features) - reference_sessions - window + 1
    verdicts = np.zeros(looks, bool)
    for look in range(looks):
        reference = features[look : look + reference_sessions]
        current = features[look + reference_sessions : look + reference_sessions + window]
        drifted = [
            ks_2samp(reference[:, column], current[:, column]).pvalue <= EVIDENTLY_SIGNIFICANCE
            for column in range(features.shape[1])
        ]
        verdicts[look] = np.mean(drifted) >= EVIDENTLY_SHARE
    return verdicts


def river_detectors() -> dict[str, Callable[[], Any]]:
    """river's detectors by name, new on every call; empty without river."""
    if importlib.util.find_spec("river") is None:
        return {}
    from river.drift import ADWIN, KSWIN, PageHinkley

    return {
        "river ADWIN, defaults": ADWIN,
        "river Page-Hinkley, threshold 20": lambda: PageHinkley(threshold=20),
        "river KSWIN, defaults": lambda: KSWIN(seed=1),
    }


def river_alarms(detector: Any, series: Series, reference_sessions: int, skip: int) -> Booleans:
    """(looks,) alarms on one standardised series; a detector forgets on its own after each alarm."""
    reference = series[:reference_sessions]
    scaled = (series - reference.mean()) / reference.std()
    alarms = np.zeros(len(series), bool)
    for day, value in enumerate(scaled):
        detector.update(float(value))
        alarms[day] = detector.drift_detected
    return alarms[skip:]
