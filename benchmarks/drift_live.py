"""The live performance tests on simulated champions: Sharpe 1 in the record, then still 1, or -1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.monitoring.performance import (
    LivePerformance,
    PairedPerformance,
    PerformanceSettings,
    live_performance,
    paired_performance,
)

RECORD = 1000
LIVE = 252
LATE = 63
BURN_IN = 300
VOLATILITY = 0.01
SETTINGS = PerformanceSettings(paths=400)  # the default of a thousand costs more and moves the bound by a percent
EARNS = VOLATILITY / 252**0.5
"""What a Sharpe ratio of 1 earns a session."""
INDEX = pd.bdate_range("2010-01-04", periods=RECORD + LIVE, name="session")


def live_rows(champions: int) -> str:
    """Markdown of false alarms a year and of detection within a year."""
    shocks = clustered(champions, np.random.default_rng(3))
    rows = [
        f"\n## Live performance: {champions} champions, a record of {RECORD} sessions, a year live\n",
        f"Budget {SETTINGS.false_alarms_per_year}. Cells: share found within the year, median delay of all.\n",
        "| | false alarms a year (upper 95 %) | Sharpe 1 to -1 from the first live session | from the 64th |",
        "|---|---|---|---|",
    ]
    cells = " | ".join(alone(shocks[..., 0]))
    rows.append(f"| against its own record | {cells} |")
    for correlation in (0.8, 0.9, 0.97):
        cells = " | ".join(paired(shocks, correlation, SETTINGS))
        rows.append(f"| against its predecessor, correlation {correlation} | {cells} |")
    for budget in (0.35, 0.5):
        cells = " | ".join(paired(shocks, 0.9, replace(SETTINGS, false_alarms_per_year=budget)))
        rows.append(f"| against its predecessor, correlation 0.9, budget {budget} | {cells} |")
    return "\n".join(rows)


def clustered(paths: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """(paths, sessions, 2) independent Student-t shocks of unit variance under one GARCH volatility."""
    shocks = generator.standard_t(6, (BURN_IN + RECORD + LIVE, paths, 2)) * (4 / 6) ** 0.5
    variance = np.ones((paths, 1))
    for day in range(len(shocks)):
        shocks[day] *= np.sqrt(variance)
        variance = 0.02 + 0.06 * shocks[day, :, :1] ** 2 + 0.92 * variance
    return np.moveaxis(shocks[BURN_IN:], 0, 1)


def alone(shocks: NDArray[np.float64]) -> list[str]:
    """Cells of the test against the champion's own record."""
    results: list[list[LivePerformance]] = [[], [], []]
    for seed, path in enumerate(shocks):
        for kind, fall_from in enumerate((None, 0, LATE)):
            series = pd.Series(VOLATILITY * path + EARNS - fall(fall_from), INDEX)
            results[kind].append(live_performance(series[RECORD:], series[:RECORD], SETTINGS, seed))
    return [false_alarms(results[0]), detection(results[1], 0), detection(results[2], LATE)]


def paired(shocks: NDArray[np.float64], correlation: float, settings: PerformanceSettings) -> list[str]:
    """Cells of the test against a predecessor that keeps its Sharpe ratio of 1."""
    results: list[list[PairedPerformance]] = [[], [], []]
    for seed, path in enumerate(shocks):
        other = correlation * path[:, 0] + (1 - correlation**2) ** 0.5 * path[:, 1]
        for kind, fall_from in enumerate((None, 0, LATE)):
            champion = VOLATILITY * path[:, 0] + EARNS - fall(fall_from)
            pair = pd.DataFrame({"champion": champion, "predecessor": VOLATILITY * other + EARNS}, INDEX)
            results[kind].append(paired_performance(pair.iloc[RECORD:], pair.iloc[:RECORD], settings, seed))
    return [false_alarms(results[0]), detection(results[1], 0), detection(results[2], LATE)]


def fall(live_session: int | None) -> NDArray[np.float64]:
    """What a fall from Sharpe 1 to -1 costs each session, from a live session on; nothing without a fall."""
    start = len(INDEX) if live_session is None else RECORD + live_session
    return np.where(np.arange(len(INDEX)) >= start, 2 * EARNS, 0.0)


def false_alarms(results: Sequence[LivePerformance | PairedPerformance]) -> str:
    """Share of years with an alarm; as in production, an alarm ends the year's watch."""
    share = float(np.mean([result.breached for result in results]))
    upper = share + 1.645 * (share * (1 - share) / len(results)) ** 0.5
    return f"{share:.2f} ({upper:.2f})"


def detection(results: Sequence[LivePerformance | PairedPerformance], start: int) -> str:
    """Share found and median delay, of the champions without a false alarm before the fall."""
    first = np.array(
        [int(INDEX.get_loc(pd.Timestamp(r.first_breach))) - RECORD + 1 if r.breached else np.inf for r in results]
    )
    delays = first[first > start] - start
    middle = np.median(delays)
    return f"{np.isfinite(delays).mean():.2f}, {f'{middle:.0f}' if np.isfinite(middle) else '-'}"
