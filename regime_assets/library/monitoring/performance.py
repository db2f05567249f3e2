"""Does the champion earn what its own out-of-sample record led us to expect, and is it still ahead of its predecessor?

Two sequential tests with a budget of false alarms a year. The live one sums the shortfall of volatility-scaled returns
against the record's mean. The paired one looks at the shortfall against the predecessor, which is still shadowed, and
needs a third of the time because both saw the same market; it sums how much likelier each session's difference is if
the champion's Sharpe ratio fell by two than if nothing happened. Differences are scaled by the volatility known before
them and taken as Student-t, so that one bad day alone says little. That is about a tenth faster than a sum of scaled
differences (48 sessions for 54 without a head start, .17 false alarms a year, correlation .9). Weighing quiet sessions
more, as a fall in money asks for, gains nothing and alarms when markets are calmer than in the record.

A trailing Sharpe ratio or a pointwise band looks
at the same question and cries .45 to .58 times a year, so the band is drawn and does not decide.

References: Page (1954), "Continuous inspection schemes"; Lucas and Crosier (1982), "Fast initial response for CUSUM
quality-control schemes"; Moustakides (1986), "Optimal stopping times for detecting changes in distributions".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.monitoring.calibration import block_days
from regime_assets.library.monitoring.cusum import calibrate_bound, cusum

DEGREES_OF_FREEDOM = 5.0
"""Of the differences, daily returns being between 4 and 6; from 4 to 6 the delays are the same within a session."""

LARGEST_FALL = 0.5
"""In volatilities of the difference a session: a pair that hardly differs would else be asked for a gap that no
volatility which follows the returns lets through. Two of Sharpe at a correlation of .97 are as much.
"""

NULL_SHARE = 0.75
"""The live test's bootstrapped null is held to this share of the budget: a record of four years in blocks of a month
understates how much returns vary, and simulated champions alarm up to 1.15 times as often as their bootstrap
(benchmarks/drift.py).
"""

PAIRED_NULL_SHARE = 0.85
"""The paired test's: at 1 simulated champions alarm .15 to .19 times a year, and the upper 95 % bounds exceed .2."""


FEWEST_SESSIONS_OF_A_RATIO = 21
"""A month. The annualised ratio of a few days is a large number that says nothing."""


class PerformanceError(Exception):
    """Performance cannot be judged on these returns; the message says why."""


@dataclass(frozen=True)
class PerformanceSettings:
    """What counts as a breach. `false_alarms_per_year` is the one setting to change.

    Attributes:
        false_alarms_per_year: budget of each test for a champion that is as good as its record (or its predecessor).
        live_allowance: slack of the live test in standard deviations a session; half of the fall to be found.
        paired_fall: fall of the champion's annual Sharpe ratio that the paired test is made to find.
        paired_head_start: share of the bound at which the paired test starts: a bad champion is bad from its
            first session, and is found a third sooner that way.
        volatility_half_life: sessions, of the volatility that scales returns.
        volatility_floor: as a share of the record's standard deviation, for champions that sit in cash.
        block_sessions: block length of the bootstrap.
        paths: bootstrapped years.
        band: lower and upper quantile of the predictive band.
        shortest_record: sessions of out-of-sample record below which nothing is judged.
        sessions_per_year: 252 for an exchange, 365 for a market that never closes.
    """

    false_alarms_per_year: float = 0.2
    live_allowance: float = 0.1
    paired_fall: float = 2.0
    paired_head_start: float = 0.5
    volatility_half_life: float = 20.0
    volatility_floor: float = 0.25
    block_sessions: int = 20
    paths: int = 1000
    band: tuple[float, float] = (0.05, 0.95)
    shortest_record: int = 252
    sessions_per_year: int = 252


@dataclass(frozen=True)
class LivePerformance:
    """The champion's live returns beside its own record.

    Attributes:
        path: index = live sessions: return, cumulative, low and high (predictive band of cumulative), cusum.
        bound: the CUSUM's, in standard deviations.
        first_breach: the first session at or over the bound; None when there was none.
        below_band: whether the last cumulative return is below the band.
        live_sharpe, record_sharpe: annualised, without a risk-free rate; None for returns that never vary, and for
            fewer than `FEWEST_SESSIONS_OF_A_RATIO`.
    """

    path: pd.DataFrame
    bound: float
    first_breach: date | None
    below_band: bool
    live_sharpe: float | None
    record_sharpe: float | None

    @property
    def breached(self) -> bool:
        """Whether the champion fell short of its record by more than luck explains."""
        return self.first_breach is not None


@dataclass(frozen=True)
class PairedPerformance:
    """The champion's live returns beside its shadowed predecessor's.

    Attributes:
        path: index = sessions since the promotion: difference, cumulative, cusum (of log likelihood ratios).
        bound: the CUSUM's.
        first_breach: the first session at or over the bound; None when there was none.
        correlation: of the two records.
    """

    path: pd.DataFrame
    bound: float
    first_breach: date | None
    correlation: float

    @property
    def breached(self) -> bool:
        """Whether the champion fell behind its predecessor by more than luck explains."""
        return self.first_breach is not None


def live_performance(live: pd.Series, record: pd.Series, settings: PerformanceSettings, seed: int) -> LivePerformance:
    """Judge live returns by the champion's own out-of-sample record.

    The bound allows for the record's mean being an estimate: each bootstrapped year is held against the mean of
    another bootstrapped record of the same length.

    Args:
        live: (n,) net returns served since the design went live or was last rolled back, index = sessions.
        record: (m,) net out-of-sample returns of the champion, before `live`.
        settings: budget, slack and bootstrap.
        seed: of the bootstrap.

    Raises:
        PerformanceError: the record is too short or never varies, a return is not finite, or the two overlap.
    """
    past, recent = _checked(record, live, settings)
    scaled, scaled_live = _volatility_scaled(past, recent, settings)
    length = len(past) + settings.sessions_per_year
    drawn = scaled[block_days(len(past), length, settings.paths, settings.block_sessions, seed)]
    expected = drawn[:, : len(past)].mean(axis=1, keepdims=True)
    null = expected - drawn[:, len(past) :]
    bound = calibrate_bound(null, settings.live_allowance, 0.0, NULL_SHARE * settings.false_alarms_per_year)
    sums = cusum(scaled.mean() - scaled_live, settings.live_allowance, 0.0)
    low, high = _band(past, len(recent), settings, seed)
    cumulative = np.cumprod(1 + recent) - 1
    path = pd.DataFrame(
        {"return": recent, "cumulative": cumulative, "low": low, "high": high, "cusum": sums}, index=live.index
    )
    return LivePerformance(
        path=path,
        bound=bound,
        first_breach=_first_breach(path, bound),
        below_band=bool(cumulative[-1] < low[-1]),
        live_sharpe=_sharpe(recent, settings),
        record_sharpe=_sharpe(past, settings),
    )


def paired_performance(
    live: pd.DataFrame, record: pd.DataFrame, settings: PerformanceSettings, seed: int
) -> PairedPerformance:
    """Judge the champion by the predecessor that it replaced.

    Args:
        live: (n, 2) columns champion and predecessor: net returns since the promotion, index = sessions.
        record: (m, 2) the same columns on common out-of-sample sessions before it: how much the two differ.
        settings: budget, slack and bootstrap.
        seed: of the bootstrap.

    Raises:
        PerformanceError: as for `live_performance`, of the difference.
    """
    differences = [frame["champion"] - frame["predecessor"] for frame in (record, live)]
    past, recent = _checked(differences[0], differences[1], settings)
    scaled, scaled_live = _volatility_scaled(past, recent, settings)
    deviation = float(np.sqrt(record[["champion", "predecessor"]].to_numpy(np.float64).var(axis=0).mean()))
    fall = min(LARGEST_FALL, settings.paired_fall / settings.sessions_per_year**0.5 * deviation / float(past.std()))
    null = _evidence(scaled.mean() - scaled, fall)
    days = block_days(len(past), settings.sessions_per_year, settings.paths, settings.block_sessions, seed)
    budget = PAIRED_NULL_SHARE * settings.false_alarms_per_year
    bound = calibrate_bound(null[days], 0.0, settings.paired_head_start, budget)
    sums = cusum(_evidence(-scaled_live, fall), 0.0, settings.paired_head_start * bound)
    path = pd.DataFrame({"difference": recent, "cumulative": np.cumsum(recent), "cusum": sums}, index=live.index)
    correlation = float(np.corrcoef(record["champion"], record["predecessor"])[0, 1])
    return PairedPerformance(path, bound, _first_breach(path, bound), correlation)


def _checked(
    record: pd.Series, live: pd.Series, settings: PerformanceSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(record) < settings.shortest_record:
        raise PerformanceError(f"{len(record)} sessions of record, but {settings.shortest_record} are needed")
    if not len(live):
        raise PerformanceError("there are no live sessions yet")
    if live.index[0] <= record.index[-1]:
        raise PerformanceError(f"the live sessions begin at {live.index[0]}, inside the record")
    for label, series in (("record", record), ("live", live)):
        finite = np.isfinite(series.to_numpy(np.float64))
        if not finite.all():
            raise PerformanceError(f"the {label} is not finite on {series.index[int(np.argmin(finite))]}")
    past, recent = record.to_numpy(np.float64), live.to_numpy(np.float64)
    if np.ptp(past) < 1e-12:
        raise PerformanceError(f"the record never varies ({past[0]}): there is no scale to judge by")
    return past, recent


def _evidence(shortfalls: NDArray[np.float64], fall: float) -> NDArray[np.float64]:
    """Log likelihood ratios of a mean shortfall of `fall` against none, both in volatilities, for a Student-t."""
    spread = DEGREES_OF_FREEDOM - 2  # a Student-t of unit variance
    without, fallen = np.log1p(shortfalls**2 / spread), np.log1p((shortfalls - fall) ** 2 / spread)
    return (DEGREES_OF_FREEDOM + 1) / 2 * (without - fallen)


def _volatility_scaled(
    past: NDArray[np.float64], recent: NDArray[np.float64], settings: PerformanceSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each return over the exponentially weighted volatility known before it, for the record and for live."""
    decay = 0.5 ** (1 / settings.volatility_half_life)
    returns = np.concatenate([past, recent])
    variance = float(past.var())
    floor = settings.volatility_floor**2 * variance
    scale = np.empty(len(returns))
    for day, value in enumerate(returns):
        scale[day] = max(variance, floor) ** 0.5
        variance = decay * variance + (1 - decay) * value**2
    scaled = returns / scale
    return scaled[: len(past)], scaled[len(past) :]


def _band(
    past: NDArray[np.float64], sessions: int, settings: PerformanceSettings, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles of the compounded return after 1 to `sessions` sessions drawn in blocks from the record."""
    days = block_days(len(past), sessions, settings.paths, settings.block_sessions, seed)
    wealth = np.cumprod(1 + past[days], axis=1) - 1
    low, high = np.quantile(wealth, settings.band, axis=0)
    return low, high


def _first_breach(path: pd.DataFrame, bound: float) -> date | None:
    breached = path.index[path["cusum"].to_numpy() >= bound]
    return pd.Timestamp(breached[0]).date() if len(breached) else None


def _sharpe(returns: NDArray[np.float64], settings: PerformanceSettings) -> float | None:
    deviation = float(returns.std())
    if len(returns) < FEWEST_SESSIONS_OF_A_RATIO or deviation <= 1e-12:
        return None
    return float(returns.mean() / deviation * settings.sessions_per_year**0.5)
