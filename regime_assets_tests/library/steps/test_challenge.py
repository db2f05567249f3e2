"""Another design is judged against the champion's line: live sessions count, earlier ones are a replay."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime

import pytest

from regime_assets.library.clock import clock
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.production.names import model_name
from regime_assets.library.report import page
from regime_assets.library.steps.backtest_report import backtest
from regime_assets.library.steps.fits import fit
from regime_assets.library.steps.judgement import Judgement
from regime_assets.library.steps.promotion import register_and_promote
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe.gate_settings import GateSettings
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design
from regime_assets_tests.library.steps.session_chain import QUICK, small_workspace

FIRST, SECOND = date(2017, 6, 28), date(2017, 6, 29)
OTHER = small_design(encoder={"n_latents": 2}, policy={"algorithm": "ppo"})
DECLARED = datetime(2017, 5, 1, tzinfo=UTC)
EARLY = GateSettings(challenge_sessions=60, live_sessions=40, turnover_limit=100, drawdown_limit=0.9)


def run(workspace: Workspace, session: date) -> Judgement:
    validate_window(workspace, "short", session)
    for kind in KINDS:
        fit(workspace, "short", session, kind)
    backtest(workspace, "short", session, lambda _: None)
    return register_and_promote(workspace, "short", session, None).judgement


@pytest.fixture(scope="module")
def challenged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Judgement]:
    """A champion of one design, and the verdict on another one that was declared two months before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_pictures", lambda _: defaultdict(bytes))
        workspace = small_workspace(tmp_path_factory.mktemp("challenge"), "home")
        assert run(workspace, FIRST).lane == "first"
        workspace.__dict__["design"] = OTHER
        workspace.__dict__["universe"] = workspace.universe.model_copy(update={"gate": EARLY})
        held = workspace.universe.held
        workspace.ledger.start("tiny", "short", OTHER.hash_for("short"), held, "daily", DECLARED)
        for number in range(3):
            workspace.ledger.start("tiny", "short", f"tried {number}", held, "search", clock.now())
        return workspace, run(workspace, SECOND)


def rule_of(judgement: Judgement, name: str) -> float | None:
    return next(rule.value for rule in judgement.rules if rule.rule == name)


def test_another_design_is_a_challenge_and_says_what_was_live(challenged: tuple[Workspace, Judgement]) -> None:
    workspace, judgement = challenged
    assert judgement.lane == "challenge"
    live = workspace.calendar.sessions(date(2017, 5, 2), SECOND)
    assert rule_of(judgement, "live_sessions") == len(live)
    detail = next(rule.detail for rule in judgement.rules if rule.rule == "live_sessions")
    assert detail.startswith("after 2017-05-01, when it was declared; the ")
    assert detail.endswith("before are a replay")


def test_both_records_are_there_before_the_champion_was_promoted(challenged: tuple[Workspace, Judgement]) -> None:
    assert (rule_of(challenged[1], "paired_sessions") or 0) >= 60


def test_every_try_on_the_same_prices_deflates(challenged: tuple[Workspace, Judgement]) -> None:
    workspace, judgement = challenged
    assert workspace.ledger.statistics("tiny", workspace.universe.held).count == 5
    assert any(rule.rule in ("superiority", "look_due") for rule in judgement.rules)


def test_a_look_that_was_taken_is_charged(challenged: tuple[Workspace, Judgement]) -> None:
    workspace, judgement = challenged
    looked = any(rule.rule == "superiority" for rule in judgement.rules)
    spent = workspace.ledger.alpha_spent("tiny", "short", date(2017, 6, 30))
    assert spent == pytest.approx(EARLY.look_alpha if looked else 0.0)


def test_the_champions_record_is_not_booked_under_the_other_design(challenged: tuple[Workspace, Judgement]) -> None:
    workspace, _ = challenged
    rows = workspace.database.query("SELECT design, count(*) AS n FROM decisions WHERE horizon = 'short' GROUP BY 1")
    counts = dict(zip(rows["design"], rows["n"], strict=True))
    assert set(counts) == {QUICK.hash_for("short"), OTHER.hash_for("short")}
    champion = workspace.registry.champion(model_name("tiny", "short"))
    assert champion is not None
    assert champion.tags["settings_hash"] in (QUICK.hash_for("short"), OTHER.hash_for("short"))
