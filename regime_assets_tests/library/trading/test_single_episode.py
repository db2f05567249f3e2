from __future__ import annotations

import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.vec_env import DummyVecEnv

from regime_assets.library.trading.env import TradingVecEnv
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.single_episode import SingleEpisode
from regime_assets_tests.library.trading.trading_tapes import noise_tape

VARIANTS = [
    (TradingSettings(no_trade_band=0.0, action="residual", episode_sessions=7), ()),
    (TradingSettings(no_trade_band=0.0, episode_sessions=7, action="exposure", start="cash"), ()),
    (TradingSettings(no_trade_band=0.0, episode_sessions=7, action="weights"), ()),
    (TradingSettings(no_trade_band=0.0, action="residual", episode_sessions=7), (0.0, -1.0, 1.0)),
]
NAMES = ["residual", "exposure", "weights", "levels"]


@pytest.mark.parametrize(("trading", "levels"), VARIANTS, ids=NAMES)
def test_checkers_of_gymnasium_and_stable_baselines3_pass(trading: TradingSettings, levels: tuple[float, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unbounded observations are what they are
        gymnasium_check(SingleEpisode(noise_tape(60), trading, levels=levels), skip_render_check=True)
        sb3_check(SingleEpisode(noise_tape(60), trading, levels=levels))


@pytest.mark.parametrize(("trading", "levels"), VARIANTS, ids=NAMES)
def test_views_in_a_dummy_vec_env_equal_the_vectorised_rows_to_the_bit(
    trading: TradingSettings, levels: tuple[float, ...]
) -> None:
    """SB3's own loop over views, auto-reset and seeds included, is the reference for the native VecEnv."""
    tape, rows = noise_tape(60), 37
    native = TradingVecEnv(tape, trading, levels=levels, environments=rows)
    loop = DummyVecEnv([lambda: SingleEpisode(tape, trading, levels=levels) for _ in range(rows)])
    native.seed(11)
    loop.seed(11)
    np.testing.assert_array_equal(native.reset(), loop.reset())
    native.action_space.seed(5)
    ended = 0
    for t in range(40):
        actions = np.stack([native.action_space.sample() for _ in range(rows)])
        seen, rewards, dones, infos = native.step(actions)
        seen_loop, rewards_loop, dones_loop, infos_loop = loop.step(actions)
        np.testing.assert_array_equal(seen, seen_loop)
        np.testing.assert_array_equal(rewards, rewards_loop)
        np.testing.assert_array_equal(dones, dones_loop)
        for row in np.flatnonzero(dones):
            ended += 1
            expected = dict(infos_loop[row])
            np.testing.assert_array_equal(infos[row].pop("terminal_observation"), expected.pop("terminal_observation"))
            assert infos[row] == expected
        if t == 30:
            np.testing.assert_array_equal(native.reset(), loop.reset())
    assert ended >= rows * 4


def test_reset_after_an_episode_begins_the_next_one_of_the_seed() -> None:
    view = SingleEpisode(noise_tape(60), TradingSettings(no_trade_band=0.0, action="residual", episode_sessions=3))
    starts = []
    for seed in (4, None, None, 4, None):
        observed, _ = view.reset(seed=seed)
        starts.append(observed)
        done = False
        while not done:
            *_, terminated, truncated, _ = view.step(np.zeros(1, np.float32))
            done = terminated or truncated
    np.testing.assert_array_equal(starts[0], starts[3])
    np.testing.assert_array_equal(starts[1], starts[4])
    assert not np.array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[1], starts[2])
