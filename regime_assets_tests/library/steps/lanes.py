"""A made-up market with a secret, a package of the user's that knows it, and the steps of a lane's session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from regime_assets.library.model_kinds import KINDS
from regime_assets.library.steps.backtest_report import backtest
from regime_assets.library.steps.fits import fit
from regime_assets.library.steps.promotion import Promotion, register_and_promote
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace

FEATURES = """
import pandas as pd
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from regime_assets.library.features.protocol import feature


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Told:
    symbol: str = "TELLS"
    ahead: int = 0


@feature(Told, version=1, memory=lambda settings: 10)
def told(inputs, settings):
    level = inputs.prices[settings.symbol].shift(-settings.ahead).ffill() / 100.0 - 1.0
    return pd.DataFrame({"told": level, "told_lately": level.rolling(10).mean()}).loc[inputs.sessions]


@feature(Told, version=1, memory=lambda settings: 1)
def broken(inputs, settings):
    raise ZeroDivisionError("a mistake of the user's")
"""
ENCODER = """
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import nn

from regime_assets.library.encoders.settings import EncoderSettings


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LinearSettings(EncoderSettings):
    pass


class LinearVae(nn.Module):
    Settings = LinearSettings
    version = 1

    def __init__(self, n_features, settings):
        super().__init__()
        self.shape = (settings.sequence_length, n_features)
        wide = n_features * settings.sequence_length
        self.down, self.up = nn.Linear(wide, 2 * settings.n_latents), nn.Linear(settings.n_latents, wide)

    def encode(self, sequences):
        return self.down(sequences.flatten(1)).chunk(2, dim=1)

    def decode(self, latents):
        return self.up(latents).unflatten(1, self.shape)
"""
SMALL_ENCODER = "epochs: 6, warm_up_epochs: 2, steps_per_epoch: 4, fine_tune_epochs: 2"
SMALL = f"design: {{encoder: {{hidden: [8], {SMALL_ENCODER}}}, policy: {{seeds: 2, gradient_steps: 20}}}}\n"
"""Of a universe whose models are fitted within tenths of a second."""


@contextmanager
def own_package(folder: Path) -> Iterator[None]:
    """`their_designs`, a package outside the repository that Python finds."""
    package = folder / "their_designs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "features.py").write_text(FEATURES)
    (package / "encoders.py").write_text(ENCODER)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def market_with_a_secret(days: pd.DatetimeIndex) -> pd.DataFrame:
    """Closes of INDEX, whose good and bad months differ in mean and not in risk, and of TELLS, which says which it is.

    Two symbols more move at random. What is decided on a close is filled on the next one and earns from there on: that
    return is what TELLS says on the first close.
    """
    rng, count = np.random.default_rng(11), len(days)
    bad = np.cumsum(rng.random(count) < 1 / 20) % 2 == 1
    earned = np.where(np.roll(bad, 2), -0.004, 0.004) + 0.008 * rng.standard_normal(count)
    told = np.where(bad, 1.0, -1.0) + 0.05 * rng.standard_normal(count)
    noise = np.exp(np.cumsum(0.01 * rng.standard_normal((count, 2)), axis=0))
    return pd.DataFrame(
        {
            "INDEX": 100 * np.cumprod(1 + earned),
            "TELLS": 100 + told,
            "NOISE": 100 * noise[:, 0],
            "OTHER": 100 * noise[:, 1],
        },
        days,
    )


def run_lane(workspace: Workspace, session: date, horizon: Horizon = "short") -> Promotion:
    """The assets of one lane for one session, whose window is there."""
    for kind in KINDS:
        fit(workspace, horizon, session, kind)
    backtest(workspace, horizon, session, lambda _: None)
    return register_and_promote(workspace, horizon, session, None)


def run_lanes(workspace: Workspace, session: date, horizon: Horizon = "short") -> dict[str, Promotion]:
    """The assets of all lanes of a horizon, in the order of a run."""
    validate_window(workspace, horizon, session)
    return {name: run_lane(workspace.of_lane(name), session, horizon) for name in workspace.universe.lanes}
