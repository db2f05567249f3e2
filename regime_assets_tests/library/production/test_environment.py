from __future__ import annotations

import subprocess
import sys

import numpy as np

from regime_assets.library.production.environment import NOT_INSTALLED, PACKAGES, environment_versions


def test_it_names_the_versions_that_run() -> None:
    versions = environment_versions()
    assert versions["numpy"] == np.__version__
    assert sys.version.startswith(versions["python"])
    assert set(PACKAGES) < set(versions)


def test_a_package_that_is_absent_is_said_to_be() -> None:
    from regime_assets.library.production import environment

    assert environment._installed("no-such-distribution") == NOT_INSTALLED


def test_it_imports_none_of_them() -> None:
    program = (
        "import sys\n"
        "from regime_assets.library.production.environment import environment_versions\n"
        "environment_versions()\n"
        "print(sorted({'numpy', 'torch', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
