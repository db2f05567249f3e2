"""Why a session is in its regime: how far each coordinate pulls towards it, and what the regimes are, in words.

The pull of a coordinate is its share of the log-likelihood by which the session's own regime is ahead of the nearest
other one. The shares of all coordinates add up to that difference exactly, up to what the regimes' weights and the
volumes of their ellipsoids add whatever the session is. Beside it stands the filter: a regime that was entered is left
only when the pulls away from it have added up to the penalty of a switch.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.regimes.mixture import Mixture
from regime_assets.library.regimes.regime_model import RegimeModel, coordinates_of
from regime_assets.library.regimes.segmentation import Segmentation

Array = NDArray[np.float64]


def pulls(model: RegimeModel, features: pd.DataFrame, states: NDArray[np.int64]) -> pd.DataFrame | None:
    """The pull of each coordinate towards the regime of each session, in nats.

    Args:
        model: whose regimes are explained.
        features: (T, F) of the sessions and, before them, what the encoder reads.
        states: (T,) of the same rows, as `RegimePath.states`.

    Returns:
        (T, D) by session; columns are the features where the regimes read them denoised, `z0`, `z1`, ... where they
        read latents. None for regimes of the user's own, of which nothing is known.
    """
    if not isinstance(model.regimes, Segmentation):
        return None
    rows = coordinates_of(model.encoder, features, model.coordinates)
    names = features.columns if model.coordinates == "decoded" else [f"z{n}" for n in range(rows.shape[1])]
    shares = _shares(model.regimes.mixture, rows)
    session = np.arange(len(rows))
    own = shares[session, states]
    apart = (own[:, None, :] - shares).sum(axis=2)
    apart[session, states] = np.inf
    return pd.DataFrame(own - shares[session, apart.argmin(axis=1)], index=features.index, columns=list(names))


def newest_pulls(model: RegimeModel, features: pd.DataFrame, regime: int) -> dict[str, float]:
    """The pulls of the last row of `features` towards a regime; none for regimes of the user's own."""
    found = pulls(model, features, np.full(len(features), regime))
    return {} if found is None else {str(name): float(pull) for name, pull in found.iloc[-1].items()}


def _shares(mixture: Mixture, rows: Array) -> Array:
    """(T, K, D) shares of the coordinates in each regime's log-likelihood, without its constants."""
    shares = np.empty((len(rows), mixture.n_regimes, rows.shape[1]))
    for k, (mean, covariance) in enumerate(zip(mixture.means, mixture.covariances, strict=True)):
        away = rows - mean
        shares[:, k] = -0.5 * away * np.linalg.solve(covariance, away.T).T
    return shares


def strongest(row: pd.Series, count: int = 3) -> str:
    """The coordinates that pull most, for and against, as one line."""
    chosen = row.reindex(row.abs().sort_values(ascending=False, kind="stable").index)[:count]
    return ", ".join(f"{name} {value:+.1f}" for name, value in chosen.items())


def in_words(
    names: tuple[str, ...], states: NDArray[np.int64], market_returns: Array, sessions_per_year: float
) -> tuple[str, ...]:
    """Each regime by what the market did in it: volatility, return, deepest fall, share of sessions, length of stay.

    Args:
        names: (K,).
        states: (T,) of each session.
        market_returns: (T,) simple returns of the same sessions.
        sessions_per_year: to annualise by.
    """
    wealth = np.cumprod(1.0 + market_returns)
    drawdown = wealth / np.maximum.accumulate(np.maximum(wealth, 1.0)) - 1.0
    lines: list[str] = []
    for k, name in enumerate(names):
        inside = states == k
        if not inside.any():
            lines.append(f"{name}: on none of these {len(states)} sessions")
            continue
        stays = int(np.diff(np.concatenate([[0], inside.astype(np.int64)])).clip(min=0).sum())
        mean = float(market_returns[inside].mean()) * sessions_per_year
        volatility = float(market_returns[inside].std()) * np.sqrt(sessions_per_year)
        lines.append(
            f"{name}: {inside.mean():.0%} of the sessions, {inside.sum() / stays:.0f} at a stretch; volatility "
            f"{volatility:.0%}, mean return {mean:+.0%} a year, market up to "
            f"{-drawdown[inside].min():.0%} below its high"
        )
    return tuple(lines)
