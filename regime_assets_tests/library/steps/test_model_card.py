"""A model card says what a bundle is, how it did and where it ends, and invents nothing."""

import json
from pathlib import Path

from regime_assets.definitions import SHIPPED_UNIVERSES
from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.home import Home
from regime_assets.library.production.bundle import save_bundle
from regime_assets.library.steps.judgement import Judgement
from regime_assets.library.steps.model_card import model_card, publish_card
from regime_assets.library.universe import load_universes
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.production.bundles import SESSION, manifest, stored_only_bundle

(UNIVERSE,) = load_universes([SHIPPED_UNIVERSES]).loaded
RULES = (
    RuleOutcome("drawdown_limit", 0.19, "at most .35", True, True, ""),
    RuleOutcome("gain", None, "a|b", False, False),
)
JUDGEMENT = Judgement("refresh", "hold", "too little evidence", "rule", 1, {"sharpe": 0.5, "calmar": None}, RULES)
ROW = {"strategy": "regime rule", "sharpe": 0.51, "sharpe_low": -0.9, "sharpe_high": 1.9, "max_drawdown": -0.1}


def test_it_holds_data_design_figures_verdict_limits_and_lineage() -> None:
    origin = manifest(universe="us_large_cap", horizon="short", parents={"vae": "a" * 64})
    card = model_card(UNIVERSE, origin, JUDGEMENT, 3, [{**ROW, "cagr": None, "volatility": 0.2}])
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings == [
        "# us_large_cap.short, version 3",
        "## Data",
        "## Design",
        "## How it did, on sessions that it had not seen",
        "## Verdict",
        "## Limits",
        "## Lineage",
    ]
    assert "| regime rule | 0.51 [-0.90, 1.90] | -10.0% | n/a | 20.0% |" in card
    assert "| gain | warning | n/a | a/b |" in card, "a bar in a cell would break the table"
    assert f"vae: warm start from `{'a' * 64}`" in card
    assert origin.data_hash in card


def test_without_the_backtests_figures_it_shows_those_of_the_verdict() -> None:
    card = model_card(UNIVERSE, manifest(universe="us_large_cap", horizon="long"), JUDGEMENT, 1)
    assert "| sharpe | 0.5 |" in card
    assert "| calmar | n/a |" in card
    assert "everything was trained from scratch" in card


def test_it_stands_beside_the_bundle_and_on_the_versions_page(tmp_path: Path) -> None:
    workspace = Workspace(UNIVERSE, Home(tmp_path))
    bundle = stored_only_bundle(SESSION, 1, universe="us_large_cap")
    built = workspace.home.bundle("us_large_cap", "short", bundle.manifest.settings_hash, SESSION)
    sha256 = save_bundle(bundle, built)
    version = workspace.registry.register(built, "us_large_cap.short", sha256, {"verdict": "hold"})
    figures = workspace.home.report("us_large_cap", "short", "backtest", SESSION).with_suffix(".data") / "figures.json"
    figures.parent.mkdir(parents=True)
    row = {name: [value] for name, value in ROW.items()} | {"cagr": [0.1], "volatility": [0.2]}
    figures.write_text(json.dumps({"tables": {"comparison": row}}))
    path = publish_card(workspace, bundle.manifest, JUDGEMENT, version)
    assert path == built.with_suffix(".md")
    assert "0.51 [-0.90, 1.90]" in path.read_text()
    from mlflow import MlflowClient

    client = MlflowClient(workspace.home.mlflow_uri, workspace.home.mlflow_uri)
    shown = client.get_model_version("us_large_cap.short", str(version))
    assert shown.description == path.read_text()
    assert "manifest.json" in {file.path for file in _artifacts(workspace, shown.source)}


def _artifacts(workspace: Workspace, source: str) -> list:
    """What MLflow lists on the version's page."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(source, workspace.home.mlflow_uri).list_artifacts()
