"""Bundles of the first format, read as what they are today: the same arrays under today's names.

Then a bundle knew one encoder, one kind of features, and a mixture and its persistence as two components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from regime_assets.library.artifact import Parts, prefixed
from regime_assets.library.components import class_path
from regime_assets.library.encoders.settings import MlpVaeSettings

COMPONENTS = ("vae", "alignment", "mixture", "persistence", "policy")


def features_today(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The components of features that a bundle's settings of features were."""
    return [{"class": class_path("features", "market_risk"), "version": 1, "settings": dict(settings)}]


def parts_today(parts: Mapping[str, Parts]) -> dict[str, Parts]:
    """The parts of a bundle of today."""
    mixture, persistence = parts["mixture"], parts["persistence"]
    arrays = prefixed("mixture", mixture.arrays) | prefixed("persistence", persistence.arrays)
    document = {
        "use": "jump",
        "coordinates": mixture.document["coordinates"],
        "regimes": {"mixture": mixture.document, "persistence": persistence.document},
    }
    return {
        "vae": _encoder(parts["vae"]),
        "alignment": parts["alignment"],
        "regimes": Parts(arrays, document),
        "policy": parts["policy"],
    }


def _encoder(parts: Parts) -> Parts:
    today = {field.name for field in fields(MlpVaeSettings)}
    settings = {name: value for name, value in parts.document["settings"].items() if name in today}
    arrays = {
        name if name.startswith("scaler_") else f"weights/{_torch_name(name)}": array
        for name, array in parts.arrays.items()
    }
    document = {"use": "mlp_vae", "settings": settings, "feature_names": parts.document["feature_names"]}
    return Parts(arrays, document)


def _torch_name(name: str) -> str:
    """`encoder_0_weight` was what torch calls `encoder.0.weight`."""
    return name if name == "log_sigma" else name.replace("_", ".")
