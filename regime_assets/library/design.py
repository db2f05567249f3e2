"""The design of a model: every setting that its fit depends on, and one hash over all of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from regime_assets.library.encoders.settings import VaeSettings
from regime_assets.library.features.settings import FeatureSettings
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.regimes.settings import IdentitySettings, MixtureSettings, PersistenceSettings


@dataclass(frozen=True)
class Design:
    """How models are fitted. Two models of one design differ only in the data that they have seen."""

    features: FeatureSettings = field(default_factory=FeatureSettings)
    vae: VaeSettings = field(default_factory=VaeSettings)
    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    persistence: PersistenceSettings = field(default_factory=PersistenceSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    policy: PolicySettings = field(default_factory=PolicySettings)

    @property
    def hash(self) -> str:
        """SHA-256 over every setting: what tells a refresh (same design) from a challenge (another one)."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
