"""A run over a range of sessions ends in the champions, answers and bits of the same sessions run one by one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.library import recipe
from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.artifact import parts_hash
from regime_assets.library.features.training_set import features_hash
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.production.names import model_name
from regime_assets.library.production.registry_store import PROMOTION_TAG
from regime_assets.library.regimes.regime_model import RegimeModel, RegimePath
from regime_assets.library.report import page
from regime_assets.library.steps import fits
from regime_assets.library.steps.backtest_report import backtest
from regime_assets.library.steps.judgement import find_judgement
from regime_assets.library.steps.promotion import register_and_promote
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.steps.session_chain import QUICK, fingerprint, run_range, small_workspace

SESSIONS = tuple(date(2017, 6, day) for day in (26, 27, 28, 29))
GAP = (SESSIONS[0], SESSIONS[1], SESSIONS[3])
REFUSED = SESSIONS[1]


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without their pictures, which are most of what a report costs."""
    monkeypatch.setattr(page, "_pictures", lambda _: defaultdict(bytes))


def refuse_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the short horizon's VAE of one session break a blocking rule, whenever it is fitted."""
    fit_model = recipe.fit_model

    def fitted(kind: str, at: recipe.SessionFit) -> recipe.Fitted[object]:
        breaks = kind == "vae" and at.session == REFUSED and len(at.training.sessions) < 300
        rule = RuleOutcome("active_units", 0.0, ">= 2", not breaks, blocking=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recipe, "assess_encoder", lambda *_: (rule,))
            return fit_model(kind, at)

    monkeypatch.setattr(fits, "fit_model", fitted)


def ran(folder: Path, name: str, runs: Sequence[Sequence[date]]) -> Workspace:
    workspace = small_workspace(folder, name)
    for sessions in runs:
        run_range(workspace, sessions)
    return workspace


def differing(one: Workspace, other: Workspace) -> list[str]:
    first, second = fingerprint(one), fingerprint(other)
    return [name for name in first.keys() | second.keys() if first.get(name) != second.get(name)]


def test_a_range_promotes_each_session_as_the_sessions_one_by_one_do(tmp_path: Path) -> None:
    alone = ran(tmp_path, "alone", [[session] for session in GAP])
    assert differing(alone, ran(tmp_path, "range", [GAP])) == [], "over the gap before the last one as well"
    versions = alone.registry.versions(model_name("tiny", "short"))
    assert [version.session for version in versions] == list(GAP)
    moves = alone.registry.history(model_name("tiny", "short"))
    assert [move.session for move in moves] == list(GAP), "every session was promoted for itself"

    before = fingerprint(alone)
    run_range(alone, GAP[1:2])
    again = fingerprint(alone)
    assert [name for name in before if name != "deployments" and before[name] != again[name]] == []


def test_a_run_infers_no_model_twice_on_the_same_features_and_comes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inferred: Counter[tuple[str, str]] = Counter()
    infer = RegimeModel.infer

    def counted(model: RegimeModel, features: pd.DataFrame) -> RegimePath:
        inferred[parts_hash(model.to_parts()), features_hash(features)] += 1
        return infer(model, features)

    monkeypatch.setattr(RegimeModel, "infer", counted)
    anew = replace(small_workspace(tmp_path, "anew"), reads=None)
    anew.__dict__["design"] = QUICK
    run_range(anew, SESSIONS[:2])
    asked = inferred.copy()
    inferred.clear()
    assert differing(anew, ran(tmp_path, "remembered", [SESSIONS[:2]])) == []
    assert inferred.keys() == asked.keys()
    assert max(asked.values()) > 2
    assert set(inferred.values()) == {1}


def test_a_session_that_is_refused_costs_nothing_but_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_one(monkeypatch)
    alone = ran(tmp_path, "alone", [[session] for session in SESSIONS[:3]])
    whole = ran(tmp_path, "chunks", [SESSIONS[:1], SESSIONS[1:3]])
    assert differing(alone, whole) == []
    name = model_name("tiny", "short")
    assert [version.session for version in whole.registry.versions(name)] == [SESSIONS[0], SESSIONS[2]]
    assert [v.session for v in whole.registry.versions(model_name("tiny", "long"))] == list(SESSIONS[:3])
    served = whole.registry.champion_as_of(name, REFUSED)
    assert served is not None
    assert served.session == SESSIONS[0], "the champion answers for the refused session"
    judgement = find_judgement(whole, "short", REFUSED)
    assert judgement is not None
    assert (judgement.lane, judgement.outcome) == ("none", "hold")
    assert judgement.reason.startswith("vae was not accepted: active_units")
    decided = whole.database.query("SELECT * FROM decisions WHERE horizon = 'short' AND session = ?", [REFUSED])
    assert decided["model_session"].iloc[0].date() == SESSIONS[0]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two sessions, one after the other, that were both promoted."""
    return ran(tmp_path_factory.mktemp("two"), "home", [SESSIONS[1:2], SESSIONS[2:3]])


def test_sessions_before_the_first_champion_take_no_alias_and_are_answered_by_nothing(two: Workspace) -> None:
    workspace = two
    name = model_name("tiny", "short")
    champion = workspace.registry.champion(name)
    skipped = run_range(workspace, SESSIONS[:1])
    assert skipped == [f"nothing served 2017-06-26: no version of {name} was promoted for it or for an earlier session"]
    assert workspace.registry.champion(name) == champion
    assert workspace.registry.challenger(name) is None
    judgement = find_judgement(workspace, "short", SESSIONS[0])
    assert judgement is not None
    assert (judgement.outcome, judgement.reason) == ("hold", "version 2 of 2017-06-28 serves, a later session")


def test_an_old_session_again_never_makes_an_ex_champion_the_challenger(two: Workspace) -> None:
    workspace = two
    name = model_name("tiny", "short")
    before = workspace.registry.champion(name)
    fits.fit(workspace, "short", SESSIONS[1], "rl_policy", full_retrain=True)
    run_range(workspace, SESSIONS[1:2])
    assert workspace.registry.champion(name) == before
    challenger = workspace.registry.challenger(name)
    assert challenger is None or PROMOTION_TAG not in challenger.tags


def test_a_retrained_newest_session_is_promoted_in_its_own_session(tmp_path: Path) -> None:
    workspace = ran(tmp_path, "home", [SESSIONS[:1], SESSIONS[1:2], SESSIONS[2:3]])
    name = model_name("tiny", "short")
    before = workspace.registry.champion(name)
    assert before is not None
    for kind in KINDS:
        fits.fit(workspace, "short", SESSIONS[2], kind, full_retrain=True)

    backtest(workspace, "short", SESSIONS[2], lambda _: None)
    done = register_and_promote(workspace, "short", SESSIONS[2], None)
    assert done.judgement.champion_version == before.version, "it is judged against what its first fit had promoted"
    assert done.judgement.lane == "refresh", done.judgement.reason
    now = workspace.registry.champion(name)
    assert now is not None
    assert (now.version == done.version) == done.judgement.promote
    report = workspace.home.report("tiny", "short", "backtest", SESSIONS[2]).read_text()
    assert f"refresh: {done.judgement.outcome}" in report
    assert "has not run yet" not in report
