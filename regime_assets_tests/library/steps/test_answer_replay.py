from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.production.bundle import Bundle, BundleError, save_bundle
from regime_assets.library.production.code_version import code_version
from regime_assets.library.production.deployments import Deployment, DeploymentLog, inputs_hash
from regime_assets.library.production.environment import environment_versions
from regime_assets.library.production.signal import score
from regime_assets.library.steps.answer_replay import ReplayError, compare, differing_causes, replay, served
from regime_assets_tests.library.production.bundles import SESSION, random_bundle, random_features

MODEL = "us.short"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(seed=1, serves="policy")


@pytest.fixture(scope="module")
def features(bundle: Bundle) -> pd.DataFrame:
    return random_features(bundle)


@pytest.fixture(scope="module")
def deployment(bundle: Bundle, features: pd.DataFrame) -> Deployment:
    return Deployment(
        universe="us",
        horizon="short",
        model_version=3,
        bundle_sha256=bundle.sha256(),
        inputs_hash=inputs_hash(features),
        features={str(name): float(value) for name, value in features.iloc[-1].items()},
        signal=score(bundle, features),
        decided_at=datetime(2022, 3, 1, 23, tzinfo=UTC),
        reason="champion",
    )


@pytest.fixture
def workspace(tmp_path: Path, bundle: Bundle, features: pd.DataFrame) -> Any:
    """The part of a chain that a replay reads."""

    def training_set(horizon: str, session: date) -> Any:
        assert (horizon, session) == ("short", SESSION)
        return SimpleNamespace(features=features)

    home = Home(tmp_path)
    universe = SimpleNamespace(name="us", own_components=())
    design = SimpleNamespace(features=[SimpleNamespace(document=lambda read=read: read) for read in bundle.features])
    database = DatabaseFile(home.database(universe.name))
    return SimpleNamespace(universe=universe, home=home, database=database, design=design, training_set=training_set)


def test_a_recorded_answer_is_given_again_to_the_bit(workspace: Any, bundle: Bundle, deployment: Deployment) -> None:
    DeploymentLog(workspace.database).record(deployment)
    save_bundle(bundle, workspace.home.mlflow_artifacts / MODEL / deployment.bundle_sha256)
    done = replay(workspace, "short", SESSION)
    assert done.equal
    assert done.deployment == deployment
    assert served(workspace, SESSION) == {"short": (deployment,), "long": ()}


def test_what_is_missing_or_spoiled_is_named(workspace: Any, bundle: Bundle, deployment: Deployment) -> None:
    for ask in (lambda: replay(workspace, "short", SESSION), lambda: served(workspace, SESSION)):
        with pytest.raises(ReplayError, match="served 2022-03-01"):
            ask()
    DeploymentLog(workspace.database).record(deployment)
    with pytest.raises(ReplayError, match="version 3 was deleted"):
        replay(workspace, "short", SESSION)
    folder = workspace.home.mlflow_artifacts / MODEL / deployment.bundle_sha256
    save_bundle(bundle, folder)
    (folder / "policy" / "document.json").write_text("{}")
    with pytest.raises(BundleError, match="policy"):
        replay(workspace, "short", SESSION)


Change = Callable[[Deployment, Bundle, pd.DataFrame], tuple[Deployment, Bundle, pd.DataFrame]]
CHANGES: dict[str, Change] = {
    "bundle: recorded with hash": lambda d, _, f: (d, random_bundle(seed=2, serves="policy"), f),
    "inputs: recorded with hash": lambda d, b, f: (d, b, f * 1.0000001),
    "newest input ": lambda d, b, f: (d, b, f * 1.0000001),
    "answer exposure: was 0.123, is ": lambda d, b, f: (replace(d, signal=replace(d.signal, exposure=0.123)), b, f),
    "answer regime: was none, is ": lambda d, b, f: (replace(d, signal=replace(d.signal, regime="none")), b, f),
    "answer latents 0: was 9.0, is ": lambda d, b, f: (
        replace(d, signal=replace(d.signal, latents=(9.0, *d.signal.latents[1:]))),
        b,
        f,
    ),
}


@pytest.mark.parametrize("line", CHANGES)
def test_each_broken_link_is_a_line(line: str, deployment: Deployment, bundle: Bundle, features: pd.DataFrame) -> None:
    assert compare(deployment, bundle, features) == ()
    lines = compare(*CHANGES[line](deployment, bundle, features))
    assert any(found.startswith(line) for found in lines), lines
    if "was 0.123" in line:
        assert lines[0].endswith(f"by {deployment.signal.exposure - 0.123:+.3g}")


def test_the_cause_of_a_difference_is_named(deployment: Deployment, bundle: Bundle, features: pd.DataFrame) -> None:
    environment = environment_versions()
    manifest = replace(bundle.manifest, code_version=code_version(), environment=environment)
    assert differing_causes(deployment, manifest, features) == ()
    assert {"processor", "blas"} < set(environment)
    elsewhere = replace(manifest, code_version="abc", environment=environment | {"blas": "openblas Haswell"})
    causes = differing_causes(deployment, elsewhere, features * 1.1)
    assert [line.partition(":")[0] for line in causes] == ["data", "code", "machine"]
    assert "blas was openblas Haswell, is " in causes[2]
