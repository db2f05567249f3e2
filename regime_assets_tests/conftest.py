"""Tests never touch the user's data folder, and count on one thread for equal bits."""

import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from regime_assets.library.duckdb_extensions import ExtensionError, extension_path
from regime_assets.library.shared_storage import CATALOG_VARIABLE, STORAGE_VARIABLE, SharedStorage
from regime_assets_tests.postgres_server import PostgresServer, programs

os.environ["REGIME_ASSETS_HOME"] = tempfile.mkdtemp(prefix="regime-assets-tests-")
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
TRACKING_STORE = "MLFLOW_TRACKING_URI"
os.environ.pop(TRACKING_STORE, None)


@pytest.fixture(autouse=True)
def no_instance_of_another_test() -> Iterator[None]:
    """Dagster 1.13 keeps a closed instance's state storage in a context variable, where later definitions find it."""
    if "dagster" not in sys.modules:
        yield
        return
    from dagster._core.storage.defs_state.base import set_defs_state_storage

    with set_defs_state_storage(None):
        yield


@pytest.fixture(autouse=True)
def no_tracking_store_of_another_test() -> Iterator[None]:
    """MLflow writes the store of a run into the environment, where the next data folder would read it."""
    yield
    os.environ.pop(TRACKING_STORE, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of a process."""
    if programs() is None or find_spec("psycopg") is None:
        pytest.skip("PostgreSQL's programs or psycopg are not installed")
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def on_shared_server(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    """This process and those that it starts share locks and leases; their tables need DuckDB's extensions as well."""
    monkeypatch.setenv(CATALOG_VARIABLE, postgres.url())
    monkeypatch.setenv(STORAGE_VARIABLE, f"file://{tmp_path / 'shared'}")
    return postgres


@pytest.fixture(scope="session")
def shared_storage(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> SharedStorage:
    """Where machines share tables and files; tests tell their tables apart by the names of their universes."""
    try:
        for name in ("ducklake", "postgres_scanner"):
            extension_path(name)
    except ExtensionError as error:
        pytest.skip(str(error))
    return SharedStorage(postgres.url(), f"file://{tmp_path_factory.mktemp('shared')}")


@pytest.fixture
def on_shared_storage(shared_storage: SharedStorage, monkeypatch: pytest.MonkeyPatch) -> SharedStorage:
    """This process and those that it starts are machines of one deployment."""
    monkeypatch.setenv(CATALOG_VARIABLE, shared_storage.catalog)
    monkeypatch.setenv(STORAGE_VARIABLE, shared_storage.storage)
    return shared_storage
