"""A deployment's Dagster learns which sessions a data folder's has done, and asks for the ones after them."""

from pathlib import Path

import dagster as dg
import pytest

from regime_assets.carried_history import carry_history
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import Home

SIGNAL, MODEL, DRIFT = (dg.AssetKey(["us", *path]) for path in (["daily_signal"], ["short", "vae"], ["drift_report"]))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A folder in whose Dagster three sessions are done."""
    home = Home(tmp_path / "data")
    monkeypatch.setenv("DAGSTER_HOME", prepare_dagster_home(home)["DAGSTER_HOME"])
    with dg.DagsterInstance.get() as instance:
        for session in ("2022-12-15", "2022-12-16", "2022-12-19"):
            for key in (SIGNAL, MODEL, DRIFT):
                instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=session))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "deployment"))
    (tmp_path / "deployment").mkdir()
    return home


def test_what_is_done_is_carried_once_and_what_asks_for_something_is_not(home: Home) -> None:
    with dg.DagsterInstance.get() as deployment:
        deployment.report_runless_asset_event(dg.AssetMaterialization(SIGNAL, partition="2022-12-19"))
        assert carry_history(home, deployment, print) == 2 + 3
        assert deployment.get_materialized_partitions(SIGNAL) == {"2022-12-15", "2022-12-16", "2022-12-19"}
        assert not deployment.get_materialized_partitions(DRIFT)
        assert carry_history(home, deployment, print) == 0


def test_a_folder_without_a_dagster_has_nothing_to_carry(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as deployment:
        assert carry_history(Home(tmp_path), deployment, print) == 0
