"""Steps per CPU second: the vectorised trading environment beside loops over single ones, alone and under PPO.

    OMP_NUM_THREADS=1 python benchmarks/trading_env.py [--finrl-wheel FinRL-0.3.7-py3-none-any.whl]

Prints a markdown table of ratios. All environments play the same 20 instruments on 2,500 sessions with 8 further
observations. FinRL's StockTradingEnv is measured when the wheel is given (`pip download --no-deps finrl`): its
dependencies would disturb this environment, so its one module is loaded out of the wheel.

Every learner trains the same 8,192 environment steps with PPO and two hidden layers of 64, unless its name says
otherwise. Ours takes 4 minibatches and 5 epochs a rollout, as the default settings do. The loops over single episodes
take SB3's batches of 64 and 10 epochs: twice the gradients a sample, 64 times the gradient steps. Environment steps
alone would hide that, so gradient steps and samples put through a gradient are printed beside them.

CPU seconds of this process, one torch thread, the rows in turn, the best of the repetitions.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import zipimport
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from regime_assets.library.trading.env import TradingVecEnv
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.tape import MarketTape

SESSIONS, INSTRUMENTS, OBSERVATIONS = 2500, 20, 8

TRAINED = 8192
"""Environment steps that every learner trains."""


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


def steps_per_cpu_second(env: VecEnv, budget: float) -> float:
    """Environment steps per CPU second of `env` alone under random actions, drawn beforehand."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (64, env.num_envs, *env.action_space.shape)).astype(np.float32)
    env.reset()
    steps, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < budget:
        for action in actions[: 64 if env.num_envs >= 64 else 16]:
            env.step(action)
            steps += env.num_envs
    return steps / spent


def training_per_cpu_second(learner: type[PPO], env: VecEnv, layout: dict[str, Any]) -> float:
    """Environment steps per CPU second of PPO on `env`."""
    model = learner("MlpPolicy", env, seed=0, device="cpu", **layout)
    begin = time.process_time()
    model.learn(TRAINED)
    assert model.num_timesteps == TRAINED
    return TRAINED / (time.process_time() - begin)


def large_batches(environments: int) -> dict[str, Any]:
    """One rollout, the minibatches and epochs of the default settings."""
    return {"n_steps": TRAINED // environments, "batch_size": TRAINED // 4, "n_epochs": 5}


def sb3_batches(environments: int) -> dict[str, Any]:
    """SB3's batch size and epochs."""
    return {"n_steps": TRAINED // environments, "batch_size": 64, "n_epochs": 10}


@dataclass
class Row:
    """One environment and learner, with the best figures so far."""

    name: str
    env: VecEnv
    learner: type[PPO]
    layout: dict[str, Any]
    alone: float = 0.0
    trained: float = 0.0

    def measure(self) -> None:
        """One more repetition."""
        self.alone = max(self.alone, steps_per_cpu_second(self.env, 0.5))
        self.trained = max(self.trained, training_per_cpu_second(self.learner, self.env, self.layout))
        print(f"measured: {self.name}", file=sys.stderr)

    def gradient_steps(self) -> float:
        """Gradient steps per CPU second of training."""
        return self.trained * self.layout["n_epochs"] / self.layout["batch_size"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finrl-wheel", type=Path, help="measure FinRL's StockTradingEnv too")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tape = make_tape()
    rows: list[Row] = []
    for action in ("residual", "weights"):
        for count in (256, 1024):
            env = TradingVecEnv(tape, TradingSettings(action=action), environments=count)
            rows.append(Row(f"vectorised, {action}, {count} episodes", env, PPO, large_batches(count)))
    env = TradingVecEnv(tape, TradingSettings())
    small = large_batches(256) | {"policy_kwargs": {"net_arch": [32, 32]}}
    rows.append(Row("vectorised, residual, 256 episodes, layers of 32", env, PPO, small))
    rows.append(Row("vectorised, residual, 256 episodes, SB3's loops", env, PPO, large_batches(256)))
    rows.append(Row("vectorised, residual, 256 episodes, SB3's batches", env, PPO, sb3_batches(256)))
    rows.append(Row("plain Python × 8, SB3", DummyVecEnv([lambda: PlainEnv(tape)] * 8), PPO, sb3_batches(8)))
    if arguments.finrl_wheel:
        maker = finrl_env(arguments.finrl_wheel)
        rows.append(Row("FinRL StockTradingEnv × 8, SB3", DummyVecEnv([maker] * 8), PPO, sb3_batches(8)))
    for _ in range(arguments.repetitions):
        for row in rows:
            row.measure()
    report(rows)


def report(rows: list[Row]) -> None:
    """Print the table; ratios are to the loops over single episodes."""
    plain = next(row for row in rows if row.name.startswith("plain"))
    finrl = next((row for row in rows if row.name.startswith("FinRL")), None)
    print(
        "| environment | steps / CPU s alone | × FinRL | PPO: steps / CPU s | × plain | × FinRL "
        "| gradient steps / CPU s | gradient samples / CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        alone, trained = (f"{row.alone / finrl.alone:,.3g}", f"{row.trained / finrl.trained:,.3g}") if finrl else "--"
        print(
            f"| {row.name} | {row.alone:,.0f} | {alone} | {row.trained:,.0f} | {row.trained / plain.trained:,.3g} "
            f"| {trained} | {row.gradient_steps():,.0f} | {row.trained * row.layout['n_epochs']:,.0f} |"
        )


if __name__ == "__main__":
    main()
