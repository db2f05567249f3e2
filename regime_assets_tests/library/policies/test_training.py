from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regime_assets.library.acceptance import accepted, refusal
from regime_assets.library.artifact import parts_hash
from regime_assets.library.policies.policy import Policy, rule_policy
from regime_assets.library.policies.settings import OnlineSettings, PolicySettings
from regime_assets.library.policies.training import PolicyFit, assess_policy, train_policy
from regime_assets.library.policies.validation import (
    evidence,
    gain_over_rule,
    interquartile_mean,
    kept_share,
    purged_folds,
)
from regime_assets.library.trading.episodes import EpisodeError
from regime_assets.library.trading.scoring import FILL_DELAY, realised_returns
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.tape import MarketTape
from regime_assets_tests.library.trading.trading_tapes import noise_tape, oracle_tape

SMALL = PolicySettings(
    algorithm="ppo",
    trading=TradingSettings(no_trade_band=0.0, action="residual", environments=64, episode_sessions=40),
    seeds=2,
    gradient_steps=60,
    fine_tune_gradient_steps=20,
    hidden=(16, 16),
    learning_rate=3e-3,
)
ABLE = replace(SMALL, gradient_steps=200)


def small_fit() -> PolicyFit:
    return train_policy(noise_tape(), SMALL, seed=5)


@pytest.fixture(scope="module")
def noise_fit() -> PolicyFit:
    return small_fit()


@pytest.fixture(scope="module")
def oracle_fit() -> PolicyFit:
    return train_policy(oracle_tape(800), ABLE, seed=1)


def net(policy: Policy, tape: MarketTape) -> np.ndarray:
    return realised_returns(policy.decide(tape.observations, tape.rule_exposure), tape.returns, 0.0010)


def test_an_oracle_is_exploited_out_of_sample(oracle_fit: PolicyFit) -> None:
    """A feature equal to the return that the decision earns: net of costs far above buy & hold and above the rule."""
    unseen = oracle_tape(800, seed=9)
    policy = net(oracle_fit.model, unseen)
    rule = net(rule_policy(unseen.base_weights, 4), unseen)
    for other in (unseen.base_returns, rule):
        gain = (policy - other)[FILL_DELAY:]
        assert gain.mean() / gain.std() * np.sqrt(len(gain)) > 4
    assert oracle_fit.figures["tilt_kept"] > 0.9
    assert oracle_fit.figures["validation_z"] > 4


@pytest.mark.parametrize("action", ["exposure", "weights"])
def test_free_policies_exploit_the_oracle_too(action: str) -> None:
    settings = replace(ABLE, seeds=1, trading=replace(ABLE.trading, action=action))
    unseen = oracle_tape(800, seed=9)
    gain = (net(train_policy(oracle_tape(800), settings, seed=1).model, unseen) - unseen.base_returns)[FILL_DELAY:]
    assert gain.mean() / gain.std() * np.sqrt(len(gain)) > 3


def test_dqn_exploits_the_oracle_too() -> None:
    settings = replace(ABLE, seeds=1, algorithm="dqn", gradient_steps=300)
    unseen = oracle_tape(800, seed=9)
    fit = train_policy(oracle_tape(800), settings, seed=1)
    gain = (net(fit.model, unseen) - unseen.base_returns)[FILL_DELAY:]
    assert gain.mean() / gain.std() * np.sqrt(len(gain)) > 4
    again = train_policy(oracle_tape(800), settings, seed=2, previous=fit.model)
    assert again.warm_started
    assert again.figures["tilt_kept"] <= fit.figures["tilt_kept"]


@pytest.mark.parametrize(("algorithm", "steps"), [("a2c", 30), ("trpo", 12), ("sac", 400), ("td3", 400), ("ddpg", 200)])
def test_the_other_algorithms_exploit_the_oracle_and_decide_alike_once_they_were_stored(
    algorithm: str, steps: int
) -> None:
    if algorithm == "trpo":
        pytest.importorskip("sb3_contrib")
    batches = 4 if algorithm in ("a2c", "trpo") else 8
    settings = replace(ABLE, seeds=1, algorithm=algorithm, gradient_steps=steps, minibatches=batches)
    unseen = oracle_tape(800, seed=9)
    fit = train_policy(oracle_tape(800), settings, seed=1)
    rule = net(rule_policy(unseen.base_weights, 4), unseen)
    gain = (net(replace(fit.model, tilt_kept=1.0), unseen) - rule)[FILL_DELAY:]
    assert gain.mean() / gain.std() * np.sqrt(len(gain)) > 4
    assert fit.figures["gradient_steps"] == steps
    stored = Policy.from_parts(fit.model.to_parts())
    np.testing.assert_array_equal(net(stored, unseen), net(fit.model, unseen))
    again = train_policy(oracle_tape(800), replace(settings, gradient_steps=1), seed=2, previous=fit.model)
    assert again.warm_started == (algorithm in ("a2c", "trpo"))
    if not again.warm_started:
        assert again.cold_reason == f"{algorithm} keeps no memory between sessions, so that it starts anew every time"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algorithm": "qrdqn"}, "should be 'direct', 'ppo', 'a2c'"),
        ({"algorithm": "td3", "hidden": ()}, "no linear function is: give `hidden` a layer or more"),
        ({"algorithm": "sac", "online": OnlineSettings()}, "they need the algorithm ppo, a2c, trpo or dqn"),
        ({"algorithm": "dqn", "trading": TradingSettings(action="tilts")}, "give it the action residual or exposure"),
    ],
)
def test_an_algorithm_that_does_not_fit_is_refused_in_plain_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **changes)


def test_white_noise_earns_nothing_after_costs() -> None:
    """Trained on noise without drift, judged on noise that came later, pooled over histories.

    The whole tilt is judged too, as if the selection had let it through.
    """
    kept, whole = [], []
    for history in range(6):
        market = noise_tape(900, seed=100 + history, drift=0.0)
        past, unseen = (
            MarketTape(
                market.observations[rows],
                market.rule_exposure[rows],
                market.returns[rows],
                market.base_weights,
                market.sample_weight[rows],
            )
            for rows in (slice(0, 500), slice(500, 900))
        )
        model = train_policy(past, SMALL, seed=history).model
        kept.append(net(model, unseen)[FILL_DELAY:])
        whole.append(net(replace(model, tilt_kept=1.0), unseen)[FILL_DELAY:])
    for pooled in (np.concatenate(kept), np.concatenate(whole)):
        assert pooled.mean() / pooled.std() * np.sqrt(len(pooled)) < 1.645


def test_tilt_without_evidence_is_dropped_and_said(noise_fit: PolicyFit) -> None:
    tape = noise_tape()
    assert noise_fit.figures["tilt_kept"] == noise_fit.model.tilt_kept == 0.0
    assert noise_fit.figures["validation_z"] < SMALL.evidence_z
    rule = rule_policy(tape.base_weights, 4)
    np.testing.assert_array_equal(
        noise_fit.model.decide(tape.observations, tape.rule_exposure),
        rule.decide(tape.observations, tape.rule_exposure),
    )


def test_an_untrained_residual_network_tilts_by_exactly_zero() -> None:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from regime_assets.library.policies import learner as policy_learner
    from regime_assets.library.trading.env import TradingVecEnv

    for settings, make in (
        (SMALL, policy_learner._from_rollouts),
        (replace(SMALL, algorithm="dqn"), policy_learner._dqn),
        (replace(SMALL, algorithm="td3"), policy_learner._from_replay),
        (replace(SMALL, algorithm="sac"), policy_learner._from_replay),
    ):
        env = TradingVecEnv(noise_tape(), settings.trading, levels=settings.active_levels)
        model: BaseAlgorithm = make(env, settings, 1, None)
        policy_learner._neutralise(model)
        actions, _ = model.predict(env.reset(), deterministic=True)
        env.step(actions)
        chosen = np.asarray(settings.levels)[actions] if settings.active_levels else actions
        assert (chosen == 0.0).all()


def test_numpy_decides_as_torch_does(oracle_fit: PolicyFit) -> None:
    """The stored network, put back into SB3, predicts the same actions; out of it again come the same bits."""
    from regime_assets.library.policies import learner as policy_learner
    from regime_assets.library.policies.training import _member
    from regime_assets.library.trading.env import TradingVecEnv

    tape, policy = oracle_tape(800), oracle_fit.model
    member = _member(policy, 1)
    env = TradingVecEnv(tape, ABLE.trading)
    model = policy_learner._from_rollouts(env, ABLE, 99, None)
    policy_learner.insert(model, member)
    out = policy_learner.extract(model)
    for before, after in ((member.actor, out.actor), (member.critic, out.critic)):
        assert before is not None
        assert after is not None
        for left, right in zip((*before.weights, *before.biases), (*after.weights, *after.biases), strict=True):
            np.testing.assert_array_equal(left, right)
    previous = np.random.default_rng(0).uniform(0, 1, (tape.n_sessions, 1)).astype(np.float32)
    inputs = np.concatenate([policy.standardised(tape.observations), previous], axis=1)
    torch_actions, _ = model.predict(inputs, deterministic=True)
    ours = np.clip(policy.member_actions(tape.observations, previous)[1], -1, 1)
    np.testing.assert_allclose(ours, torch_actions, atol=1e-5)
    assert np.ptp(ours) > 0.5


def test_a_warm_start_continues_and_never_raises_the_tilt(oracle_fit: PolicyFit) -> None:
    """The fine-tune begins where the previous policy stood, moves little, and costs its own small budget."""
    shrunk = replace(oracle_fit.model, tilt_kept=0.25)
    fit = train_policy(oracle_tape(800), ABLE, seed=2, previous=shrunk)
    assert fit.warm_started
    assert fit.cold_reason == ""
    assert fit.figures["gradient_steps"] == 2 * ABLE.fine_tune_gradient_steps
    assert fit.figures["kl_to_previous"] < 0.2
    assert fit.figures["tilt_kept"] == 0.25
    first = fit.curves.groupby("seed").first()
    scratch = oracle_fit.curves.groupby("seed").first()
    assert (first["reward"] > scratch["reward"]).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden": (8,)}, "network"),
        ({"seeds": 1}, "number of members"),
        ({"trading": replace(SMALL.trading, tilt_bound=0.2)}, "tilt bound"),
    ],
)
def test_a_previous_policy_of_another_form_is_not_continued_and_the_reason_is_given(
    noise_fit: PolicyFit, change: dict[str, object], reason: str
) -> None:
    settings = replace(SMALL, gradient_steps=20, **change)  # pyright: ignore[reportArgumentType]
    fit = train_policy(noise_tape(), settings, seed=2, previous=noise_fit.model)
    assert not fit.warm_started
    assert reason in fit.cold_reason


def test_a_full_retrain_starts_anew_and_measures_its_distance(noise_fit: PolicyFit) -> None:
    fit = train_policy(noise_tape(), SMALL, seed=5, previous=noise_fit.model, full_retrain=True)
    assert not fit.warm_started
    assert parts_hash(fit.model.to_parts()) == parts_hash(noise_fit.model.to_parts())
    assert fit.figures["kl_to_previous"] == pytest.approx(0.0, abs=1e-6)
    assert noise_fit.figures["kl_to_previous"] > 1e-3


def test_one_seed_gives_the_same_bits_in_another_process(noise_fit: PolicyFit) -> None:
    code = (
        "from regime_assets_tests.library.policies.test_training import small_fit;"
        "from regime_assets.library.artifact import parts_hash;"
        "fit = small_fit(); print(parts_hash(fit.model.to_parts()), fit.curves.to_numpy().tobytes().hex())"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    sha256, curves = run.stdout.split()
    assert sha256 == parts_hash(noise_fit.model.to_parts())
    assert curves == noise_fit.curves.to_numpy().tobytes().hex()


def test_another_seed_gives_another_policy(noise_fit: PolicyFit) -> None:
    other = train_policy(noise_tape(), SMALL, seed=6)
    assert parts_hash(other.model.to_parts()) != parts_hash(noise_fit.model.to_parts())


def test_training_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    train_policy(noise_tape(), replace(SMALL, gradient_steps=20, seeds=1), seed=1)
    assert list(tmp_path.rglob("*")) == []


def test_curves_have_a_row_per_member_and_rollout(noise_fit: PolicyFit) -> None:
    curves = noise_fit.curves
    assert curves.groupby("seed").size().tolist() == [3, 3]
    assert curves.groupby("seed")["gradient_step"].max().tolist() == [60.0, 60.0]
    assert np.isfinite(curves.to_numpy()).all()
    assert noise_fit.figures["gradient_steps"] == 120.0


def test_folds_cover_the_tape_once_and_training_stays_away_from_validation() -> None:
    tape = noise_tape(400)
    folds = purged_folds(tape, members=5, purge_sessions=7)
    validated = np.concatenate([np.arange(*fold.validation) for fold in folds])
    np.testing.assert_array_equal(np.sort(validated), np.arange(400 - FILL_DELAY))
    assert folds[0].validation[1] == 400 - FILL_DELAY
    for fold in folds:
        low, high = fold.validation
        trained = np.concatenate([np.arange(*segment) for segment in fold.training])
        assert not ((trained >= low - 7 - FILL_DELAY) & (trained < high + 7 + FILL_DELAY)).any()
    with pytest.raises(EpisodeError, match="too few"):
        purged_folds(noise_tape(30), members=2, purge_sessions=40)


def test_validation_earns_what_the_scorer_says(oracle_fit: PolicyFit) -> None:
    tape = oracle_tape(800)
    settings = replace(ABLE, trading=replace(ABLE.trading, risk_aversion=0.0))
    block = (0, tape.n_sessions - FILL_DELAY)
    gain = gain_over_rule(oracle_fit.model, tape, block, settings)
    policy, rule = net(oracle_fit.model, tape), net(rule_policy(tape.base_weights, 4), tape)
    np.testing.assert_allclose(gain, (np.log1p(policy) - np.log1p(rule))[FILL_DELAY:], atol=1e-14)


def test_evidence_is_a_t_statistic_that_discounts_correlated_gains() -> None:
    rng = np.random.default_rng(0)
    gains, weight = rng.normal(0.1, 1.0, 900), np.ones(900)
    plain = gains.mean() / gains.std() * 30.0
    assert evidence([gains], [weight]).z == pytest.approx(plain, rel=0.15)
    repeated = np.repeat(gains, 5)
    naive = repeated.mean() / repeated.std() * np.sqrt(4500)
    assert evidence([repeated], [np.ones(4500)]).z < 0.6 * naive
    assert evidence([np.zeros(50)], [np.ones(50)]).z == 0.0


def test_kept_share_grows_from_zero_with_the_evidence() -> None:
    shares = [kept_share(z, 1.645) for z in (-9.0, 0.0, 1.645, 1.7, 3.0, 30.0)]
    assert shares[:3] == [0.0, 0.0, 0.0]
    assert 0.0 < shares[3] < 0.1 < shares[4] < 0.8 < shares[5] < 1.0
    assert interquartile_mean([100.0, 1.0, 2.0, 3.0, -100.0]) == 2.0


def test_a_sound_fit_is_accepted(noise_fit: PolicyFit) -> None:
    outcomes = assess_policy(noise_fit, noise_tape(), SMALL)
    assert accepted(outcomes), refusal(outcomes)


def broken(fit: PolicyFit, **changes: object) -> PolicyFit:
    return replace(fit, model=replace(fit.model, **changes))  # pyright: ignore[reportArgumentType]


def test_collapse_is_refused_by_name(oracle_fit: PolicyFit) -> None:
    tape, model = oracle_tape(800), oracle_fit.model
    actor = model.actor
    assert actor is not None

    def shifted(bias: float) -> PolicyFit:
        last = np.full_like(actor.biases[-1], bias)
        return broken(oracle_fit, actor=replace(actor, biases=(*actor.biases[:-1], last)))

    def refused(fit: PolicyFit, settings: PolicySettings = ABLE) -> set[str]:
        outcomes = assess_policy(fit, tape, settings)
        return {outcome.rule for outcome in outcomes if outcome.blocking and not outcome.passed}

    assert refused(oracle_fit, replace(ABLE, turnover_limit=1e3)) == set()
    assert refused(shifted(np.nan)) == {"finite_weights"}
    assert refused(oracle_fit, replace(ABLE, turnover_limit=1.0)) == {"turnover_per_year"}
    free = replace(shifted(-99.0), model=replace(shifted(-99.0).model, action=replace(model.action, kind="exposure")))
    assert refused(free) == {"not_stuck_at_a_limit", "turnover_collapse"}
    dead = broken(oracle_fit, actor=replace(actor, weights=tuple(np.zeros_like(weight) for weight in actor.weights)))
    assert refused(dead) == {"turnover_collapse"}
    narrow = replace(ABLE, turnover_limit=1e3, trading=replace(ABLE.trading, highest_exposure=0.5))
    assert refused(oracle_fit, narrow) == {"exposure_within_limits"}
    frozen = replace(oracle_fit, figures={**oracle_fit.figures, "entropy": -5.0})
    assert refused(frozen, replace(ABLE, turnover_limit=1e3)) == {"entropy"}
