from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np

from regime_assets.library.production.environment import (
    LOCK_FILE,
    NOT_INSTALLED,
    PACKAGES,
    environment_versions,
    lock_hash,
)


def test_it_names_the_versions_that_run() -> None:
    versions = environment_versions()
    assert versions["numpy"] == np.__version__
    assert sys.version.startswith(versions["python"])
    assert set(PACKAGES) < set(versions)


def test_it_covers_the_lock_file() -> None:
    sha256 = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()
    assert environment_versions()["lock"] == f"requirements.lock {sha256}"


def test_without_a_lock_file_it_covers_what_is_installed(tmp_path: Path) -> None:
    kind, _, sha256 = lock_hash(tmp_path / "none").rpartition(" ")
    assert (kind, len(sha256)) == ("installed versions", 64)
    assert lock_hash(tmp_path / "none either").endswith(sha256)


def test_a_package_that_is_absent_is_said_to_be() -> None:
    from regime_assets.library.production import environment

    assert environment._installed("no-such-distribution") == NOT_INSTALLED


def test_it_imports_none_of_them() -> None:
    program = (
        "import sys\n"
        "from regime_assets.library.production.environment import environment_versions\n"
        "environment_versions()\n"
        "print(sorted({'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
