"""A model that has not seen both kinds of market says so."""

from __future__ import annotations

import numpy as np

from regime_assets.library.evaluation.experience import experience, experience_rule

CALM_YEAR = np.full(252, 0.0004)
CRASH = np.full(60, -0.008)


def test_a_long_calm_has_seen_no_crisis() -> None:
    rule = experience_rule(np.tile(CALM_YEAR, 8), 252)
    assert not rule.passed
    assert not rule.blocking
    assert rule.detail == "it has seen no crisis: the deepest fall is 0%, 20% make one"


def test_a_history_that_begins_in_a_crash_and_stays_down_has_seen_no_calm() -> None:
    returns = np.concatenate([np.tile(CRASH, 3), np.zeros(1400)])
    assert [reason.split(":")[0] for reason in experience(returns, 252).lacks] == ["it has seen no calm"]


def test_two_good_years_are_young() -> None:
    reasons = experience(np.concatenate([CALM_YEAR, CRASH, CALM_YEAR]), 252).lacks
    assert [reason.split(":")[0] for reason in reasons] == ["it is young"]


def test_calm_crisis_and_calm_again_are_enough() -> None:
    rule = experience_rule(np.concatenate([np.tile(CALM_YEAR, 4), CRASH, np.tile(CALM_YEAR, 4)]), 252)
    assert rule.passed
    assert rule.detail.startswith("deepest fall 38%")


def test_a_market_that_never_closes_counts_its_own_years() -> None:
    assert experience(np.zeros(730), 365).years == 2.0
