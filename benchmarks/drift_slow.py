"""Would a slow detector find ramps that the windows of 5 to 20 sessions miss, at the same budget of false alarms?

    python benchmarks/drift_slow.py [--worlds 12]

Prints markdown: the seven features as they are watched, and beside them the mean log spread between the symbols over
the newest 60 or 120 sessions against the reference, in standard deviations of the reference; on simulated worlds as
in `drift.py`. Every monitor has the same total budget. Ramps start after a quiet year and stay at their end. Some
fifteen CPU seconds a world.
"""

from __future__ import annotations

import argparse

import numpy as np
from drift import SETTINGS, WARM_UP, WATCHED_FROM, YEAR, Tally, count_episodes, dated
from drift_markets import Floats, combine, features_of, simulate
from numpy.typing import NDArray

from regime_assets.library.monitoring import calibration, surprise
from regime_assets.library.monitoring.drift import BUDGET_WEIGHTS, watched_features
from regime_assets.library.monitoring.wasserstein import rolling_wasserstein

HISTORY = 12 * YEAR
PATHS_PER_WORLD = 20
AFTER = 120
SLOW = (60, 120)
SLOW_WEIGHT = max(BUDGET_WEIGHTS.values())
RMS = tuple(BUDGET_WEIGHTS).index("rms")
FAST = len(BUDGET_WEIGHTS) * len(SETTINGS.windows)
MONITORS = {
    "as it is: 5, 10 and 20 sessions": (*range(FAST),),
    "and 60 sessions": (*range(FAST), FAST),
    "and 120 sessions": (*range(FAST), FAST + 1),
    "60 sessions alone": (FAST,),
    "120 sessions alone": (FAST + 1,),
}


def ramps(returns: Floats, start: int) -> dict[str, Floats]:
    """The market with a change of volatility from session `start` on, by name."""
    day = np.clip(np.arange(returns.shape[1]) - start + 1, 0, None)
    grown = {
        "+30 % over 120": 1.0 + 0.3 * np.minimum(day / 120, 1.0),
        "x 2 over 60": 1.0 + np.minimum(day / 60, 1.0),
        "x 1.5 at once": 1.0 + 0.5 * (day > 0),
        "x 2 at once": 1.0 + (day > 0),
    }
    return {name: returns * factor.astype(np.float32)[None, :, None] for name, factor in grown.items()}


def distances(values: Floats, reference_step: int) -> Floats:
    """(paths, looks, columns) of (paths, sessions, F): the windows of every feature, then the slow means."""
    fast = [
        rolling_wasserstein(values[:, :, column], SETTINGS.reference_sessions, SETTINGS.windows, reference_step)
        for column in range(values.shape[2])
    ]
    spread = np.log(np.maximum(values[:, :, RMS].astype(np.float64), surprise.SMALLEST_MOVE))
    return np.concatenate([*fast, slow_means(spread)], axis=2).astype(np.float32)


def slow_means(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """(paths, looks, len(SLOW)): |newest mean - reference mean| over the reference's deviation, by look."""
    total = np.cumsum(np.pad(spread, ((0, 0), (1, 0))), axis=1)
    square = np.cumsum(np.pad(spread**2, ((0, 0), (1, 0))), axis=1)
    ends = np.arange(WATCHED_FROM + 1, spread.shape[1] + 1)
    columns = []
    for window in SLOW:
        first = np.maximum(ends - window - SETTINGS.reference_sessions, 0)
        count = ends - window - first
        mean = (total[:, ends - window] - total[:, first]) / count
        deviation = np.sqrt((square[:, ends - window] - square[:, first]) / count - mean**2)
        recent = (total[:, ends] - total[:, ends - window]) / window
        columns.append(np.abs(recent - mean) / deviation)
    return np.stack(columns, axis=2)


def watch_world(world: int, tallies: dict[str, Tally]) -> None:
    """Add one world's alarms and delays to every monitor's tally."""
    generator = np.random.default_rng([91, world])
    history = dated(combine(*simulate(HISTORY, 1, generator))[0])
    forecast = surprise.fit_forecast(history)
    features = watched_features(history, forecast)
    length = WATCHED_FROM + SETTINGS.path_sessions
    days = calibration.block_days(len(features), length, SETTINGS.paths, SETTINGS.block_sessions, world)
    null = distances(features.to_numpy(np.float32)[days], reference_step=5)
    weights = np.append(np.repeat([*BUDGET_WEIGHTS.values()], len(SETTINGS.windows)), [SLOW_WEIGHT] * len(SLOW))
    bounds = {}
    for name, chosen in MONITORS.items():
        used = weights[list(chosen)]
        bounds[name], _ = calibration.fit_bounds(null[:, :, list(chosen)], used / used.max(), SETTINGS)
    start = WARM_UP + YEAR
    market = combine(*simulate(start + AFTER, PATHS_PER_WORLD, generator))
    for change, returns in ({"": market} | ramps(market, start)).items():
        seen = distances(features_of(returns, forecast), reference_step=1)
        for name, chosen in MONITORS.items():
            opened = count_episodes((seen[:, :, list(chosen)] / bounds[name]).max(axis=2), SETTINGS)
            if not change:
                tallies[name].alarms.append(opened.opened[:, :YEAR].sum() / PATHS_PER_WORLD)
                continue
            free = ~opened.busy[:, YEAR]
            after = opened.opened[free, YEAR : YEAR + AFTER]
            found = np.where(after.any(axis=1), after.argmax(axis=1) + 1.0, np.inf)
            tallies[name].delays.setdefault(change, []).extend(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=12)
    worlds = parser.parse_args().worlds
    tallies = {name: Tally([], {}) for name in MONITORS}
    for world in range(worlds):
        watch_world(world, tallies)
    names = list(next(iter(tallies.values())).delays)
    print(f"{worlds * PATHS_PER_WORLD} simulated paths; found within {AFTER} sessions, median delay of those.\n")
    print("| watched | false alarms a year (upper 95 %) | " + " | ".join(names) + " |")
    print("|---|---|" + "---|" * len(names))
    for name, tally in tallies.items():
        rate, upper = tally.rate()
        cells: list[str] = []
        for change in names:
            delays = np.array(tally.delays[change])
            found = delays[np.isfinite(delays)]
            cells.append(f"{len(found) / len(delays):.2f}" + (f", {np.median(found):.0f}" if len(found) else ""))
        print(f"| {name} | {rate:.2f} ({upper:.2f}) | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
