"""Small bundles for the tests of production."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts
from regime_assets.library.design import Design
from regime_assets.library.encoders.alignment import identity_alignment
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.encoders.scaling import Scaler
from regime_assets.library.encoders.settings import MlpVaeSettings
from regime_assets.library.features.market_risk import feature_names
from regime_assets.library.features.settings import FeatureSettings
from regime_assets.library.policies.networks import Networks
from regime_assets.library.policies.policy import Policy
from regime_assets.library.production.bundle import Bundle
from regime_assets.library.production.manifest import Manifest
from regime_assets.library.regimes.mixture import Mixture
from regime_assets.library.regimes.persistence import Persistence
from regime_assets.library.regimes.regime_model import RegimeModel
from regime_assets.library.regimes.segmentation import Segmentation
from regime_assets.library.trading.actions import ActionMap

SESSION = date(2022, 3, 1)
FEATURES = tuple(feature.document() for feature in Design().features)


def manifest(session: date = SESSION, **changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "universe": "us",
        "horizon": "short",
        "session": session,
        "traded": ("AAPL", "MSFT"),
        "serves": "rule",
        "data_hash": "d" * 64,
        "settings_hash": "s" * 64,
        "code_version": "1",
        "seeds": {"vae": 1},
        "parents": {},
        "metrics": {"sharpe": 0.5, "elbo": None},
        "verdict": "accepted",
        "environment": {"python": "3.11"},
    }
    return Manifest(**(fields | changes))


@dataclass(frozen=True)
class StoredOnly:
    """A component that can be stored; what it computes does not matter to who stores it."""

    value: float

    def to_parts(self) -> Parts:
        return Parts({"value": np.full(8, self.value)}, {})


def stored_only_bundle(session: date = SESSION, value: float = 0.0, **changes: Any) -> Bundle:
    """A bundle for the registry, which stores and compares bundles and never runs one."""
    component: Any = StoredOnly(value)
    regimes = RegimeModel(component, component, "jump", "decoded", component)
    return Bundle(manifest(session, **changes), FEATURES, regimes, component)


def random_bundle(seed: int = 0, width: int = 8, sequence_length: int = 3, members: int = 1, **changes: Any) -> Bundle:
    """A whole bundle with random weights, for what runs bundles: loading, scoring, serving. Nothing is fitted."""
    generator = np.random.default_rng(seed)
    n_latents = 2
    settings = MlpVaeSettings(sequence_length=sequence_length, hidden=(width, width), n_latents=n_latents)
    names = feature_names(FeatureSettings(), n_symbols=20)
    n_features, inputs = len(names), sequence_length * len(names)

    def layer(*shape: int) -> NDArray[np.float32]:
        return generator.normal(0, shape[-1] ** -0.5, shape).astype(np.float32)

    weights = {"log_sigma": np.zeros(n_features, np.float32)}
    widths = {"encoder": (inputs, width, width, 2 * n_latents), "decoder": (n_latents, width, width, inputs)}
    for network, sizes in widths.items():
        for number, (entering, leaving) in enumerate(pairwise(sizes)):
            weights[f"{network}.{number}.weight"] = layer(leaving, entering)
            weights[f"{network}.{number}.bias"] = np.zeros(leaving, np.float32)
    vae = FittedEncoder("mlp_vae", settings, names, Scaler(np.zeros(n_features), np.ones(n_features), 3.0), weights)
    means = np.stack([np.full(n_features, -0.5), np.full(n_features, 0.5)])
    covariances = np.stack([np.eye(n_features), 2 * np.eye(n_features)])
    mixture = Mixture(("calm", "turbulent"), means, covariances, np.array([0.6, 0.4]), "decoded")
    regimes = RegimeModel(
        vae, identity_alignment(n_latents), "jump", "decoded", Segmentation(mixture, Persistence(2.0, 0.1, 2))
    )
    n_observations = n_latents + 2 + 1
    sizes = (n_observations + 1, width, width, 1)
    actor = Networks(
        tuple(layer(members, entering, leaving) for entering, leaving in pairwise(sizes)),
        tuple(np.zeros((members, leaving), np.float32) for leaving in sizes[1:]),
    )
    centre, scale = np.zeros(n_observations, np.float32), np.ones(n_observations, np.float32)
    log_std = np.zeros((members, 1), np.float32)
    policy = Policy(ActionMap("residual", np.array([0.5, 0.5])), centre, scale, actor, log_std=log_std)
    return Bundle(manifest(**changes), FEATURES, regimes, policy)


def random_features(bundle: Bundle, n_rows: int = 30, seed: int = 0) -> pd.DataFrame:
    """Features (n_rows, F) that end on the bundle's session."""
    names = bundle.regimes.vae.feature_names
    sessions = pd.bdate_range(end=bundle.manifest.session, periods=n_rows, name="session")
    values = np.random.default_rng(seed).normal(size=(n_rows, len(names)))
    return pd.DataFrame(values, index=sessions, columns=list(names))
