"""What the drift and performance monitors find, and how often they cry wolf.

    python benchmarks/drift.py [--paths 800] [--champions 300] [--rival-paths 20]

Prints markdown: false alarms a year and detection on simulated markets, on bootstrapped and on real history, beside
Evidently's defaults and river's detectors; then the live performance tests. About ten minutes of CPU.

Simulated: worlds of a factor GARCH market. Each calibrates on its own twelve years, then watches 20 other paths of the
same market for a year without a change, and from then on with one. Paths with an open episode or a cool-down when the
change comes are left out of detection. Delays count sessions from the first changed one, which is 1.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from drift_live import live_rows
from drift_markets import changes, combine, features_of, sample_returns, simulate
from drift_rivals import evidently_defaults, river_alarms, river_detectors
from numpy.typing import NDArray

from regime_assets.library.monitoring import surprise
from regime_assets.library.monitoring.calibration import block_days, calibrate_thresholds
from regime_assets.library.monitoring.drift import DriftSettings, DriftThresholds, watched_features
from regime_assets.library.monitoring.drift_episodes import EpisodeCounter
from regime_assets.library.monitoring.wasserstein import rolling_wasserstein

SETTINGS = DriftSettings()
WATCHED_FROM = SETTINGS.reference_sessions + max(SETTINGS.windows) - 1
WARM_UP = surprise.WARM_UP + WATCHED_FROM
YEAR = SETTINGS.sessions_per_year
HISTORY = 12 * YEAR
AFTER = 60
PATHS_PER_WORLD = 20
FROZEN = "2006-12-31"
CRISES = {"2008-09": "2008-09-15", "2015-08": "2015-08-20", "2020-02": "2020-02-20"}
"""Lehman Brothers' first session in bankruptcy, and the first falling sessions of the other two."""


@dataclass(frozen=True)
class Watched:
    """(paths, looks): where episodes opened, and where none could before that session."""

    opened: NDArray[np.bool_]
    busy: NDArray[np.bool_]


def watch(features: NDArray[np.float32], thresholds: DriftThresholds) -> Watched:
    """Look daily at (paths, sessions, F) features."""
    columns = [
        rolling_wasserstein(features[:, :, column], SETTINGS.reference_sessions, SETTINGS.windows)
        / thresholds.bounds[column]
        for column in range(features.shape[2])
    ]
    return count_episodes(np.concatenate(columns, axis=2).max(axis=2), SETTINGS)


def count_episodes(ratios: NDArray[np.floating], settings: DriftSettings) -> Watched:
    """Run the latch over (paths, looks) largest ratios."""
    counter = EpisodeCounter((len(ratios),), settings)
    opened, busy = np.zeros(ratios.shape, bool), np.zeros(ratios.shape, bool)
    for look in range(ratios.shape[1]):
        busy[:, look] = counter.busy
        opened[:, look] = counter.step(ratios[:, look])
    return Watched(opened, busy)


@dataclass
class Tally:
    """What one monitor did on many groups of paths."""

    alarms: list[float]
    delays: dict[str, list[float]]
    excluded: int = 0

    def rate(self) -> tuple[float, float]:
        """Alarms a year, and the upper end of a one-sided 95 % interval over the groups."""
        values = np.array(self.alarms)
        return values.mean(), values.mean() + 1.645 * values.std(ddof=1) / len(values) ** 0.5

    def detection(self, change: str) -> str:
        """Share found within 60 sessions, median delay of those, median delay of all."""
        delays = np.array(self.delays.get(change, []))
        if not len(delays):
            return "-"
        found = delays[delays <= AFTER]
        middle = np.median(delays)
        overall = f"{middle:.0f}" if middle <= AFTER else f"> {AFTER}"
        return f"{len(found) / len(delays):.2f}, {np.median(found) if len(found) else np.nan:.0f} ({overall})"


def note_delays(tally: Tally, change: str, watched: Watched, start: int) -> None:
    """Add the delays of a change that comes at look `start`."""
    free = ~watched.busy[:, start]
    after = watched.opened[free, start : start + AFTER]
    tally.delays.setdefault(change, []).extend(np.where(after.any(axis=1), after.argmax(axis=1) + 1.0, np.inf))
    tally.excluded += int((~free).sum())


def simulated(paths: int) -> Tally:
    """The calibrated monitor on simulated worlds."""
    tally = Tally([], {})
    for world in range(max(2, paths // PATHS_PER_WORLD)):
        generator = np.random.default_rng([1, world])
        history = combine(*simulate(HISTORY, 1, generator))[0]
        thresholds = calibrate_thresholds(dated(history), SETTINGS, seed=world)
        factor, own = simulate(WARM_UP + YEAR + AFTER, PATHS_PER_WORLD, generator)
        quiet = watch(features_of(combine(factor, own)[:, : WARM_UP + YEAR], thresholds.forecast), thresholds)
        tally.alarms.append(quiet.opened.sum() / PATHS_PER_WORLD)
        for change, returns in changes(factor, own, WARM_UP + YEAR).items():
            note_delays(tally, change, watch(features_of(returns, thresholds.forecast), thresholds), YEAR)
    return tally


def bootstrapped(returns: pd.DataFrame, paths: int) -> dict[str, Tally]:
    """The monitor calibrated on real history, on paths of that history's days in blocks of a year.

    Where blocks meet volatility jumps: to the monitor a change, and a real one. So the days of the first row carry the
    surprise that they were on their own date; the second row computes it along the path, seams included.
    """
    thresholds = calibrate_thresholds(returns, SETTINGS, seed=1)
    days = block_days(len(returns) - surprise.WARM_UP, WARM_UP + YEAR + AFTER, paths, YEAR, seed=2) + surprise.WARM_UP
    values = returns.to_numpy(np.float32)
    own_date = surprise.volatility_surprise(returns, fitted(thresholds)).to_numpy(np.float32)
    without, seams = Tally([], {}), Tally([], {})
    after = (np.arange(days.shape[1]) >= WARM_UP + YEAR)[None, :, None].astype(np.float32)
    for group in np.array_split(days, max(2, paths // PATHS_PER_WORLD)):
        plain = features_of(values[group], thresholds.forecast)
        excess = plain[..., -1] - own_date[group[:, surprise.WARM_UP :] - surprise.WARM_UP]
        for change, factor in (("", 0.0), ("volatility x 2", 1.0), ("volatility x 1.5", 0.5)):
            features = features_of(values[group] * (1 + factor * after), thresholds.forecast) if change else plain
            for tally, correction in ((seams, 0.0), (without, excess)):
                corrected = features.copy()
                corrected[..., -1] -= correction
                if change:
                    note_delays(tally, change, watch(corrected, thresholds), YEAR)
                else:
                    quiet = watch(corrected[:, :-AFTER], thresholds)
                    tally.alarms.append(quiet.opened.sum() / len(group))
    return {
        "the same, sample data in blocks of a year": without,
        "the same, volatility's jumps at the blocks' seams left in": seams,
    }


def fitted(thresholds: DriftThresholds) -> surprise.VolatilityForecast:
    """The forecast of thresholds that have one."""
    if thresholds.forecast is None:
        raise ValueError("thresholds of fewer than three symbols have no forecast")
    return thresholds.forecast


def rivals(paths: int) -> dict[str, Tally]:
    """Evidently's defaults and river's detectors on simulated paths; the latter watch the daily rms."""
    factor, own = simulate(WARM_UP + YEAR + AFTER, paths, np.random.default_rng(2))
    start = WARM_UP + YEAR
    markets = {"": combine(factor, own)} | changes(factor, own, start)
    tallies: dict[str, Tally] = {}
    for change, returns in markets.items():
        features = features_of(returns, None)
        verdicts: dict[str, NDArray[np.bool_]] = {}
        daily = np.stack([evidently_defaults(f, SETTINGS.reference_sessions, max(SETTINGS.windows)) for f in features])
        verdicts["Evidently's defaults, daily"] = daily
        verdicts["Evidently's defaults with our latch"] = count_episodes(daily * 2.0, SETTINGS).opened
        for name, create in river_detectors().items():
            runs = [river_alarms(create(), f[:, -1], SETTINGS.reference_sessions, WATCHED_FROM) for f in features]
            verdicts[name] = np.stack(runs)
        for name, alarms in verdicts.items():
            tally = tallies.setdefault(name, Tally([], {}))
            if change:
                note_delays(tally, change, Watched(alarms, np.zeros_like(alarms)), YEAR)
            else:
                tally.alarms = list(alarms[:, :YEAR].sum(axis=1).astype(float))
    return tallies


def dated(values: NDArray[np.float32]) -> pd.DataFrame:
    return pd.DataFrame(values, index=pd.bdate_range("1995-01-02", periods=len(values), name="session"))


def real_history(returns: pd.DataFrame) -> None:
    """Print delays in three crises and retrains a year with everything frozen before 2007."""
    thresholds = calibrate_thresholds(returns.loc[:FROZEN], SETTINGS, seed=1)
    features = watched_features(returns, thresholds.forecast)
    ours = watch(features.to_numpy(np.float32)[None], thresholds)
    sessions = features.index[WATCHED_FROM:]
    plain = watched_features(returns, None).to_numpy(np.float32)
    daily = evidently_defaults(plain, SETTINGS.reference_sessions, max(SETTINGS.windows))
    latched = count_episodes(daily[None] * 2.0, SETTINGS)
    rows = {
        f"calibrated, frozen at {FROZEN}": ours,
        "Evidently's defaults, daily": Watched(daily[None], np.zeros((1, len(daily)), bool)),
        "Evidently's defaults with our latch": latched,
    }
    span = f"{sessions[0].date()} to {sessions[-1].date()}"
    print(f"\n## Real history, {span}: delay in sessions (first falling session = 1), retrains a year\n")
    print("| | " + " | ".join(CRISES) + " | a year, all | a year, from 2007 |")
    print("|---|" + "---|" * (len(CRISES) + 2))
    for name, watched in rows.items():
        cells = [crisis_delay(watched, sessions, onset) for onset in CRISES.values()]
        later = np.asarray(sessions > pd.Timestamp(FROZEN))
        cells += [f"{watched.opened[0, chosen].mean() * YEAR:.2f}" for chosen in (slice(None), later)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    opened = ", ".join(str(day.date()) for day in sessions[ours.opened[0]])
    print(f"\nEpisodes of the calibrated monitor: {opened}.")


def crisis_delay(watched: Watched, sessions: pd.Index, onset: str) -> str:
    start = int(sessions.searchsorted(pd.Timestamp(onset)))
    after = np.flatnonzero(watched.opened[0, start : start + 120])
    delay = f"{after[0] + 1}" if len(after) else "> 120"
    return f"{delay} (episode open or cooling at onset)" if watched.busy[0, start] else delay


def print_rows(title: str, tallies: dict[str, Tally]) -> None:
    names = ["volatility x 2", "volatility x 1.5", "correlation .2 to .7"]
    print(f"\n## {title}\n\n| | false alarms a year (upper 95 %) | " + " | ".join(names) + " |")
    print("|---|---|" + "---|" * len(names))
    for name, tally in tallies.items():
        rate, upper = tally.rate()
        cells = " | ".join(tally.detection(change) for change in names)
        print(f"| {name} | {rate:.2f} ({upper:.2f}) | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=800, help="simulated and bootstrapped paths of a year")
    parser.add_argument("--champions", type=int, default=300, help="simulated champions for the live tests")
    parser.add_argument("--rival-paths", type=int, default=20, help="simulated paths for the other detectors")
    arguments = parser.parse_args()
    started = time.process_time()
    returns = sample_returns()
    print("Cells: share found within 60 sessions, median delay of those (of all).")
    calibrated = {
        f"calibrated, budget {SETTINGS.alarms_per_year}, factor GARCH": simulated(arguments.paths),
    } | bootstrapped(returns, arguments.paths)
    print_rows(f"Simulated changes, {arguments.paths} paths", calibrated)
    print_rows(f"Others, {arguments.rival_paths} factor GARCH paths", rivals(arguments.rival_paths))
    real_history(returns)
    print(live_rows(arguments.champions))
    print(f"\n{time.process_time() - started:.0f} s of CPU.")


if __name__ == "__main__":
    main()
