"""Stores that lost something: a bundle is made again of its models; tables and a ledger that are older are refused."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.production.bundle import COMPONENTS, BundleError, copy_bundle, verify_bundle
from regime_assets.library.production.registry_store import RegisteredBundle
from regime_assets.library.steps.rebuilt_bundle import rebuilt
from regime_assets.library.steps.stores_in_step import (
    StoresDifferError,
    declare_again,
    lost_sessions,
    require_in_step,
    untried_designs,
)
from regime_assets.library.upkeep.store_health import serving_findings
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design
from regime_assets_tests.library.steps.session_chain import run_range, small_workspace

FIRST, SECOND, THIRD = date(2017, 6, 28), date(2017, 6, 29), date(2017, 6, 30)


def designed(workspace: Workspace) -> Workspace:
    workspace.__dict__["design"] = small_design()
    return workspace


@pytest.fixture(scope="module")
def two_sessions(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two sessions with all stores; the tables as they were after the first one lie beside them."""
    workspace = designed(small_workspace(tmp_path_factory.mktemp("stores"), "home"))
    for session in (FIRST, SECOND):
        run_range(workspace, [session])
        shutil.copyfile(workspace.home.database("tiny"), workspace.home.root / f"{session}.duckdb")
    return workspace


@pytest.fixture
def workspace(two_sessions: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(two_sessions.home.root, tmp_path / "home")
    return designed(Workspace(two_sessions.universe, Home(tmp_path / "home")))


def champion(workspace: Workspace) -> RegisteredBundle:
    found = workspace.registry.champion("tiny.short")
    assert found is not None
    return found


@pytest.mark.parametrize("file", ["manifest.json", *(f"{name}/document.json" for name in COMPONENTS)])
def test_a_damaged_bundle_is_made_again_of_its_models_to_the_same_hash(workspace: Workspace, file: str) -> None:
    stored = champion(workspace)
    (stored.path / file).write_bytes((stored.path / file).read_bytes()[:-9])
    with pytest.raises(BundleError):
        verify_bundle(stored.path, stored.sha256)
    with rebuilt(workspace, "short", stored) as sound:
        assert sound is not None
        copy_bundle(sound, stored.path, stored.sha256)
    verify_bundle(stored.path, stored.sha256)


def test_a_bundle_whose_model_is_gone_as_well_is_not_made_of_another_one(workspace: Workspace) -> None:
    stored = champion(workspace)
    shutil.rmtree(stored.path / "policy")
    folder = workspace.home.model("tiny", "short", workspace.design.hash_for("short"), "rl_policy", stored.session)
    shutil.rmtree(folder)
    shutil.copytree(next(folder.parent.parent.parent.glob(f"{FIRST}/*/rl_policy")), folder)
    with rebuilt(workspace, "short", stored) as sound:
        assert sound is None


def test_a_session_on_tables_that_lost_the_one_before_is_refused_with_what_to_do(workspace: Workspace) -> None:
    require_in_step(workspace, THIRD)
    tables = workspace.home.database("tiny")
    shutil.copyfile(workspace.home.root / f"{FIRST}.duckdb", tables)
    assert lost_sessions(workspace) == (SECOND, SECOND)
    with pytest.raises(StoresDifferError, match=rf"{tables}: .*regime-assets restore.*materialize {SECOND} again"):
        require_in_step(workspace, THIRD)
    require_in_step(workspace, SECOND)
    tables.unlink()
    with pytest.raises(StoresDifferError, match=f"{tables}: does not know the answer of {SECOND}"):
        require_in_step(workspace, THIRD)


def test_the_doctor_does_not_make_mlflow_like_older_tables(workspace: Workspace) -> None:
    before = workspace.registry.history("tiny.short")[-1].after
    shutil.copyfile(workspace.home.root / f"{FIRST}.duckdb", workspace.home.database("tiny"))
    found = list(serving_findings(workspace, repair=True))
    assert [(finding.level, finding.subject) for finding in found] == [("fault", "databases/tiny.duckdb")]
    shutil.copyfile(workspace.home.root / f"{SECOND}.duckdb", workspace.home.database("tiny"))
    assert workspace.registry.disagreements("tiny.short") == []
    assert workspace.registry.history("tiny.short")[-1].after == before


def test_a_published_signal_that_is_not_the_newest_answer_is_found(workspace: Workspace) -> None:
    published = workspace.home.mlflow_artifacts / "tiny.signal.json"
    for damage in (lambda: published.write_text(published.read_text()[:-9]), published.unlink):
        damage()
        (found,) = [one for one in serving_findings(workspace, repair=False) if one.level != "ok"]
        assert f"materialize daily_signal of {SECOND}" in found.remedy


def test_a_ledger_that_does_not_know_what_was_fitted_is_refused_and_written_again(workspace: Workspace) -> None:
    workspace.home.ledger.unlink()
    with pytest.raises(StoresDifferError, match=rf"{workspace.home.ledger}: .*doctor --repair"):
        require_in_step(workspace, THIRD)
    declare_again(workspace, untried_designs(workspace), clock.now())
    require_in_step(workspace, THIRD)
    assert {finding.level for finding in serving_findings(workspace, repair=False)} == {"ok"}
