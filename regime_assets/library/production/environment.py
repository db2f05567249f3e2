"""Versions of the packages that decide a model's bits, read from their metadata without importing them.

Equal inputs, seeds and versions on one kind of machine give equal bits. A bundle's manifest carries these versions
so that a partition that does not reproduce can be told apart from a partition that was built elsewhere.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "duckdb",
    "gymnasium",
    "numpy",
    "pandas",
    "regime_assets",
    "safetensors",
    "scikit-learn",
    "scipy",
    "stable-baselines3",
    "torch",
)
NOT_INSTALLED = "not installed"


def environment_versions() -> dict[str, str]:
    """Python's version, the machine's architecture and the version of each package of `PACKAGES`."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{package: _installed(package) for package in PACKAGES},
    }


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED
