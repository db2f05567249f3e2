from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.monitoring.decisions import MonitoringFigures, decide, decision_table
from regime_assets.library.monitoring.drift_episodes import DriftState

SESSION, BREACH = date(2020, 3, 2), date(2020, 2, 27)
CALM = DriftState(SESSION, "calm", None, None, None, False, False, 0, 0, 0, 10)
SUSPECTED = replace(CALM, status="suspected", exceeded=1)
DRIFTING = replace(CALM, status="drifting", episode_id="drift-2020-02-28", opened=date(2020, 2, 28), sessions_since=1)
RETRAINED = replace(DRIFTING, refitted=True)


@pytest.mark.parametrize(
    ("figures", "action", "alert"),
    [
        (MonitoringFigures(CALM), "nothing", False),
        (MonitoringFigures(CALM, below_band=True), "watch", False),
        (MonitoringFigures(SUSPECTED), "watch", False),
        (MonitoringFigures(DRIFTING), "full retrain", False),
        (MonitoringFigures(RETRAINED), "watch", False),
        (MonitoringFigures(CALM, live_breach=BREACH, roll_back_to=7), "roll back and alert", True),
        (MonitoringFigures(DRIFTING, live_breach=BREACH, roll_back_to=7), "roll back and alert", True),
        (MonitoringFigures(CALM, paired_breach=BREACH, roll_back_to=7), "roll back and alert", True),
        (MonitoringFigures(CALM, live_breach=BREACH), "full retrain", True),
    ],
)
def test_figures_lead_to_the_answer(figures: MonitoringFigures, action: str, alert: bool):
    decision = decide(figures)
    assert (decision.action, decision.alert) == (action, alert)
    assert decision.reason


def test_occasion_keeps_its_key_so_that_it_acts_once():
    later = replace(DRIFTING, session=date(2020, 3, 9), sessions_since=6)
    assert decide(MonitoringFigures(DRIFTING)).key == decide(MonitoringFigures(later)).key == "drift-2020-02-28"
    breach = MonitoringFigures(CALM, live_breach=BREACH, roll_back_to=7)
    assert decide(breach).key == "roll-back-2020-02-27"


def test_a_roll_back_names_its_version_and_nothing_else_does():
    behind = MonitoringFigures(CALM, paired_breach=BREACH, live_breach=date(2020, 2, 20), roll_back_to=7)
    decision = decide(behind)
    assert decision.roll_back_to == 7
    assert "behind version 7 in its shadow since 2020-02-27" in decision.reason, "the paired test comes first"
    assert decide(replace(behind, paired_breach=None, live_breach=None)).roll_back_to is None


def test_what_runs_nothing_has_no_key():
    for drift in (CALM, SUSPECTED, RETRAINED):
        assert decide(MonitoringFigures(drift)).key is None


def test_table_lists_every_answer():
    table = decision_table()
    for action in ("nothing", "watch", "full retrain", "roll back and alert"):
        assert f"**{action}**" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_documented_table_is_the_one_that_decides() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()
    assert decision_table() in documented
