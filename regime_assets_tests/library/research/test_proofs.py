"""The proofs hold for the product's own parts, and each of them fails when its law is broken."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.market.store import MarketStore
from regime_assets.library.research import proofs
from regime_assets.library.research.proofs import ProofSettings, fees_never_help, oracle_is_found, run_proofs
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2013-01-02
first_partition: 2015-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
"""
END = date(2016, 12, 30)
QUICK = ProofSettings(noise_histories=2, noise_sessions=252, oracle_sessions=600)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("universe")
    (folder / "tiny.yaml").write_text(UNIVERSE)
    workspace = Workspace(load_universe(folder / "tiny.yaml"), Home(folder / "home"))
    workspace.__dict__["design"] = small_design(policy={"gradient_steps": 200, "hidden": ()})
    fetched = SampleSource().fetch(workspace.universe.instruments, workspace.universe.history_start, END)
    workspace.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), workspace.calendar)
    return workspace


def seen(results: Iterator[proofs.Proof], name: str) -> proofs.Proof:
    return next(proof for proof in results if proof.name == name)


@pytest.fixture
def quick(workspace: Workspace) -> Workspace:
    """The same universe with a policy that is hardly trained."""
    untrained = Workspace(workspace.universe, workspace.home)
    untrained.__dict__["design"] = small_design(policy={"evidence_z": 1e9})
    return untrained


def test_every_proof_holds_and_the_store_is_only_read(workspace: Workspace, tmp_path: Path) -> None:
    before = workspace.database.query("SELECT * FROM bars ORDER BY symbol, session")
    results = list(run_proofs(workspace, END, tmp_path, QUICK))
    assert [proof.name for proof in results] == [
        "no look-ahead, short",
        "no look-ahead, long",
        "features forget the start",
        "fees up, profit never up",
        "white noise earns nothing",
        "an oracle is found",
    ]
    assert not [proof for proof in results if not proof.holds]
    pd.testing.assert_frame_equal(before, workspace.database.query("SELECT * FROM bars ORDER BY symbol, session"))


def test_a_feature_that_looks_a_session_ahead_is_caught(
    quick: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = proofs.build_training_set

    def peeking(*arguments: object) -> object:
        training = honest(*arguments)  # pyright: ignore[reportArgumentType]
        return replace(training, features=training.features.shift(-1).ffill())

    monkeypatch.setattr(proofs, "build_training_set", peeking)
    proof = seen(run_proofs(quick, END, tmp_path, QUICK), "no look-ahead, short")
    assert not proof.holds
    assert "features up to 2016-12-08 changed" in proof.evidence


def test_a_perturbation_that_changes_nothing_proves_nothing(
    quick: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "_perturbed", lambda bars, _cut: bars)
    proof = seen(run_proofs(quick, END, tmp_path, QUICK), "no look-ahead, short")
    assert not proof.holds
    assert "did not change" in proof.evidence


def test_features_that_remember_the_start_are_caught(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = proofs.build_training_set

    def remembering(*arguments: object) -> object:
        training = honest(*arguments)  # pyright: ignore[reportArgumentType]
        return replace(training, features=training.features.expanding().mean())

    store = MarketStore(workspace.database, workspace.universe.name)
    assert proofs.recursive_start(workspace, store, END).holds
    monkeypatch.setattr(proofs, "build_training_set", remembering)
    assert not proofs.recursive_start(workspace, store, END).holds


def test_a_scorer_that_pays_for_trading_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = pd.DataFrame(np.random.default_rng(0).normal(0.0, 0.01, (50, 2)))
    assert fees_never_help(returns, [], 0.0010).holds
    honest = proofs.realised_returns
    monkeypatch.setattr(proofs, "realised_returns", lambda weights, earned, cost: -honest(weights, -earned, cost))
    assert not fees_never_help(returns, [], 0.0010).holds


def test_an_oracle_that_a_policy_may_not_use_is_not_found(quick: Workspace) -> None:
    returns = quick.history("long", END).traded_returns
    assert not oracle_is_found(quick, returns, QUICK).holds
