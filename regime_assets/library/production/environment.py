"""What a model's bits rest on: versions read from the packages' metadata without importing them, and the lock file.

Equal inputs, seeds and versions on one kind of machine give equal bits. A bundle's manifest carries these versions
so that a partition that does not reproduce can be told apart from a partition that was built elsewhere.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

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
LOCK_FILE = Path(__file__).parents[3] / "requirements.lock"


def environment_versions() -> dict[str, str]:
    """What the bits rest on: Python, machine, processor and its BLAS kernel, each of `PACKAGES`, and `lock_hash`."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "blas": _blas(),
        **{package: _installed(package) for package in PACKAGES},
        "lock": lock_hash(LOCK_FILE),
    }


@cache
def lock_hash(lock_file: Path) -> str:
    """SHA-256 of the lock file that the environment was made from.

    A package that was installed without its repository has no lock file: then of all installed versions.
    """
    try:
        content = lock_file.read_bytes()
    except FileNotFoundError:
        installed = sorted({f"{found.name.lower()}=={found.version}" for found in distributions()})
        return f"installed versions {hashlib.sha256(chr(10).join(installed).encode()).hexdigest()}"
    return f"{lock_file.name} {hashlib.sha256(content).hexdigest()}"


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


@cache
def _blas() -> str:
    """NumPy's BLAS and the kernel that it chose for this processor: another kernel sums in another order."""
    import numpy
    from threadpoolctl import threadpool_info

    folder = str(Path(numpy.__file__).parent)
    own = [found for found in threadpool_info() if found["user_api"] == "blas" and found["filepath"].startswith(folder)]
    return " ".join(str(own[0].get(key)) for key in ("internal_api", "version", "architecture")) if own else "unknown"


@cache
def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED
