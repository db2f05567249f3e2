"""Tests never touch the user's data folder, and count on one thread for equal bits."""

import os
import sys
import tempfile
from collections.abc import Iterator

import pytest

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
