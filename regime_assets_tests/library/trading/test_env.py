from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.trading.actions import ActionMap
from regime_assets.library.trading.env import TradingVecEnv
from regime_assets.library.trading.episodes import EpisodeError, EpisodeSampler
from regime_assets.library.trading.scoring import FILL_DELAY, realised_returns
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.tape import MarketTape, TapeError
from regime_assets_tests.library.trading.trading_tapes import noise_tape

KINDS = ("residual", "exposure", "weights")
Kind = Literal["residual", "exposure", "weights"]
PLAIN = TradingSettings(no_trade_band=0.0, action="residual", reward_scale=1.0, relative_to_rule=False)


def played(tape: MarketTape, trading: TradingSettings, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Decided weights (T, N), net returns and the final equity of one episode over the whole tape."""
    env = TradingVecEnv(tape, replace(trading, episode_sessions=tape.n_sessions, start="cash"), environments=1)
    mapping = ActionMap.of(trading, tape.base_weights)
    env.reset()
    weights, net = np.zeros_like(tape.returns), []
    info: dict[str, float] = {}
    for t in range(tape.n_sessions - FILL_DELAY):
        _, _, dones, infos = env.step(actions[t][None])
        net.append(env.net[0])
        weights[t] = mapping.weights(mapping.positions(actions[t][None], tape.rule_exposure[t : t + 1]))[0]
        info = infos[0]
        assert dones[0] == (t == tape.n_sessions - FILL_DELAY - 1)
    return weights, np.array(net), float(info["equity"])


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000), cost=st.sampled_from([0.0, 0.001, 0.02]))
@settings(max_examples=8, deadline=None)
def test_equity_is_what_the_scorer_says(kind: Kind, seed: int, cost: float) -> None:
    tape = noise_tape(60, seed=seed)
    trading = TradingSettings(no_trade_band=0.0, action=kind, cost=cost)
    width = 3 if kind == "weights" else 1
    actions = np.random.default_rng(seed).uniform(-1, 1, (tape.n_sessions, width)).astype(np.float32)
    weights, net, equity = played(tape, trading, actions)
    scored = realised_returns(weights, tape.returns, cost)
    np.testing.assert_allclose(net, scored[FILL_DELAY:], rtol=0, atol=1e-14)
    assert equity == pytest.approx(np.prod(1.0 + scored), rel=1e-12)


@given(seed=st.integers(0, 1000), low=st.floats(0, 0.02), more=st.floats(1e-4, 0.02))
@settings(max_examples=10, deadline=None)
def test_higher_costs_never_raise_the_equity_of_the_same_decisions(seed: int, low: float, more: float) -> None:
    tape = noise_tape(40, seed=seed)
    actions = np.random.default_rng(seed).uniform(-1, 1, (tape.n_sessions, 1)).astype(np.float32)
    cheap = played(tape, TradingSettings(no_trade_band=0.0, action="residual", cost=low), actions)[2]
    dear = played(tape, TradingSettings(no_trade_band=0.0, action="residual", cost=low + more), actions)[2]
    assert dear < cheap


@given(changed=st.integers(1, 49), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_an_observation_contains_no_later_return(changed: int, seed: int) -> None:
    """Change every return from session `changed` on: nothing observed before it moves, rewards that earn it do."""
    tape = noise_tape(50, seed=seed)
    returns = tape.returns.copy()
    returns[changed:] += 0.01
    other = MarketTape(tape.observations, tape.rule_exposure, returns, tape.base_weights, tape.sample_weight)
    trading = TradingSettings(
        no_trade_band=0.0, action="residual", episode_sessions=50, start="cash", relative_to_rule=False
    )
    envs = [TradingVecEnv(market, trading, environments=1) for market in (tape, other)]
    for env in envs:
        env.reset()
    actions = np.random.default_rng(seed).uniform(-1, 1, (48, 1, 1)).astype(np.float32)
    for t, action in enumerate(actions[:-1]):
        (seen, reward, *_), (seen_other, reward_other, *_) = (env.step(action) for env in envs)
        np.testing.assert_array_equal(seen, seen_other)
        held = envs[0].positions[0, 0] > 0
        assert (reward[0] != reward_other[0]) == (held and t + FILL_DELAY >= changed)


def test_zero_action_holds_the_rule_and_the_reward_is_log_return_less_costs_and_risk() -> None:
    tape = noise_tape(30)
    trading = TradingSettings(
        no_trade_band=0.0,
        action="residual",
        episode_sessions=30,
        start="cash",
        reward_scale=1.0,
        risk_aversion=3.0,
        tilt_penalty=9.0,
        relative_to_rule=False,
    )
    env = TradingVecEnv(tape, trading, environments=1)
    observed = env.reset()
    np.testing.assert_array_equal(observed[0], [*tape.observations[0], 0.0])
    observed, reward, _, _ = env.step(np.zeros((1, 1), np.float32))
    net = tape.rule_exposure[0] * (tape.base_returns[FILL_DELAY] - trading.cost)
    assert reward[0] == pytest.approx(np.log1p(net) - 1.5 * net**2, rel=1e-6)
    np.testing.assert_array_equal(observed[0], [*tape.observations[1], tape.rule_exposure[0]])


@pytest.mark.parametrize("start", ["cash", "rule"])
def test_a_relative_reward_is_the_own_reward_less_the_rules(start: Literal["cash", "rule"]) -> None:
    """The difference is the same for every action; holding the rule is worth exactly nothing."""
    tape = noise_tape(60)
    trading = TradingSettings(no_trade_band=0.0, action="residual", episode_sessions=58, start=start, reward_scale=1.0)
    relative, own = (TradingVecEnv(tape, replace(trading, relative_to_rule=on), environments=3) for on in (True, False))
    relative.reset()
    own.reset()
    rng = np.random.default_rng(0)
    for _ in range(58):
        actions = np.array([[0.0], *rng.uniform(-1, 1, (2, 1))], np.float32)
        first, second = relative.step(actions)[1], own.step(actions)[1]
        assert first[0] == 0.0
        np.testing.assert_allclose(second - first, second[0], atol=1e-8)


def test_tilt_is_bounded_limited_and_penalised() -> None:
    tape = noise_tape(30)
    trading = TradingSettings(
        no_trade_band=0.0,
        action="residual",
        tilt_bound=0.3,
        tilt_penalty=1.0,
        cost=0.0,
        risk_aversion=0.0,
        reward_scale=1.0,
        relative_to_rule=False,
    )
    mapping = ActionMap.of(trading, tape.base_weights)
    positions = mapping.positions(np.array([[-5.0], [5.0], [0.5]]), np.array([0.5, 0.9, 0.2]))
    np.testing.assert_allclose(positions[:, 0], [0.2, 1.0, 0.35])
    env = TradingVecEnv(tape, replace(trading, episode_sessions=28), environments=1)
    env.reset()
    _, reward, _, _ = env.step(np.full((1, 1), -1.0, np.float32))
    assert reward[0] == pytest.approx(np.log1p(0.7 * tape.base_returns[FILL_DELAY]) - 0.09, rel=1e-5)


def test_weights_stay_long_only_and_within_capital() -> None:
    tape = noise_tape(30)
    mapping = ActionMap.of(
        TradingSettings(no_trade_band=0.0, action="weights", highest_exposure=0.8), tape.base_weights
    )
    actions = np.random.default_rng(1).uniform(-3, 3, (200, 3))
    weights = mapping.positions(actions, np.zeros(200))
    assert (weights >= 0).all()
    assert weights.sum(axis=1).max() <= 0.8 + 1e-12
    np.testing.assert_allclose(mapping.positions(np.zeros((1, 3)), np.zeros(1))[0], 0.8 * tape.base_weights)


def test_ruin_terminates_and_the_end_of_an_episode_truncates() -> None:
    tape = noise_tape(30)
    returns = tape.returns.copy()
    returns[5] = -0.999
    crash = MarketTape(tape.observations, np.ones(30), returns, tape.base_weights, tape.sample_weight)
    env = TradingVecEnv(
        crash, TradingSettings(no_trade_band=0.0, action="residual", episode_sessions=28, start="cash"), environments=2
    )
    env.reset()
    for t in range(28):
        before = env.equity.copy()
        _, rewards, dones, infos = env.step(np.array([[0.0], [-1.0]], np.float32))
        assert np.isfinite(rewards).all()
        if t == 3:
            assert infos[0]["TimeLimit.truncated"] is False
            assert infos[0]["equity"] == pytest.approx(before[0] * 0.001)
            assert infos[0]["terminal_observation"][-1] == 1.0
        assert dones[1] == (t == 27)
    assert infos[1]["TimeLimit.truncated"] is True


def test_environment_rows_do_not_depend_on_how_many_there_are() -> None:
    tape, trading = noise_tape(80), TradingSettings(no_trade_band=0.0, action="residual", episode_sessions=9)
    few, many = (TradingVecEnv(tape, trading, environments=count, seed=3) for count in (5, 64))
    np.testing.assert_array_equal(few.reset(), many.reset()[:5])
    rng = np.random.default_rng(0)
    for _ in range(40):
        actions = rng.uniform(-1, 1, (64, 1)).astype(np.float32)
        for left, right in zip(few.step(actions[:5])[:3], many.step(actions)[:3], strict=True):
            np.testing.assert_array_equal(left, right[:5])


def test_episodes_stay_in_their_segments_and_follow_the_recency_weights() -> None:
    tape = noise_tape(200)
    trading = TradingSettings(no_trade_band=0.0, action="residual", episode_sessions=20, past_share=0.2)
    weight = np.where(np.arange(200) >= 100, 3.0, 1.0)
    tape = MarketTape(tape.observations, tape.rule_exposure, tape.returns, tape.base_weights, weight)
    sampler = EpisodeSampler.of(tape, trading, [(0, 8), (30, 90), (120, 198)])
    seeds = np.arange(20_000, dtype=np.uint64)
    starts, ends = sampler.sample(seeds, np.zeros_like(seeds))
    for start, end in {*zip(starts.tolist(), ends.tolist(), strict=True)}:
        whole_short_one = (start, end) == (0, 8)
        assert whole_short_one or (end - start == 20 and (30 <= start < end <= 90 or 120 <= start < end <= 198))
    share = np.array([(starts < 8).mean(), ((starts >= 30) & (starts < 90)).mean(), (starts >= 120).mean()])
    np.testing.assert_allclose(share, np.array([8, 60, 3 * 78]) / (8 + 60 + 3 * 78), atol=0.01)
    newest = (ends == 198).mean()
    assert newest > 1.5 * 3 / (8 + 60 + 3 * 78)
    with pytest.raises(EpisodeError, match=r"\[190, 199\)"):
        EpisodeSampler.of(tape, trading, [(190, 199)])


def test_episodes_of_one_seed_differ_from_each_other() -> None:
    sampler = EpisodeSampler.of(
        noise_tape(200), TradingSettings(no_trade_band=0.0, action="residual", episode_sessions=20)
    )
    numbers = np.arange(500, dtype=np.uint64)
    starts, _ = sampler.sample(np.full(500, 7, np.uint64), numbers)
    assert len(np.unique(starts)) > 100
    assert abs(np.corrcoef(starts[:-1], starts[1:])[0, 1]) < 0.15


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("returns", -1.0, r"returns\[4, 1\] is -1.0"),
        ("returns", np.nan, r"returns\[4, 1\] is nan"),
        ("observations", np.inf, r"observations\[4, 1\] is inf"),
    ],
)
def test_a_tape_names_the_value_that_no_market_has(field: str, value: float, message: str) -> None:
    tape = noise_tape(20)
    broken = getattr(tape, field).copy()
    broken[4, 1] = value
    with pytest.raises(TapeError, match=message):
        replace(tape, **{field: broken})


def test_a_tape_names_the_array_that_does_not_fit() -> None:
    tape = noise_tape(20)
    with pytest.raises(TapeError, match="rule_exposure: 19 sessions"):
        replace(tape, rule_exposure=tape.rule_exposure[1:])
    with pytest.raises(TapeError, match="3 instruments"):
        replace(tape, base_weights=np.ones(2))
