"""The gate promotes what met every rule, and says which rule the rest failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.evaluation.gate import (
    ChallengeEvidence,
    FirstEvidence,
    RefreshEvidence,
    Verdict,
    choose_serving_policy,
    judge_challenge,
    judge_first,
    judge_refresh,
)
from regime_assets.library.evaluation.gate_rules import Integrity
from regime_assets.library.evaluation.trials import TrialStatistics
from regime_assets.library.trading.scoring import Scored, score
from regime_assets.library.universe.gate_settings import GateSettings

SETTINGS = GateSettings()
WHOLE = Integrity({"vae": True, "mixture": True, "policy": True}, {"vae": "a", "mixture": "b", "policy": "c"})


def market(sessions: int = 600, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0004, 0.01, sessions)


def steady(sessions: int = 600, scale: float = 1.0) -> Scored:
    return score(np.full(sessions, 0.6), scale * market(sessions), 0.001)


def refresh(fresh: int = 200) -> RefreshEvidence:
    champion, noise = market(fresh, 1), 0.001 * market(fresh, 2)
    return RefreshEvidence(
        integrity=WHOLE,
        track=steady(),
        buy_and_hold=market(),
        label_agreement=0.99,
        refreshed_exposure=np.full(300, 0.62),
        champion_exposure=np.full(300, 0.60),
        refreshed_fresh_net=champion + noise,
        champion_fresh_net=champion,
    )


def challenge(gain: float, sessions: int = 600, live: int = 300) -> ChallengeEvidence:
    """A challenger whose net returns exceed the champion's by `gain` of daily noise, correlation about .9."""
    champion = 0.6 * market(sessions, 3)
    noise = np.random.default_rng(4).normal(0, 0.0028, sessions)
    net = champion + noise - noise.mean() + gain * 0.0028
    still = np.zeros(sessions)
    return ChallengeEvidence(
        integrity=WHOLE,
        track=Scored(net=net, gross=net, turnover=still, exposure=still + 0.6),
        buy_and_hold=market(sessions),
        champion_net=champion,
        live=live,
        declared=date(2020, 1, 6),
        trials=TrialStatistics(count=5, variance=0.05, evaluations=5),
        sessions_since_look=None,
        alpha_spent=0.0,
    )


def failed(verdict: Verdict) -> set[str]:
    return {rule.rule for rule in verdict.rules if rule.blocking and not rule.passed}


def test_a_whole_refresh_that_decides_alike_is_promoted() -> None:
    verdict = judge_refresh(refresh(), SETTINGS)
    assert (verdict.lane, verdict.outcome, verdict.promote, verdict.reasons) == ("refresh", "promote", True, ())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"integrity": replace(WHOLE, accepted={"vae": False, "mixture": True})}, "components_accepted"),
        ({"integrity": replace(WHOLE, accepted={}, hashes={})}, "components_accepted"),
        ({"integrity": replace(WHOLE, hashes={"vae": "a", "mixture": ""})}, "hashes_present"),
        ({"label_agreement": 0.949}, "label_agreement"),
        ({"refreshed_exposure": np.full(300, 0.75)}, "exposure_change"),
        ({"track": steady(scale=8.0)}, "drawdown_limit"),
        ({"track": score(np.tile([0.0, 1.0], 300), market(), 0.001)}, "turnover_limit"),
        ({"track": score(np.full(600, 1.2), 0.1 * market(), 0.001)}, "exposure_limit"),
        ({"refreshed_fresh_net": market(200, 1) - 0.002}, "non_inferiority"),
    ],
)
def test_each_rule_alone_holds_a_refresh_back(change: dict[str, object], rule: str) -> None:
    verdict = judge_refresh(replace(refresh(), **change), SETTINGS)  # type: ignore[arg-type]
    assert verdict.outcome == "hold"
    assert failed(verdict) == {rule}
    assert rule in " ".join(verdict.reasons)


def test_too_few_fresh_sessions_waive_non_inferiority_and_say_so() -> None:
    verdict = judge_refresh(refresh(fresh=5), SETTINGS)
    assert verdict.promote
    assert verdict.reasons == ("non_inferiority waived: 5 fresh sessions of 126",)
    assert [row["outcome"] for row in verdict.table() if row["rule"] == "non_inferiority"] == ["waived"]


def test_no_fresh_session_at_all_is_a_refresh_as_well() -> None:
    assert judge_refresh(refresh(fresh=0), SETTINGS).promote


def test_exposures_are_compared_over_the_newest_sessions_only() -> None:
    exposure = np.concatenate([np.zeros(48), np.full(252, 0.6)])
    assert judge_refresh(replace(refresh(), refreshed_exposure=exposure), SETTINGS).promote


def test_two_lines_that_both_stayed_in_cash_are_equal() -> None:
    cash = np.zeros(200)
    evidence = replace(refresh(), refreshed_fresh_net=cash, champion_fresh_net=cash)
    assert judge_refresh(evidence, SETTINGS).promote


@pytest.mark.parametrize("flat", ["refreshed_fresh_net", "champion_fresh_net"])
def test_one_line_without_variance_cannot_be_compared(flat: str) -> None:
    verdict = judge_refresh(replace(refresh(), **{flat: np.zeros(200)}), SETTINGS)
    assert verdict.outcome == "insufficient evidence"
    assert "no variance" in verdict.reasons[0]


def test_an_agreement_that_was_not_measured_is_insufficient_evidence() -> None:
    verdict = judge_refresh(replace(refresh(), label_agreement=None), SETTINGS)
    assert verdict.outcome == "insufficient evidence"


def test_a_challenger_that_is_far_better_is_promoted_and_spends_one_look() -> None:
    verdict = judge_challenge(challenge(gain=0.25), SETTINGS)
    assert verdict.promote
    assert verdict.alpha_spent == pytest.approx(0.0401, abs=1e-4)


def test_a_challenger_that_is_as_good_is_insufficient_evidence() -> None:
    verdict = judge_challenge(challenge(gain=0.02), SETTINGS)
    assert verdict.outcome == "insufficient evidence"
    assert "superiority" in failed(verdict)
    assert verdict.alpha_spent > 0


@pytest.mark.parametrize(
    ("evidence", "rule"),
    [
        (challenge(0.25, sessions=503), "paired_sessions"),
        (challenge(0.25, live=125), "live_sessions"),
        (replace(challenge(0.25), sessions_since_look=62), "look_due"),
        (replace(challenge(0.25), alpha_spent=0.22), "alpha_budget"),
    ],
)
def test_no_look_is_taken_before_its_time_or_beyond_the_budget(evidence: ChallengeEvidence, rule: str) -> None:
    verdict = judge_challenge(evidence, SETTINGS)
    assert verdict.outcome == "insufficient evidence"
    assert failed(verdict) == {rule}
    assert verdict.alpha_spent == 0.0
    assert "superiority" not in {outcome.rule for outcome in verdict.rules}


def test_the_yearly_budget_bounds_the_looks_a_year() -> None:
    spent, looks = 0.0, 0
    while judge_challenge(replace(challenge(0.0), alpha_spent=spent), SETTINGS).alpha_spent:
        spent += SETTINGS.look_alpha
        looks += 1
    assert looks == int(SETTINGS.alpha_per_year / SETTINGS.look_alpha)


def test_many_trials_deflate_a_replay_that_few_trials_let_pass() -> None:
    evidence = challenge(gain=0.22, live=300)
    assert judge_challenge(replace(evidence, trials=TrialStatistics(1, 0.0, 1)), SETTINGS).promote
    verdict = judge_challenge(replace(evidence, trials=TrialStatistics(5000, 0.25, 5000)), SETTINGS)
    assert verdict.outcome == "insufficient evidence"
    assert failed(verdict) == {"superiority"}
    assert "after 5000 trials" in " ".join(verdict.reasons)


def test_what_only_the_replay_shows_is_no_evidence() -> None:
    evidence = challenge(gain=0.0, live=200)
    net = evidence.track.net.copy()
    net[:400] += 0.002
    verdict = judge_challenge(replace(evidence, track=replace(evidence.track, net=net)), SETTINGS)
    assert verdict.outcome == "insufficient evidence"
    assert "live_gain" in failed(verdict)


def test_a_verdict_says_which_sessions_were_live_and_which_a_replay() -> None:
    details = {rule.rule: rule.detail for rule in judge_challenge(challenge(gain=0.25), SETTINGS).rules}
    assert details["live_sessions"] == "after 2020-01-06, when it was declared; the 300 before are a replay"
    assert "over 300 sessions; replay gain" in details["superiority"]


def test_a_design_that_was_declared_after_all_sessions_waits() -> None:
    verdict = judge_challenge(challenge(gain=0.25, live=0), SETTINGS)
    assert (verdict.outcome, failed(verdict)) == ("insufficient evidence", {"live_sessions"})


def test_the_deflated_sharpe_ratio_is_shown_and_does_not_block() -> None:
    evidence = replace(challenge(gain=0.25), trials=TrialStatistics(count=10, variance=25.0, evaluations=10))
    verdict = judge_challenge(evidence, SETTINGS)
    assert verdict.promote
    assert [row["outcome"] for row in verdict.table() if row["rule"] == "deflated_sharpe"] == ["noted"]


def test_a_challenger_beyond_the_hard_limits_is_held_however_good() -> None:
    evidence = challenge(0.25)
    verdict = judge_challenge(replace(evidence, track=replace(evidence.track, exposure=np.full(600, 2.0))), SETTINGS)
    assert verdict.outcome == "hold"


@pytest.mark.parametrize("flat", ["champion", "challenger"])
def test_a_flat_champion_or_challenger_proves_nothing(flat: str) -> None:
    evidence, still = challenge(0.25), np.zeros(600)
    if flat == "champion":
        evidence = replace(evidence, champion_net=still)
    else:
        evidence = replace(evidence, track=replace(evidence.track, net=still))
    verdict = judge_challenge(evidence, SETTINGS)
    assert verdict.outcome == "insufficient evidence"
    assert {"superiority", "live_gain"} <= failed(verdict)


def test_the_champion_itself_is_no_better_than_itself() -> None:
    evidence = challenge(0.25)
    same = replace(evidence, track=replace(evidence.track, net=evidence.champion_net))
    assert judge_challenge(same, SETTINGS).outcome == "insufficient evidence"


def test_the_first_bundle_must_be_whole_and_within_the_limits() -> None:
    assert judge_first(FirstEvidence(WHOLE, steady(), market()), SETTINGS).promote
    assert judge_first(FirstEvidence(WHOLE, steady(scale=8.0), market()), SETTINGS).outcome == "hold"
    empty = judge_first(FirstEvidence(WHOLE, steady(0), market(0)), SETTINGS)
    assert empty.outcome == "insufficient evidence"


def fallen(at: int, sessions: int = 2000, depth: float = 0.4) -> np.ndarray:
    """Net returns that lose `depth` on the session `at` and creep up otherwise."""
    net = np.full(sessions, 0.0002)
    net[at] = -depth
    return net


def held(net: np.ndarray, buy_and_hold: np.ndarray) -> RuleOutcome:
    track = Scored(net=net, gross=net, turnover=0 * net, exposure=0 * net + 0.6)
    verdict = judge_first(FirstEvidence(WHOLE, track, buy_and_hold), SETTINGS)
    return next(rule for rule in verdict.rules if rule.rule == "drawdown_limit")


def test_a_deep_fall_holds_promotions_back_and_the_message_names_the_way_out() -> None:
    rule = held(fallen(1900), fallen(1900, depth=0.1))
    assert not rule.passed
    assert "trough leaves what is judged after 657 more sessions" in rule.detail
    assert "gate.drawdown_limit" in rule.detail


def test_a_fall_of_more_than_three_years_ago_is_forgotten() -> None:
    assert held(fallen(2000 - 756), fallen(0, depth=0.1)).passed is False
    assert held(fallen(2000 - 757), fallen(0, depth=0.1)).passed


def test_a_fall_that_buy_and_hold_did_not_avoid_either_is_the_market() -> None:
    assert held(fallen(1900), fallen(1900, depth=0.45)).passed
    assert not held(fallen(1900), fallen(1900, depth=0.38)).passed


def test_the_learned_policy_serves_only_where_it_beat_its_rule() -> None:
    good, equal = challenge(gain=0.25), challenge(gain=0.0)
    assert choose_serving_policy(good.champion_net, good.track.net, SETTINGS).serves == "policy"
    assert choose_serving_policy(equal.champion_net, equal.track.net, SETTINGS).serves == "rule"
    short = choose_serving_policy(good.champion_net[:400], good.track.net[:400], SETTINGS)
    assert short.serves == "rule"
    assert [rule.rule for rule in short.rules] == ["paired_sessions"]


def test_a_judgement_is_the_same_bits_again() -> None:
    assert judge_challenge(challenge(0.1), SETTINGS) == judge_challenge(challenge(0.1), SETTINGS)


def test_a_verdict_lists_every_rule_with_its_value_and_bound() -> None:
    rows = judge_refresh(refresh(), SETTINGS).table()
    assert [row["rule"] for row in rows] == [
        "components_accepted",
        "hashes_present",
        "label_agreement",
        "exposure_change",
        "drawdown_limit",
        "turnover_limit",
        "exposure_limit",
        "non_inferiority",
    ]
    assert {row["outcome"] for row in rows} == {"passed"}
