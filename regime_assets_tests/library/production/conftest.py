from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.production.bundle import save_bundle
from regime_assets.library.production.registry import Registry
from regime_assets_tests.library.production.bundles import SESSION, stored_only_bundle

MODEL = "us.short"


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store, migrated once; every test works on a copy, since a migration costs seconds."""
    folder = tmp_path_factory.mktemp("store")
    open_registry(folder).reconcile(MODEL)
    return folder / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, migrated_store: Path) -> Path:
    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    return tmp_path


def open_registry(home: Path) -> Registry:
    """The registry in a folder, as a new process would open it."""
    database = DatabaseFile(home / "us.duckdb")
    return Registry(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts", home / "locks", database)


@pytest.fixture
def registry(home: Path) -> Registry:
    return open_registry(home)


@pytest.fixture
def add_version(home: Path, registry: Registry) -> Callable[..., int]:
    """Save and register a bundle that differs from the others by its value."""

    def add(value: float, session: date = SESSION, design: str = "one design") -> int:
        folder = home / "built" / f"{session}-{value}"
        sha256 = save_bundle(stored_only_bundle(session, value), folder)
        tags = {"note": f"value {value}", "settings_hash": design}
        return registry.register(folder, MODEL, sha256, tags)

    return add
