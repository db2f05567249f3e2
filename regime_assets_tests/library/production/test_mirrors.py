"""What somebody changes in MLflow, or loses of it, does not change what serves; it is put right, and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from regime_assets.library.production.mlflow_client import RegistryError
from regime_assets.library.production.registry import Registry
from regime_assets_tests.library.production.bundles import SESSION
from regime_assets_tests.library.production.conftest import MODEL, open_registry

AddVersion = Callable[..., int]


@pytest.fixture
def mlflow(home: Path) -> MlflowClient:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def served(registry: Registry, add_version: AddVersion) -> Registry:
    """Versions 1 to 3, of which 2 serves and 1 did before."""
    for value in (1.0, 2.0, 3.0):
        add_version(value)
    for version in (1, 2):
        registry.promote(MODEL, version, "r", "accepted")
    return registry


def shown(mlflow: MlflowClient) -> dict[str, int]:
    return {alias: int(version) for alias, version in mlflow.get_registered_model(MODEL).aliases.items()}


def serving(registry: Registry) -> tuple[int | None, int | None]:
    champion, previous = registry.champion(MODEL), registry.previous(MODEL)
    return champion and champion.version, previous and previous.version


def test_mlflow_shows_what_the_journal_says(served: Registry, mlflow: MlflowClient) -> None:
    assert shown(mlflow) == {"champion": 2, "previous": 1}
    assert mlflow.get_model_version(MODEL, "2").tags["promotion"] == "accepted"
    served.roll_back(MODEL, "worse live")
    assert shown(mlflow) == {"champion": 1}
    assert mlflow.get_model_version(MODEL, "2").tags["rolled_back"] == "worse live"


def test_an_alias_that_was_moved_or_removed_by_hand_is_set_back_and_said(
    served: Registry, mlflow: MlflowClient
) -> None:
    mlflow.set_registered_model_alias(MODEL, "champion", "3")
    mlflow.delete_registered_model_alias(MODEL, "previous")
    assert serving(served) == (2, 1)
    told = "\n".join(served.reconcile(MODEL))
    assert "the alias champion named version 3 in MLflow; the promotion journal says version 2" in told
    assert "the alias previous named no version in MLflow; the promotion journal says version 1" in told
    assert shown(mlflow) == {"champion": 2, "previous": 1}
    assert served.reconcile(MODEL) == []


def test_a_champion_that_was_deleted_in_mlflow_serves_under_a_new_number(
    served: Registry, mlflow: MlflowClient
) -> None:
    before = served.champion(MODEL)
    mlflow.delete_model_version(MODEL, "2")
    assert any("version 2 was deleted in MLflow while it served" in line for line in served.reconcile(MODEL))
    now = served.champion(MODEL)
    assert before is not None
    assert now is not None
    assert (now.version, now.sha256) == (4, before.sha256)
    assert shown(mlflow) == {"champion": 4, "previous": 1}
    assert served.roll_back(MODEL, "r").version == 1


def test_another_version_that_was_deleted_in_mlflow_is_one_no_more(served: Registry, mlflow: MlflowClient) -> None:
    mlflow.delete_model_version(MODEL, "1")
    mlflow.delete_model_version(MODEL, "3")
    served.reconcile(MODEL)
    assert [stored.version for stored in served.versions(MODEL)] == [2]
    with pytest.raises(RegistryError, match=r"us\.short 1: there is no such version, or it was deleted"):
        served.roll_back(MODEL, "r")
    assert serving(served) == (2, None)


def test_a_store_that_was_lost_gets_its_versions_back_under_their_numbers(
    served: Registry, home: Path, migrated_store: Path, add_version: AddVersion
) -> None:
    served.delete(MODEL, 3)
    add_version(4.0)
    (home / "mlflow.db").write_bytes(migrated_store.read_bytes())
    registry = open_registry(home)
    assert serving(registry) == (2, 1)
    assert registry.reconcile(MODEL) == [
        "us.short: MLflow did not know it; 3 versions were registered again",
        "us.short: the alias previous named no version in MLflow; the promotion journal says version 1, and it was "
        "set back (to let another version serve: `regime-assets promote`)",
        "us.short: the alias champion named no version in MLflow; the promotion journal says version 2, and it was "
        "set back (to let another version serve: `regime-assets promote`)",
    ]
    fresh = MlflowClient(tracking_uri=f"sqlite:///{home / 'mlflow.db'}")
    assert shown(fresh) == {"champion": 2, "previous": 1}
    assert [int(found.version) for found in fresh.search_model_versions(f"name = '{MODEL}'")] == [4, 2, 1]
    assert fresh.get_model_version(MODEL, "2").tags["session"] == SESSION.isoformat()


@pytest.mark.usefixtures("served")
def test_a_journal_that_was_lost_is_rebuilt_from_mlflow(home: Path) -> None:
    (home / "us.duckdb").unlink()
    registry = open_registry(home)
    assert serving(registry) == (None, None)
    assert registry.reconcile(MODEL) == [
        "us.short: the journal knew no promotion; version 2, MLflow's champion, was adopted"
    ]
    assert serving(registry) == (2, 1)
    assert [stored.version for stored in registry.versions(MODEL)] == [1, 2, 3]


@pytest.mark.usefixtures("served")
def test_a_registry_that_is_down_leaves_what_serves_readable(home: Path) -> None:
    (home / "mlflow.db").write_bytes(b"this is no database" * 1000)
    registry = open_registry(home)
    assert serving(registry) == (2, 1)
    with pytest.raises(RegistryError, match=r"mlflow\.db.*regime-assets doctor --repair"):
        registry.reconcile(MODEL)


def test_a_store_of_a_version_ago_gets_the_later_ones_back_under_their_numbers(
    registry: Registry, home: Path, add_version: AddVersion
) -> None:
    """Half a backup: the tables are of today, `mlflow.db` is of before version 2; 3 was deleted since, 4 is there."""
    add_version(1.0)
    registry.promote(MODEL, 1, "r", "accepted")
    (home / "older.db").write_bytes((home / "mlflow.db").read_bytes())
    for value in (2.0, 3.0, 4.0):
        add_version(value)
    registry.promote(MODEL, 2, "r", "accepted")
    registry.delete(MODEL, 3)
    before = registry.versions(MODEL)
    (home / "mlflow.db").write_bytes((home / "older.db").read_bytes())
    again = open_registry(home)
    told = again.reconcile(MODEL)
    assert told[0] == f"{MODEL}: MLflow's store is older than the journal; 2 versions were registered again"
    assert again.versions(MODEL) == before
    assert serving(again) == (2, 1)
    fresh = MlflowClient(tracking_uri=f"sqlite:///{home / 'mlflow.db'}")
    assert shown(fresh) == {"champion": 2, "previous": 1}
    assert sorted(int(found.version) for found in fresh.search_model_versions(f"name = '{MODEL}'")) == [1, 2, 4]
    assert again.reconcile(MODEL) == []
