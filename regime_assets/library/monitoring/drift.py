"""Has the market left the distribution that the model was fitted on? Daily features against a calibrated bound.

The statistic is the Wasserstein-1 distance of each feature's last 5, 10 and 20 sessions to its reference, in standard
deviations of the reference, over its own bound; the largest of these ratios decides. The bounds come from a block
null (`calibration`), because returns cluster: textbook thresholds fire on most windows of a stationary market. Six
features describe single days; the seventh is what volatility's forecast left over (`surprise`).

The reference moves with the session: the 504 sessions before the longest window, as a model that is refitted every
night has seen them. So a crisis that the reference contains is no news: after 2008, 2011 is less new than it felt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts
from regime_assets.library.monitoring.surprise import WARM_UP, VolatilityForecast, volatility_surprise
from regime_assets.library.monitoring.wasserstein import clipped, normed_wasserstein

CROSS_SECTION_SYMBOLS = 3
"""Fewer symbols have no cross-section worth the name; only the two features of the mean return remain."""

BUDGET_WEIGHTS: Mapping[str, float] = {
    "return": 1.0,
    "absolute_return": 1.0,
    "dispersion": 10.0,
    "factor_share": 1.0,
    "breadth": 1.0,
    "rms": 10.0,
    "volatility_surprise": 10.0,
}
"""Each feature's share of the alarm budget. The surprise finds changes of volatility and of correlation, dispersion and
rms what lasts; breadth, which hardly alarms by itself, is the first to see a crash in which everything falls (2015-08,
2020-02). Weights and windows were chosen on simulated worlds apart from those of benchmarks/drift.py, and with the
crises of the real history in sight; equal weights for all but the surprise find the same changes within a session.
"""


class DriftError(Exception):
    """Drift cannot be measured on these data; the message names column and session."""


@dataclass(frozen=True)
class DriftSettings:
    """What counts as drift. `alarms_per_year` is the one setting to change; the rest was measured to work with it.

    Attributes:
        alarms_per_year: budget of false alarms a year in a market that does not change.
        reference_sessions: sessions of the reference.
        windows: lengths of the recent windows in sessions.
        confirm_sessions: sessions in a row at or above a bound that open an episode, or below recovery that end it.
        recovery_level: an episode can end only below this share of the bound (hysteresis).
        cool_down_sessions: sessions after an episode in which none opens.
        back_off_sessions: an episode that opens within so many sessions of the last doubles its cool-down.
        longest_cool_down_sessions: where the doubling stops.
        block_sessions: block length of the bootstrap; about the half-life of volatility clusters.
        paths: bootstrapped histories.
        path_sessions: sessions looked at in each path, after its first reference.
        sessions_per_year: 252 for an exchange, 365 for a market that never closes.
    """

    alarms_per_year: float = 0.5
    reference_sessions: int = 504
    windows: tuple[int, ...] = (5, 10, 20)
    confirm_sessions: int = 2
    recovery_level: float = 0.8
    cool_down_sessions: int = 10
    back_off_sessions: int = 252
    longest_cool_down_sessions: int = 120
    block_sessions: int = 60
    paths: int = 200
    path_sessions: int = 504
    sessions_per_year: int = 252


@dataclass(frozen=True)
class DriftThresholds:
    """Calibrated bounds on the normed Wasserstein distance, and what they are worth.

    Attributes:
        features: names of the F features.
        windows: lengths of the W windows in sessions.
        bounds: (F, W) distances in standard deviations of the reference.
        forecast: what volatility is measured against; None with fewer than three symbols.
        alarms_per_year: the budget asked for.
        null_alarms_per_year: alarms a year on the bootstrapped null.
        history_sessions: sessions of history that the null was drawn from.
        first_session, last_session: where that history begins and ends.
        notice: what a reader must know, such as a history shorter than ten years; empty when there is nothing.
    """

    features: tuple[str, ...]
    windows: tuple[int, ...]
    bounds: NDArray[np.float64]
    forecast: VolatilityForecast | None
    alarms_per_year: float
    null_alarms_per_year: float
    history_sessions: int
    first_session: date
    last_session: date
    notice: str = ""

    def to_parts(self) -> Parts:
        """Arrays and document for `artifact.write_artifact`."""
        document = {key: value for key, value in asdict(self).items() if key not in ("bounds", "forecast")}
        for key in ("first_session", "last_session"):
            document[key] = document[key].isoformat()
        for key in ("features", "windows"):
            document[key] = list(document[key])
        arrays = {"bounds": self.bounds}
        if self.forecast is not None:
            arrays["forecast"] = self.forecast.coefficients
        return Parts(arrays, document)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The thresholds that `to_parts` took apart."""
        document: dict[str, Any] = dict(parts.document)
        for key in ("first_session", "last_session"):
            document[key] = date.fromisoformat(document[key])
        for key in ("features", "windows"):
            document[key] = tuple(document[key])
        coefficients = parts.arrays.get("forecast")
        forecast = None if coefficients is None else VolatilityForecast(coefficients)
        return cls(bounds=parts.arrays["bounds"], forecast=forecast, **document)


@dataclass(frozen=True)
class DriftMeasurement:
    """One session's distances beside their bounds.

    Attributes:
        scores: one row per feature and window: feature, window, distance, bound, ratio (distance / bound), drifted.
        drifted: whether any ratio is at least 1.
        share: share of the rows that drifted.
        largest: the largest ratio.
        leading: the feature and window with the largest ratio, "rms, 10 sessions".
        session: the last session measured.
        reference_first, reference_last: the reference's ends.
    """

    scores: pd.DataFrame
    drifted: bool
    share: float
    largest: float
    leading: str
    session: date
    reference_first: date
    reference_last: date

    def figures(self) -> dict[str, float]:
        """Flat numbers for metadata: the verdict's and every ratio."""
        ratios = {f"{row.feature}_{row.window}": float(row.ratio) for row in self.scores.itertuples()}  # pyright: ignore
        return {"largest": self.largest, "share": self.share, "drifted": float(self.drifted)} | ratios


def day_level_features(returns: pd.DataFrame) -> pd.DataFrame:
    """Features of single days; none remembers the day before, so that a short window is news in full.

    Args:
        returns: (T, S) simple returns, index = sessions.

    Returns:
        (T, 6): return (mean over symbols), absolute_return (|log return| of that mean), dispersion (standard deviation
        over symbols), factor_share (share of the day's squared returns that the mean explains), breadth (share
        of symbols that rose), rms (root mean square); the first two only with fewer than three symbols.

    Raises:
        DriftError: a return is NaN or infinite, or at most -1.
    """
    values = returns.to_numpy(np.float64)
    demand_finite(returns)
    if (values <= -1).any():
        row, column = np.argwhere(values <= -1)[0]
        symbol, session = returns.columns[column], _day(returns.index[row])
        raise DriftError(f"{symbol} returned {values[row, column]} on {session}; no price falls below zero")
    mean = values.mean(axis=1)
    columns = {"return": mean, "absolute_return": np.abs(np.log1p(mean))}
    if values.shape[1] >= CROSS_SECTION_SYMBOLS:
        squares = (values**2).mean(axis=1)
        columns |= {
            "dispersion": values.std(axis=1),
            # A day on which nothing moved has no factor to explain it.
            "factor_share": np.divide(mean**2, squares, out=np.zeros_like(mean), where=squares > 0),
            "breadth": (values > 0).mean(axis=1),
            "rms": np.sqrt(squares),
        }
    return pd.DataFrame(columns, index=returns.index)


def watched_features(returns: pd.DataFrame, forecast: VolatilityForecast | None) -> pd.DataFrame:
    """Everything that has a bound: the day-level features and, with a forecast, how far volatility missed it.

    Args:
        returns: (T, S) simple returns, index = sessions.
        forecast: as `DriftThresholds.forecast`.

    Returns:
        (T - `surprise.WARM_UP`, F): the columns of `day_level_features`, and volatility_surprise last.

    Raises:
        DriftError: as for `day_level_features`.
    """
    features = day_level_features(returns).iloc[WARM_UP:]
    return features if forecast is None else features.join(volatility_surprise(returns, forecast))


def split_reference(features: pd.DataFrame, settings: DriftSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The newest rows taken apart: `reference_sessions` rows, and after them the longest window's.

    Raises:
        DriftError: there are too few rows.
    """
    longest = max(settings.windows)
    needed = settings.reference_sessions + longest
    if len(features) < needed:
        raise DriftError(f"{len(features)} sessions of features, but reference and window need {needed}")
    return features.iloc[-needed:-longest], features.iloc[-longest:]


def measure_drift(reference: pd.DataFrame, current: pd.DataFrame, thresholds: DriftThresholds) -> DriftMeasurement:
    """Distances of the most recent sessions to the reference, and the verdict.

    Args:
        reference: (n, ≥F) features, index = sessions; columns that have no threshold are ignored.
        current: (≥ longest window, ≥F) features of the sessions after it, the newest last.
        thresholds: the bounds of F features and W windows.

    Raises:
        DriftError: a column is missing, constant, or not finite, or `current` is shorter than a window.
    """
    demand_measurable(reference, current, thresholds)
    rows: list[tuple[str, int, float, float]] = []
    for feature, bounds in zip(thresholds.features, thresholds.bounds, strict=True):
        before, after = clipped(reference[feature].to_numpy(np.float64), current[feature].to_numpy(np.float64))
        for window, bound in zip(thresholds.windows, bounds, strict=True):
            distance = normed_wasserstein(before, after[-window:])
            rows.append((feature, window, distance, float(bound)))
    scores = pd.DataFrame(rows, columns=["feature", "window", "distance", "bound"])
    scores["ratio"] = scores["distance"] / scores["bound"]
    scores["drifted"] = scores["ratio"] >= 1
    top = scores.iloc[int(scores["ratio"].argmax())]
    return DriftMeasurement(
        scores=scores,
        drifted=bool(scores["drifted"].any()),
        share=float(scores["drifted"].mean()),
        largest=float(top["ratio"]),
        leading=f"{top['feature']}, {top['window']} sessions",
        session=_day(current.index[-1]),
        reference_first=_day(reference.index[0]),
        reference_last=_day(reference.index[-1]),
    )


def demand_measurable(reference: pd.DataFrame, current: pd.DataFrame, thresholds: DriftThresholds) -> None:
    """Raise a DriftError unless both frames hold finite, varying values for every bounded feature and window."""
    names = list(thresholds.features)
    for label, frame in (("reference", reference), ("current", current)):
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise DriftError(f"the {label} has no column {missing}")
    if len(current) < max(thresholds.windows):
        raise DriftError(f"{len(current)} current sessions, but a window has {max(thresholds.windows)}")
    if current.index[0] <= reference.index[-1]:
        raise DriftError(f"the current sessions begin at {_day(current.index[0])}, inside the reference")
    demand_finite(reference[names])
    demand_finite(current[names])
    for name in names:
        if np.ptp(reference[name].to_numpy()) == 0:
            raise DriftError(f"{name} is constant over the reference ({reference[name].iloc[0]}): no distance to it")


def demand_finite(frame: pd.DataFrame) -> None:
    """Raise a DriftError that names the first NaN or infinite value."""
    bad = ~np.isfinite(frame.to_numpy(np.float64))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        value = frame.iloc[row, column]
        raise DriftError(f"{frame.columns[column]} is {value} on {_day(frame.index[row])} ({bad.sum()} such values)")


def _day(session: Any) -> date:
    return pd.Timestamp(session).date()
