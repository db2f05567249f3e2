"""DuckDB's extensions exist for its release 1.5 only: what needs them runs beside an environment that has them.

The release and its extensions are installed into a folder of their own, which comes first on the path; all else comes
from the environment of the tests.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from regime_assets_tests.postgres_server import programs

RELEASE = "1.5.5"
PACKAGES = ("duckdb", "duckdb-extension-ducklake", "duckdb-extension-postgres-scanner", "duckdb-extension-httpfs")
ROOT = Path(__file__).parents[2]
TESTS = (
    "lake/test_lake.py",
    "lake/test_lake_migrations.py",
    "lake/test_sharing.py",
    "lake/test_promotions.py",
    "library/test_database.py",
    "library/test_keyed_rows.py",
)


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder, kept with the environment."""
    folder = Path(sys.prefix) / f"duckdb-{RELEASE}"
    if not (folder / "complete").exists():
        wanted = [f"{name}=={RELEASE}" for name in PACKAGES]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *wanted]
        installed = subprocess.run(pip, capture_output=True, text=True, check=False)
        if installed.returncode:
            pytest.skip(f"pip cannot install {', '.join(wanted)} here: {installed.stderr.strip().splitlines()[-1:]}")
        (folder / "complete").touch()
    return folder


@pytest.mark.skipif(find_spec("duckdb_extension_ducklake") is not None, reason="these tests run in this environment")
@pytest.mark.skipif(programs() is None, reason="PostgreSQL's programs are not installed")
def test_what_is_said_of_shared_tables_holds(packages: Path) -> None:
    tests = [str(ROOT / "regime_assets_tests" / name) for name in TESTS]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "lake", *tests],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)])},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert "skipped" not in ran.stdout, ran.stdout[-2000:]
