"""Would the drift monitor see more with what the champion's autoencoder makes of the market?

    python benchmarks/drift_shown.py [--worlds 12]

Prints markdown: the seven features with bounds, then with the reconstruction error or the latents added at the same
budget, and these alone, on simulated worlds as in `drift.py`. An autoencoder is trained on each world's history.
Fifteen CPU seconds a world.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from drift import (
    AFTER,
    HISTORY,
    SETTINGS,
    WARM_UP,
    WATCHED_FROM,
    YEAR,
    Tally,
    count_episodes,
    dated,
    note_delays,
    print_rows,
)
from drift_markets import Floats, changes, combine, simulate
from numpy.typing import NDArray

from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.encoders.settings import MlpVaeSettings
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.features.market_risk import compute_features
from regime_assets.library.features.settings import FeatureSettings
from regime_assets.library.monitoring import calibration, surprise
from regime_assets.library.monitoring.drift import BUDGET_WEIGHTS, watched_features
from regime_assets.library.monitoring.wasserstein import rolling_wasserstein

PATHS_PER_WORLD = 10
MEMORY = FeatureSettings().memory_sessions
SHOWN_WEIGHT = max(BUDGET_WEIGHTS.values())
SEVEN = tuple(range(len(BUDGET_WEIGHTS)))
ERROR, LATENTS = len(SEVEN), tuple(range(len(SEVEN) + 1, len(SEVEN) + 1 + MlpVaeSettings().n_latents))
MONITORS = {
    "the seven features": SEVEN,
    "and the reconstruction error": (*SEVEN, ERROR),
    "and the latents": (*SEVEN, *LATENTS),
    "the reconstruction error alone": (ERROR,),
    "the latents alone": LATENTS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=12)
    tallies = {name: Tally([], {}) for name in MONITORS}
    worlds = parser.parse_args().worlds
    for world in range(worlds):
        watch_world(world, tallies)
    print_rows(f"{worlds * PATHS_PER_WORLD} simulated paths", tallies)


def watch_world(world: int, tallies: dict[str, Tally]) -> None:
    """Add one world's alarms and delays to every monitor's tally."""
    generator = np.random.default_rng([88, world])
    history = dated(combine(*simulate(HISTORY + MEMORY, 1, generator))[0])
    features = model_features(history)
    weights = np.ones(len(features))
    vae = fit_encoder(features, weights, "mlp_vae", MlpVaeSettings(), world, None, full_retrain=True).model
    forecast = surprise.fit_forecast(history)
    null = null_distances(everything(history, forecast, vae), world)
    bounds = {name: fitted_bounds(null[:, :, chosen]) for name, chosen in MONITORS.items()}
    start = MEMORY + WARM_UP + YEAR
    factor, own = simulate(start + AFTER, PATHS_PER_WORLD, generator)
    markets = {"": combine(factor, own)[:, :start]} | changes(factor, own, start)
    for change, returns in markets.items():
        paths = [everything(dated(path), forecast, vae) for path in np.maximum(returns, -0.99)]
        watched = np.stack([path[-(WATCHED_FROM + YEAR + returns.shape[1] - start) :] for path in paths])
        distances = all_distances(watched, reference_step=1)
        for name, chosen in MONITORS.items():
            opened = count_episodes((distances[:, :, chosen] / bounds[name]).max(axis=(2, 3)), SETTINGS)
            if change:
                note_delays(tallies[name], change, opened, YEAR)
            else:
                tallies[name].alarms.append(opened.opened.sum() / PATHS_PER_WORLD)


def model_features(returns: pd.DataFrame) -> pd.DataFrame:
    """What the model reads, for the sessions that have their memory."""
    prices = (1 + returns.astype(np.float64)).cumprod()
    return compute_features(prices, returns.mean(axis=1), pd.DatetimeIndex(prices.index[MEMORY:]), FeatureSettings())


def everything(returns: pd.DataFrame, forecast: surprise.VolatilityForecast, vae: FittedEncoder) -> Floats:
    """(T', F) the seven features, the log reconstruction error, and the latents, of the sessions that have all."""
    features = model_features(returns)
    shown = np.column_stack([np.log(vae.reconstruction_error(features)), vae.encode(features)])
    watched = watched_features(returns, forecast).to_numpy()
    length = min(len(shown), len(watched)) - MlpVaeSettings().sequence_length
    return np.concatenate([watched[-length:], shown[-length:]], axis=1).astype(np.float32)


def null_distances(values: Floats, seed: int) -> Floats:
    """(paths, looks, F, W) distances on days of a history in blocks."""
    length = WATCHED_FROM + SETTINGS.path_sessions
    days = calibration.block_days(len(values), length, SETTINGS.paths, SETTINGS.block_sessions, seed)
    return all_distances(((values - values.mean(axis=0)) / values.std(axis=0))[days], reference_step=5)


def fitted_bounds(null: Floats) -> NDArray[np.float64]:
    """(F, W) bounds that keep to the budget; what has no weight of its own weighs as much as the surprise."""
    features, windows = null.shape[2:]
    weights = np.array([*BUDGET_WEIGHTS.values()][:features] if features >= len(SEVEN) else [])
    weights = np.append(weights, np.full(features - len(weights), SHOWN_WEIGHT)).repeat(windows)
    bounds, _ = calibration.fit_bounds(null.reshape(*null.shape[:2], -1), weights / weights.max(), SETTINGS)
    return bounds.reshape(features, windows)


def all_distances(values: Floats, reference_step: int) -> Floats:
    """(paths, looks, F, W) of (paths, sessions, F)."""
    columns = [
        rolling_wasserstein(values[:, :, column], SETTINGS.reference_sessions, SETTINGS.windows, reference_step)
        for column in range(values.shape[2])
    ]
    return np.stack(columns, axis=2).astype(np.float32)


if __name__ == "__main__":
    main()
