"""Steps per CPU second: the vectorised trading environment beside loops over single ones, alone and under PPO.

    OMP_NUM_THREADS=1 python benchmarks/trading_env.py [--finrl-wheel FinRL-0.3.7-py3-none-any.whl]

Prints a markdown table of ratios. All environments play the same 20 instruments on 2,500 sessions with 8 further
observations. FinRL's StockTradingEnv is measured when the wheel is given (`pip download --no-deps finrl`): its
dependencies would disturb this environment, so its one module is loaded out of the wheel.

CPU seconds of this process, one torch thread, the best of a few repetitions. SB3's defaults take batches of 64 and 10
epochs, so they put every sample through twice the gradients and make many more gradient steps: the last column shows
what is left of the difference per sample.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import zipimport
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from regime_assets.library.models.actions import TradingSettings
from regime_assets.library.models.tape import MarketTape
from regime_assets.library.models.trading_env import TradingVecEnv

SESSIONS, INSTRUMENTS, OBSERVATIONS = 2500, 20, 8


def make_tape() -> MarketTape:
    """A random market; speed does not depend on what it holds."""
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(SESSIONS, OBSERVATIONS)).astype(np.float32)
    rule = (rng.random(SESSIONS) > 0.3).astype(float)
    returns = rng.normal(0.0003, 0.01, (SESSIONS, INSTRUMENTS))
    return MarketTape(observations, rule, returns, np.full(INSTRUMENTS, 1 / INSTRUMENTS), np.ones(SESSIONS))


class PlainEnv(gym.Env[np.ndarray, np.ndarray]):
    """The same residual trading, written the usual way: one episode, NumPy rows, one Python step a session."""

    def __init__(self, tape: MarketTape, length: int = 126) -> None:
        self.tape, self.length = tape, length
        self.observation_space = spaces.Box(-np.inf, np.inf, (OBSERVATIONS + 1,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def _observe(self) -> np.ndarray:
        return np.append(self.tape.observations[self.t], np.float32(self.exposure))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed, options=options)
        self.t = int(self.np_random.integers(0, SESSIONS - self.length - 2))
        self.end = self.t + self.length
        self.exposure = self.tape.rule_exposure[self.t - 1] if self.t else 0.0
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        rule = self.tape.rule_exposure[self.t]
        exposure = min(max(rule + 0.5 * float(action[0]), 0.0), 1.0)
        gross = exposure * float(self.tape.returns[self.t + 2] @ self.tape.base_weights)
        net = gross - 0.001 * abs(exposure - self.exposure)
        reward = float(np.log1p(net)) - net**2 - 0.0004 * (exposure - rule) ** 2
        self.exposure = exposure
        self.t += 1
        return self._observe(), reward * 100.0, False, self.t >= self.end, {}


def finrl_env(wheel: Path) -> Callable[[], gym.Env]:
    """A maker of FinRL's environment, its module loaded out of the wheel."""
    spec = zipimport.zipimporter(f"{wheel}/finrl/meta/env_stock_trading").find_spec("env_stocktrading")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{wheel}: no StockTradingEnv in this file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng = np.random.default_rng(0)
    closes = 50 * np.exp(np.cumsum(rng.normal(0.0003, 0.01, (SESSIONS, INSTRUMENTS)), axis=0))
    index = np.repeat(np.arange(SESSIONS), INSTRUMENTS)
    frame = pd.DataFrame(
        {"date": index, "tic": np.tile([f"S{i}" for i in range(INSTRUMENTS)], SESSIONS), "close": closes.ravel()},
        index=index,
    )
    names = [f"indicator_{i}" for i in range(OBSERVATIONS)]
    for name in names:
        frame[name] = rng.normal(size=len(frame))
    arguments = {
        "df": frame,
        "stock_dim": INSTRUMENTS,
        "hmax": 100,
        "initial_amount": 1_000_000,
        "num_stock_shares": [0] * INSTRUMENTS,
        "buy_cost_pct": [0.001] * INSTRUMENTS,
        "sell_cost_pct": [0.001] * INSTRUMENTS,
        "reward_scaling": 1e-4,
        "state_space": 1 + (2 + OBSERVATIONS) * INSTRUMENTS,
        "action_space": INSTRUMENTS,
        "tech_indicator_list": names,
        "print_verbosity": sys.maxsize,
    }
    return lambda: module.StockTradingEnv(**arguments)


def steps_per_cpu_second(env: VecEnv, budget: float, repetitions: int) -> float:
    """Environment steps per CPU second of `env` alone under random actions, drawn beforehand."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (64, env.num_envs, *env.action_space.shape)).astype(np.float32)
    env.reset()
    best = 0.0
    for _ in range(repetitions):
        steps, begin = 0, time.process_time()
        while (spent := time.process_time() - begin) < budget:
            for action in actions[: 64 if env.num_envs >= 64 else 16]:
                env.step(action)
                steps += env.num_envs
        best = max(best, steps / spent)
    return best


def training_per_cpu_second(env: VecEnv, steps: int, repetitions: int, **settings: Any) -> tuple[float, float]:
    """Environment steps, and samples put through a gradient, per CPU second of PPO on `env`."""
    best, epochs = 0.0, settings.get("n_epochs", 10)
    for repetition in range(repetitions):
        model = PPO("MlpPolicy", env, seed=repetition, device="cpu", **settings)
        begin = time.process_time()
        model.learn(steps)
        best = max(best, model.num_timesteps / (time.process_time() - begin))
    return best, best * epochs


def large_batches(environments: int) -> dict[str, Any]:
    """The layout of the default settings: rollouts of 32 sessions, 4 minibatches, 5 epochs."""
    return {"n_steps": 32, "batch_size": environments * 8, "n_epochs": 5}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finrl-wheel", type=Path, help="measure FinRL's StockTradingEnv too")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tape, repetitions = make_tape(), arguments.repetitions
    rows: list[tuple[str, float, float, float]] = []

    def measure(name: str, env: VecEnv, steps: int, **settings: Any) -> None:
        alone = steps_per_cpu_second(env, 1.0, repetitions)
        rows.append((name, alone, *training_per_cpu_second(env, steps, repetitions, **settings)))
        print(f"measured: {name}", file=sys.stderr)

    for action in ("residual", "weights"):
        for count in (256, 1024):
            trading = TradingSettings(action=action)
            env = TradingVecEnv(tape, trading, environments=count)
            name = f"vectorised, {action}, {count} episodes"
            measure(name, env, 10 * 32 * count, **large_batches(count))
    # SB3's batch size and epochs; its 2,048 steps a rollout would only make the slow loops run longer.
    measure("vectorised, residual, 256 episodes, SB3's batches", TradingVecEnv(tape, TradingSettings()), 1, n_steps=64)
    measure("plain Python × 8, SB3's batches", DummyVecEnv([lambda: PlainEnv(tape)] * 8), 1, n_steps=512)
    if arguments.finrl_wheel:
        maker = finrl_env(arguments.finrl_wheel)
        measure("FinRL StockTradingEnv × 8, SB3's batches", DummyVecEnv([maker] * 8), 1, n_steps=128)
    report(rows, finrl=arguments.finrl_wheel is not None)


def report(rows: list[tuple[str, float, float, float]], *, finrl: bool) -> None:
    """Print the table; ratios are to the plain Python loop."""
    plain = next(row for row in rows if row[0].startswith("plain"))
    print(
        "| environment | steps / CPU s alone | × plain | PPO: steps / CPU s | × plain | PPO: gradient samples / CPU s |"
    )
    print("|---|---|---|---|---|---|")
    for name, alone, training, samples in rows:
        ratios = alone / plain[1], training / plain[2]
        print(f"| {name} | {alone:,.0f} | {ratios[0]:,.3g} | {training:,.0f} | {ratios[1]:,.3g} | {samples:,.0f} |")
    if not finrl:
        print("| FinRL StockTradingEnv × 8 | not measured | | | | |")


if __name__ == "__main__":
    main()
