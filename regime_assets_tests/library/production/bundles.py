"""Small bundles for the tests of production."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from regime_assets.library.artifact import Parts
from regime_assets.library.models.actions import ActionMap
from regime_assets.library.models.alignment import identity_alignment
from regime_assets.library.models.features import FeatureSettings, feature_names
from regime_assets.library.models.mixture import Mixture
from regime_assets.library.models.networks import Networks
from regime_assets.library.models.persistence import Persistence
from regime_assets.library.models.policy import Policy
from regime_assets.library.models.regimes import RegimeModel
from regime_assets.library.models.vae import Scaler, Vae, VaeSettings
from regime_assets.library.production.bundle import Bundle
from regime_assets.library.production.manifest import Manifest

SESSION = date(2022, 3, 1)


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
    regimes: Any = SimpleNamespace(vae=component, alignment=component, mixture=component, persistence=component)
    return Bundle(manifest(session, **changes), FeatureSettings(), regimes, component)


def random_bundle(seed: int = 0, **changes: Any) -> Bundle:
    """A whole bundle with random weights, for what runs bundles: loading, scoring, serving. Nothing is fitted."""
    generator = np.random.default_rng(seed)
    settings = VaeSettings(sequence_length=3, hidden=(8,), n_latents=2)
    names = feature_names(FeatureSettings(), n_symbols=20)
    n_features, n_latents, inputs = len(names), 2, 3 * len(names)
    layers = {
        "encoder_0": (8, inputs),
        "encoder_1": (2 * n_latents, 8),
        "decoder_0": (8, n_latents),
        "decoder_1": (inputs, 8),
    }
    weights = {"log_sigma": np.zeros(n_features, np.float32)}
    for layer, shape in layers.items():
        weights[f"{layer}_weight"] = generator.normal(0, 0.5, shape).astype(np.float32)
        weights[f"{layer}_bias"] = np.zeros(shape[0], np.float32)
    vae = Vae(settings, names, Scaler(np.zeros(n_features), np.ones(n_features), 3.0), weights)
    means = np.stack([np.full(n_features, -0.5), np.full(n_features, 0.5)])
    covariances = np.stack([np.eye(n_features), 2 * np.eye(n_features)])
    mixture = Mixture(("calm", "turbulent"), means, covariances, np.array([0.6, 0.4]), "decoded")
    regimes = RegimeModel(vae, identity_alignment(n_latents), mixture, Persistence(2.0, 0.1, 2))
    n_observations = n_latents + 2 + 1
    action = ActionMap("residual", np.array([0.5, 0.5]))
    first = generator.normal(size=(1, n_observations + 1, 4)).astype(np.float32)
    second = generator.normal(size=(1, 4, 1)).astype(np.float32)
    actor = Networks((first, second), (np.zeros((1, 4), np.float32), np.zeros((1, 1), np.float32)))
    centre, scale = np.zeros(n_observations, np.float32), np.ones(n_observations, np.float32)
    policy = Policy(action, centre, scale, actor, log_std=np.zeros((1, 1), np.float32))
    return Bundle(manifest(**changes), FeatureSettings(), regimes, policy)


def random_features(bundle: Bundle, n_rows: int = 30, seed: int = 0) -> pd.DataFrame:
    """Features (n_rows, F) that end on the bundle's session."""
    names = bundle.regimes.vae.feature_names
    sessions = pd.bdate_range(end=bundle.manifest.session, periods=n_rows, name="session")
    values = np.random.default_rng(seed).normal(size=(n_rows, len(names)))
    return pd.DataFrame(values, index=sessions, columns=list(names))
