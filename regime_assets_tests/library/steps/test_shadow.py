"""The shadow is frozen, outlives restarts and refreshes, and a champion that falls behind it is rolled back to it."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.monitoring.performance import PerformanceSettings
from regime_assets.library.production.bundle import save_bundle
from regime_assets.library.steps.live_performance import watch
from regime_assets.library.steps.promotion import roll_back
from regime_assets.library.steps.shadow import Shadow, against_shadow, follow_shadow
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.production.bundles import random_bundle
from regime_assets_tests.library.steps.live_champion import LIVE, exposures, live_chain, no_drift, serve

NAME, RECORD = "tiny.short", 252
OLD, NEXT, LATER = date(2015, 6, 1), date(2015, 9, 1), date(2016, 12, 1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return live_chain(tmp_path)


def promote(workspace: Workspace, session: date, seed: int, lane: str = "refresh") -> int:
    """Register a bundle of a session and let it serve."""
    bundle = random_bundle(seed, universe="tiny", horizon="short", session=session, traded=("SP500",))
    folder = workspace.home.bundle("tiny", "short", "design", session)
    sha256 = save_bundle(bundle, folder)
    version = workspace.registry.register(folder, NAME, sha256, {"lane": lane, "serves": "rule"})
    workspace.registry.promote(NAME, version, "test", "promote")
    return version


def follow(workspace: Workspace, session: date) -> Shadow | None:
    """A session's shadow, by stores that are opened anew, as after a restart."""
    fresh = Workspace(workspace.universe, workspace.home)
    return follow_shadow(fresh, "short", session, fresh.history("short", session), RECORD)


def test_what_served_a_year_ago_runs_in_the_shadow_and_brings_its_record(workspace: Workspace) -> None:
    promote(workspace, OLD, 1)
    second = promote(workspace, NEXT, 2)
    promote(workspace, LATER, 3)
    shadow = follow(workspace, LIVE[0])
    assert shadow is not None
    assert shadow.version == second, "the newest one that is old enough"
    assert shadow.since == LIVE[0]
    sessions = workspace.calendar.sessions(NEXT, LIVE[0])[1:]
    assert [day.date() for day in shadow.weights.index] == list(sessions)


def test_nothing_is_compared_with_a_champion_of_yesterday(workspace: Workspace) -> None:
    promote(workspace, LATER, 1)
    promote(workspace, date(2016, 12, 2), 2)
    assert follow(workspace, LIVE[0]) is None


def test_refreshes_and_restarts_leave_it_in_place_and_each_session_adds_one_row(workspace: Workspace) -> None:
    first = promote(workspace, OLD, 1)
    promote(workspace, LATER, 2)
    days = workspace.calendar.sessions(date(2017, 1, 3), date(2017, 1, 11))
    before = follow(workspace, days[0])
    for number, day in enumerate(days[1:-1], start=3):
        promote(workspace, day, number)
        follow(workspace, day)
    after = follow(workspace, days[-1])
    assert before is not None
    assert after is not None
    assert (after.version, after.since) == (first, days[0])
    assert len(after.weights) == len(before.weights) + len(days) - 1
    pd.testing.assert_frame_equal(after.weights.iloc[: len(before.weights)], before.weights, check_freq=False)


def test_a_session_that_is_materialized_again_adds_nothing(workspace: Workspace) -> None:
    promote(workspace, OLD, 1)
    promote(workspace, LATER, 2)
    follow(workspace, LIVE[0])
    once, twice = follow(workspace, date(2017, 1, 4)), follow(workspace, date(2017, 1, 4))
    assert once is not None
    assert twice is not None
    pd.testing.assert_frame_equal(once.weights, twice.weights)


def test_its_term_ends_after_a_year(workspace: Workspace) -> None:
    promote(workspace, OLD, 1)
    second = promote(workspace, LATER, 2)
    promote(workspace, date(2017, 12, 1), 3)
    follow(workspace, LIVE[0])
    shadow = follow(workspace, date(2018, 2, 1))
    assert shadow is not None
    assert (shadow.version, shadow.since) == (second, date(2018, 2, 1))


def test_what_another_design_replaced_is_its_shadow(workspace: Workspace) -> None:
    promote(workspace, OLD, 1)
    replaced = promote(workspace, date(2015, 8, 3), 2)
    follow(workspace, date(2016, 11, 30))
    promote(workspace, LATER, 3, lane="challenge")
    promote(workspace, date(2016, 12, 2), 4)
    shadow = follow(workspace, LIVE[0])
    assert shadow is not None
    assert (shadow.version, shadow.since) == (replaced, LIVE[0])


def test_retention_keeps_it(workspace: Workspace) -> None:
    for number, day in enumerate(workspace.calendar.sessions(date(2015, 6, 1), date(2015, 6, 4))):
        promote(workspace, day, number)
    kept = promote(workspace, date(2015, 6, 5), 9)
    promote(workspace, LATER, 10)
    promote(workspace, date(2016, 12, 2), 11)
    shadow = follow(workspace, LIVE[0])
    assert shadow is not None
    assert shadow.version == kept
    workspace.registry.retention(NAME, keep_last=1)
    assert kept in {stored.version for stored in workspace.registry.versions(NAME)}


def compared(workspace: Workspace, champion: np.ndarray, shadow: np.ndarray, since: date) -> bool:
    """Whether a champion is in breach against a shadow of these exposures, over two years and some days."""
    history = workspace.history("short", date(2017, 12, 29))
    sessions = history.sessions[-520:]
    market = history.market_returns.loc[sessions].to_numpy()
    net = pd.Series(np.concatenate([[0.0, 0.0], champion[:-2] * market[2:]]), index=sessions)
    weights = pd.DataFrame({"SP500": shadow}, index=sessions)
    found = against_shadow(workspace, "short", Shadow(1, since, weights), net, history, PerformanceSettings())
    return found.breached


def test_a_champion_that_loses_against_its_shadow_is_in_breach_and_equal_ones_are_not(workspace: Workspace) -> None:
    since = date(2016, 12, 30)
    history = workspace.history("short", date(2017, 12, 29))
    sessions = history.sessions[-520:]
    generator = np.random.default_rng(0)
    shadow = 0.7 + 0.1 * generator.standard_normal(520)
    equals = [0.7 + 0.1 * generator.standard_normal(520) for _ in range(10)]
    assert sum(compared(workspace, equal, shadow, since) for equal in equals) <= 3, "the budget is .2 a year"
    earned = np.append(history.market_returns.loc[sessions].to_numpy()[2:], [0.0, 0.0])
    live = np.asarray(sessions > pd.Timestamp(since))
    loser = np.where(live, equals[0] - 0.15 * np.sign(earned), equals[0])
    assert compared(workspace, loser, shadow, since)


def test_the_breach_leads_to_a_roll_back_to_the_shadow(workspace: Workspace) -> None:
    shadow = promote(workspace, OLD, 1)
    promote(workspace, LATER, 2)
    left = promote(workspace, date(2016, 12, 2), 3)
    serve(workspace, exposures(workspace, unlucky=True))
    no_drift(workspace, LIVE[0])
    assert watch(workspace, "short", LIVE[0]).decision.action == "nothing"
    no_drift(workspace, LIVE[1])
    seen = watch(workspace, "short", LIVE[1])
    assert seen.paired is not None
    assert seen.paired.breached
    assert seen.figures["paired_cusum_over_bound"] >= 1
    assert seen.decision.action == "roll back and alert"
    assert seen.decision.roll_back_to == shadow
    assert "in its shadow" in seen.decision.reason
    roll_back(workspace, "short", seen.decision.reason, to=seen.decision.roll_back_to)
    champion = workspace.registry.champion(NAME)
    assert champion is not None
    assert champion.version == shadow
    assert "rolled_back" in workspace.registry.versions(NAME)[left - 1].tags
    assert follow(workspace, date(2017, 7, 3)) is None, "the champion is no shadow of itself, and nothing older served"
