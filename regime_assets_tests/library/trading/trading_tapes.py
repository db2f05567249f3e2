"""Small made-up markets for the tests of environment and policy."""

from __future__ import annotations

import numpy as np

from regime_assets.library.trading.scoring import FILL_DELAY
from regime_assets.library.trading.tape import MarketTape


def noise_tape(sessions: int = 400, instruments: int = 3, seed: int = 0, drift: float = 0.0003) -> MarketTape:
    """Returns without memory, observations without meaning, a rule that switches for no reason."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(drift, 0.01, (sessions, 1)) + rng.normal(0.0, 0.005, (sessions, instruments))
    rule = (np.sin(np.arange(sessions) / 20.0) > -0.4).astype(float)
    observations = np.column_stack([rng.normal(size=(sessions, 3)), rule]).astype(np.float32)
    return MarketTape(
        observations, rule, returns, np.full(instruments, 1.0 / instruments), np.linspace(0.5, 1.5, sessions)
    )


def oracle_tape(sessions: int = 400, seed: int = 0) -> MarketTape:
    """As `noise_tape`, but the first observation is the return that the decision will earn, raw."""
    tape = noise_tape(sessions, seed=seed)
    observations = tape.observations.copy()
    observations[:-FILL_DELAY, 0] = tape.base_returns[FILL_DELAY:]
    return MarketTape(observations, tape.rule_exposure, tape.returns, tape.base_weights, tape.sample_weight)
