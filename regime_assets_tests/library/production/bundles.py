"""Small bundles for the tests of production."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np

from regime_assets.library.artifact import Parts
from regime_assets.library.models.features import FeatureSettings
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
