"""The graph's steps and the walk-forward fit by one recipe: the same bits, the same refusals, the same ancestors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.library import recipe
from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.artifact import parts_hash
from regime_assets.library.cadence import full_retrain_due
from regime_assets.library.design import Component
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.regimes.settings import JumpSettings, MixtureSettings
from regime_assets.library.steps.fits import StoredFit, Unfitted, fit, session_fit
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe import HORIZONS, Horizon, load_universe
from regime_assets.library.walk import Segment, WalkForwardSettings, replay, schedule
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design

UNIVERSES = {
    "index": "symbols: [AAPL, JPM, KO, XOM]\ntraded: [SP500]\n",
    "pair": "symbols: [AAPL, JPM, KO]\ntraded: [JPM, KO]\nwindows: {short_calendar_days: 400}\n",
}
COMMON = """\
source: {kind: sample}
history_start: 2014-01-02
first_partition: 2015-01-02
last_partition: 2018-12-31
"""
SESSIONS = (date(2016, 6, 28), date(2016, 6, 29), date(2016, 6, 30), date(2016, 7, 1))
QUICK = small_design(policy={"algorithm": "ppo"})  # it starts warm; the shipped policy needs no start

Open = Callable[[str], Workspace]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """A universe with prices and validated windows, whose models are fitted within tenths of a second."""

    def made(name: str) -> Workspace:
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n{COMMON}{UNIVERSES[name]}")
        workspace = Workspace(load_universe(tmp_path / f"{name}.yaml"), Home(tmp_path / name))
        workspace.__dict__["design"] = QUICK
        fetched = SampleSource().fetch(workspace.universe.instruments, date(2014, 1, 2), SESSIONS[-1])
        workspace.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), workspace.calendar)
        return workspace

    return made


def fit_all(workspace: Workspace, horizon: Horizon, sessions: tuple[date, ...]) -> list[StoredFit | Unfitted]:
    """All models of some sessions, one session after the other."""
    done: list[StoredFit | Unfitted] = []
    for session in sessions:
        validate_window(workspace, horizon, session)
        done += [fit(workspace, horizon, session, kind) for kind in KINDS]
    return done


def walked(workspace: Workspace, horizon: Horizon, sessions: tuple[date, ...]) -> list[Segment]:
    """The same sessions, refitted one by one by a walk-forward over history as it was known at their end."""
    history = workspace.history(horizon, sessions[-1])
    every = schedule(len(history.sessions), WalkForwardSettings(len(sessions), 1))
    steps = tuple(
        replace(step, full_retrain=step.full_retrain or full_retrain_due("monthly", session, workspace.calendar))
        for step, session in zip(every, sessions, strict=True)
    )
    name = (workspace.universe.name, horizon)
    return list(replay(history, workspace.window_shape(horizon), workspace.design, steps, name))


def hashes(models: recipe.FittedModels) -> dict[str, str]:
    return {"regimes": parts_hash(models.regimes.to_parts()), "policy": parts_hash(models.policy.to_parts())}


def refusing(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the VAE of one session, counted from 1, break a blocking rule."""
    calls: list[int] = []

    def assess(*_: object) -> tuple[RuleOutcome, ...]:
        calls.append(1)
        return (RuleOutcome("active_units", 0.0, ">= 2", len(calls) != call, blocking=True),)

    monkeypatch.setattr(recipe, "assess_encoder", assess)


@pytest.mark.parametrize(("name", "horizon"), [("index", "short"), ("pair", "long")])
def test_the_steps_of_the_graph_and_the_walk_forward_end_in_the_same_bits(
    opened: Open, name: str, horizon: Horizon
) -> None:
    workspace = opened(name)
    fit_all(workspace, horizon, SESSIONS)
    store = LineageModels(workspace.lineage(horizon))
    for session, segment in zip(SESSIONS, walked(workspace, horizon, SESSIONS), strict=True):
        assert hashes(segment.models) == hashes(store.deciding(session)), session


@pytest.mark.parametrize(("algorithm", "warm"), [("a2c", True), ("sac", False)])
def test_a_design_may_name_another_algorithm_for_its_policy(opened: Open, algorithm: str, warm: bool) -> None:
    """What learns from a replay memory starts anew every session, and its record says so without a note a day."""
    workspace = opened("index")
    budget = {"gradient_steps": 4, "fine_tune_gradient_steps": 2}
    workspace.__dict__["design"] = small_design(policy={"algorithm": algorithm, **budget})
    policies = [one for one in fit_all(workspace, "short", SESSIONS[:2]) if isinstance(one, StoredFit)][3::4]
    assert [(one.record.accepted, one.record.warm_started) for one in policies] == [(True, False), (True, warm)]
    assert policies[1].fitted.notes == ()
    stored = LineageModels(workspace.lineage("short")).deciding(SESSIONS[1]).policy
    assert parts_hash(stored.to_parts()) == policies[1].record.sha256


def test_an_encoder_is_stored_once_and_regimes_refer_to_it(opened: Open) -> None:
    workspace = opened("index")
    fit_all(workspace, "short", SESSIONS[:1])
    lineage = workspace.lineage("short")
    records = lineage.of_session(SESSIONS[0])
    stored = lineage.load(records["gmm"])
    assert stored.document["encoder"] == {kind: records[kind].sha256 for kind in ("vae", "latents")}
    assert not any(name.startswith("vae") for name in stored.arrays)


def test_regimes_whose_encoder_was_replaced_are_passed_over_until_it_is_back(opened: Open) -> None:
    workspace = opened("index")
    fit_all(workspace, "short", SESSIONS[:2])
    fit(workspace, "short", SESSIONS[1], "vae", full_retrain=True)
    store = LineageModels(workspace.lineage("short"))
    ancestor, notes = store.ancestor("gmm", SESSIONS[2])
    assert ancestor is not None
    assert ancestor.session == SESSIONS[0]
    assert "stored: fit the session's regimes again" in notes[0]
    fit(workspace, "short", SESSIONS[1], "vae")  # to the bits that they stand on
    again, _ = store.ancestor("gmm", SESSIONS[2])
    assert again is not None
    assert again.session == SESSIONS[1]


def test_the_stored_path_is_what_the_regimes_say_of_the_window(opened: Open) -> None:
    workspace = opened("index")
    fit_all(workspace, "short", SESSIONS[:1])
    store = LineageModels(workspace.lineage("short"))
    inferred = store.accepted("gmm", SESSIONS[0]).infer(workspace.training_set("short", SESSIONS[0]).features)
    stored = store.path(SESSIONS[0])
    assert stored.names == inferred.names
    for part in ("sessions", "latents", "posteriors", "states", "reconstruction_error", "rule_exposure"):
        pd.testing.assert_frame_equal(
            pd.DataFrame(getattr(stored, part)), pd.DataFrame(getattr(inferred, part)), check_exact=True
        )


def test_a_model_that_is_refused_in_the_graph_is_refused_in_the_walk_and_the_last_accepted_go_on(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened("index")
    refusing(2, monkeypatch)
    done = fit_all(workspace, "short", SESSIONS)
    first, second, third = (done[4 * number : 4 * number + 4] for number in range(3))
    assert [type(one) for one in second] == [StoredFit, Unfitted, Unfitted, Unfitted]
    assert second[3].reason.endswith("vae of index/short, 2016-06-29 was not accepted: active_units = 0.0 (bound >= 2)")
    assert [one.record.parent for one in third] == [one.record.sha256 for one in first]

    refusing(2, monkeypatch)
    segments = walked(workspace, "short", SESSIONS)
    assert [bool(segment.refused) for segment in segments] == [False, True, False, False]
    assert segments[1].models is segments[0].models
    assert segments[1].decided["model_session"].iloc[0] == pd.Timestamp(SESSIONS[0])
    store = LineageModels(workspace.lineage("short"))
    complete = store.complete(SESSIONS[1])
    assert complete is not None
    assert complete[0] == SESSIONS[0]
    assert hashes(segments[3].models) == hashes(store.deciding(SESSIONS[3]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_ancestor_is_passed_over_for_an_older_one_and_the_fit_says_so(opened: Open, kind: str) -> None:
    workspace = opened("index")
    fit_all(workspace, "short", SESSIONS[:2])
    damaged = workspace.home.model("index", "short", QUICK.hash_for("short"), kind, SESSIONS[1]) / "document.json"
    damaged.write_text(damaged.read_text()[:-20])
    done = {one.record.kind: one for one in fit_all(workspace, "short", SESSIONS[2:3]) if isinstance(one, StoredFit)}
    assert done[kind].fitted.parent is not None
    assert done[kind].fitted.parent.session == SESSIONS[0]
    (note,) = done[kind].fitted.notes
    assert note.startswith(f"{kind} of 2016-06-29 is passed over as an ancestor")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"encoder": replace(QUICK.encoder, settings=replace(QUICK.encoder_settings, n_latents=4))},
            {
                "vae": "n_latents was 3 and is 4",
                "latents": "it has 3 latents",
                "gmm": "n_latents was 3 and is 4",
                "rl_policy": "network",
            },
        ),
        (
            {"encoder": small_design({"hidden": (8, 8), "epochs": 20}).encoder},
            {"vae": "hidden was (8,) and is (8, 8)", "gmm": "hidden was"},
        ),
        (
            {"regimes": Component("regimes", "jump", JumpSettings(n_regimes=3))},
            {"gmm": "it has 2 regimes and 3 are asked for", "rl_policy": "network"},
        ),
        (
            {"regimes": Component("regimes", "mixture", MixtureSettings())},
            {"gmm": "its regimes are of jump and not of mixture"},
        ),
    ],
)
def test_another_shape_has_no_predecessor_and_says_so(
    opened: Open, changed: dict[str, object], said: dict[str, str]
) -> None:
    workspace = opened("index")
    fit_all(workspace, "short", SESSIONS[:1])
    validate_window(workspace, "short", SESSIONS[1])
    at = replace(session_fit(workspace, "short", SESSIONS[1]), design=replace(QUICK, **changed))
    done = {kind: recipe.fit_model(kind, at) for kind in KINDS}
    assert {kind for kind in KINDS if done[kind].notes} == set(said)
    for kind, words in said.items():
        assert done[kind].parent is None
        assert words in done[kind].notes[0]


def test_another_design_has_a_lineage_of_its_own_and_the_former_one_goes_on_where_it_was(opened: Open) -> None:
    workspace = opened("index")
    fit_all(workspace, "short", SESSIONS[:1])
    other = workspace.under(replace(QUICK, encoder=small_design({"n_latents": 2}).encoder))
    fit_all(other, "short", SESSIONS[1:2])
    begun = other.lineage("short").of_session(SESSIONS[1])
    assert {kind: one.parent for kind, one in begun.items()} == dict.fromkeys(KINDS, "")
    assert workspace.lineage("short").of_session(SESSIONS[1]) == {}
    fit_all(workspace, "short", SESSIONS[2:3])
    assert workspace.lineage("short").require("vae", SESSIONS[2]).parent == (
        workspace.lineage("short").require("vae", SESSIONS[0]).sha256
    )


def test_another_feature_has_no_predecessor_and_says_so(opened: Open) -> None:
    workspace = opened("index")
    fit_all(workspace, "short", SESSIONS[:1])
    validate_window(workspace, "short", SESSIONS[1])
    at = session_fit(workspace, "short", SESSIONS[1])
    more = at.training.features.assign(one_more=at.training.features.iloc[:, 0] ** 2)
    at = replace(at, training=replace(at.training, features=more))
    notes = {kind: recipe.fit_model(kind, at).notes for kind in KINDS}
    assert "the features are now with one_more" in notes["vae"][0]
    assert "it reads other features" in notes["latents"][0]
    assert "the features are now with one_more" in notes["gmm"][0]
    assert "network" in notes["rl_policy"][0]


def test_both_horizons_have_their_own_models(opened: Open) -> None:
    workspace = opened("index")
    for horizon in HORIZONS:
        validate_window(workspace, horizon, SESSIONS[0])
    fit(workspace, "short", SESSIONS[0], "vae")
    assert isinstance(fit(workspace, "long", SESSIONS[0], "latents"), Unfitted)
    assert isinstance(fit(workspace, "short", SESSIONS[0], "latents"), StoredFit)
