"""CPU seconds until a policy has learned 90 % of what there is to learn, on a market whose answer is known.

    OMP_NUM_THREADS=1 python benchmarks/time_to_quality.py [--limit 60]

One observation of eight is the expected return that the decision will earn, the others are noise; the rule holds one
half. All learners train one linear actor on the same 2,500 sessions and are judged on 2,500 others by the mean reward
over the rule's, as a share of what the best multiple of the known expectation earns. Time spent judging is not counted.

- direct: the known reward of all sessions at once (the default algorithm).
- SB3's PPO on the vectorised environment: 256 episodes, discount .9, batches of 2,048.
- SB3's PPO as it comes: discount .99, batches of 64, on 8 single episodes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from regime_assets.library.policies.direct import train_directly
from regime_assets.library.policies.learner import extract
from regime_assets.library.policies.networks import Member
from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.settings import DirectSettings, PolicySettings
from regime_assets.library.policies.validation import gain_over_rule
from regime_assets.library.trading.actions import ActionMap
from regime_assets.library.trading.env import TradingVecEnv
from regime_assets.library.trading.episodes import decidable
from regime_assets.library.trading.scoring import FILL_DELAY
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.single_episode import SingleEpisode
from regime_assets.library.trading.tape import MarketTape

SESSIONS, ENOUGH = 2500, 0.90
TRADING = TradingSettings(no_trade_band=0.0)


def market(seed: int) -> MarketTape:
    """Sessions whose expected return is observed."""
    rng = np.random.default_rng(seed)
    expected, decay = np.zeros(SESSIONS), 0.5 ** (1.0 / 10.0)
    for t in range(1, SESSIONS):
        expected[t] = decay * expected[t - 1] + 0.002 * np.sqrt(1.0 - decay**2) * rng.normal()
    returns = 0.01 * rng.normal(size=SESSIONS)
    returns[FILL_DELAY:] += expected[:-FILL_DELAY]
    observed = np.column_stack([expected / 0.002, rng.normal(size=(SESSIONS, 7))]).astype(np.float32)
    return MarketTape(observed, np.full(SESSIONS, 0.5), returns[:, None], np.ones(1), np.ones(SESSIONS))


TRAINED, UNSEEN = market(0), market(1)
SETTINGS = PolicySettings(trading=TRADING)
BLANK = Policy(ActionMap.of(TRADING, np.ones(1)), np.zeros(8, np.float32), np.ones(8, np.float32))


def gain(member: Member) -> float:
    """Mean reward over the rule's on the unseen market."""
    policy = replace(BLANK, actor=member.actor)
    return float(gain_over_rule(policy, UNSEEN, decidable(UNSEEN), SETTINGS).mean())


def optimum() -> float:
    """What the best multiple of the known expectation earns there."""
    _, template = direct(1)
    best = 0.0
    for multiple in np.linspace(0.1, 5.0, 50):
        weights = tuple(np.zeros_like(weight) for weight in template.actor.weights)
        weights[0][0, 0, 0] = multiple
        best = max(best, gain(replace(template, actor=replace(template.actor, weights=weights))))
    return best


def direct(steps: int) -> tuple[float, Member]:
    """CPU seconds and the member."""
    settings = replace(SETTINGS, direct=DirectSettings(steps=steps))
    begun = time.process_time()
    member, _ = train_directly(TRAINED, settings, [decidable(TRAINED)], lambda _: (0.0, 0.0))
    return time.process_time() - begun, member


class Judge(BaseCallback):
    """Stops as soon as the policy is good enough, or the time is up; its own time is not counted."""

    def __init__(self, enough: float, limit: float) -> None:
        super().__init__()
        self.enough, self.limit, self.judging, self.best = enough, limit, 0.0, -np.inf
        self.begun = time.process_time()
        self.spent = float("inf")

    def _on_step(self) -> bool:
        return self.spent == float("inf") and time.process_time() - self.begun - self.judging < self.limit

    def _on_rollout_start(self) -> None:
        begun = time.process_time()
        now = gain(extract(self.model))  # pyright: ignore[reportArgumentType]
        self.best = max(self.best, now)
        if now >= self.enough and self.spent == float("inf"):
            self.spent = begun - self.begun - self.judging
        self.judging += time.process_time() - begun


def sampled(make: Callable[[], PPO], enough: float, limit: float) -> tuple[float, float]:
    """CPU seconds to `enough`, infinite beyond the limit, and the best gain seen."""
    judge = Judge(enough, limit)
    make().learn(100_000_000, callback=judge)
    return judge.spent, judge.best


def vectorised() -> PPO:
    """SB3's loop on our environment with our discount and batches."""
    env = TradingVecEnv(TRAINED, TRADING, seed=0)
    arch = {"net_arch": {"pi": [], "vf": []}}
    return PPO(
        "MlpPolicy", env, learning_rate=1e-2, n_steps=32, batch_size=2048, n_epochs=5, gamma=0.9, gae_lambda=0.5,
        policy_kwargs=arch, seed=0, device="cpu",
    )  # fmt: skip


def as_it_comes() -> PPO:
    """SB3's defaults on eight single episodes."""
    env = DummyVecEnv([lambda seed=seed: SingleEpisode(TRAINED, TRADING, seed=seed) for seed in range(8)])
    return PPO("MlpPolicy", env, policy_kwargs={"net_arch": {"pi": [], "vf": []}}, seed=0, device="cpu")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float, default=60.0, help="CPU seconds after which a learner is given up")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    best = optimum()
    rows = []
    for steps in (1, 2, 3, 5, 10, 20, 40, 60):
        spent, member = direct(steps)
        if gain(member) >= ENOUGH * best or steps == 60:
            rows.append(("direct", f"{spent:.2f}", f"{gain(member) / best:.0%}", f"{steps} steps"))
            break
    for name, make in (("PPO, vectorised environment", vectorised), ("PPO, SB3's defaults, 8 episodes", as_it_comes)):
        spent, reached = sampled(make, ENOUGH * best, chosen.limit)
        shown = f"{spent:.2f}" if np.isfinite(spent) else f"not within {chosen.limit:g}"
        rows.append((name, shown, f"{reached / best:.0%}", ""))
    print(pd.DataFrame(rows, columns=["learner", "CPU s to 90 %", "best seen", ""]).to_markdown(index=False))


if __name__ == "__main__":
    main()
