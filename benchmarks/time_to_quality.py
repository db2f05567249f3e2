"""CPU seconds until a policy has learned 90 and 95 % of what there is to learn, on a market whose answer is known.

    OMP_NUM_THREADS=1 python benchmarks/time_to_quality.py [--limit 60] [--finrl WHEEL]

One observation of eight is the expected return that the decision will earn, the others are noise; the rule holds one
half. All learners train one linear actor on the same 2,500 sessions and are judged on 2,500 others by the mean reward
over the rule's, as a share of what the best multiple of the known expectation earns. Time spent judging is not counted.

- direct: the known reward of all sessions at once (the default algorithm).
- SB3's PPO on the vectorised environment: 256 episodes, discount .9, batches of 2,048.
- SB3's PPO as it comes: discount .99, batches of 64, on 8 single episodes.
- The same in FinRL's environment, which observes and rewards in its own way: as it comes, and with what it observes and
  rewards scaled by SB3's `VecNormalize`. `finrl_environment.py` says where the wheel comes from; without it these rows
  are left out. Judging it takes longer than training it, so it is judged at the beginning, halfway and at the end.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import finrl_environment
import numpy as np
import pandas as pd
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

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

SESSIONS, ENOUGH = 2500, (0.90, 0.95)
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
    """Judges a policy before every rollout, or as often as is asked, until it is good enough or the time is up.

    Attributes:
        spent: CPU seconds of training until each of `ENOUGH` was reached; what judging took is not counted.
        best: gain seen.
    """

    def __init__(self, judged: Callable[[Any], float], best: float, limit: float, times: int | None = None) -> None:
        super().__init__()
        self.judged, self.wanted, self.limit = judged, [share * best for share in ENOUGH], limit
        self.apart, self.next = (limit / times if times else 0.0), 0.0
        self.judging, self.best = 0.0, -np.inf
        self.spent = [float("inf")] * len(ENOUGH)
        self.begun = time.process_time()

    @property
    def trained(self) -> float:
        """CPU seconds of training so far."""
        return time.process_time() - self.begun - self.judging

    def judge(self) -> None:
        """Judge the policy as it is now."""
        trained = self.trained
        begun = time.process_time()
        now = self.judged(self.model)
        self.best = max(self.best, now)
        self.spent = [
            trained if now >= wanted and spent == float("inf") else spent
            for wanted, spent in zip(self.wanted, self.spent, strict=True)
        ]
        self.judging += time.process_time() - begun
        self.next = trained + self.apart

    def _on_step(self) -> bool:
        return max(self.spent) == float("inf") and self.trained < self.limit

    def _on_rollout_start(self) -> None:
        if self.trained >= self.next:
            self.judge()

    def _on_training_end(self) -> None:
        self.judge()


def sampled(make: Callable[[], PPO], judge: Judge) -> Judge:
    """The judge, when it is through."""
    model = make()
    judge.begun = time.process_time()
    model.learn(100_000_000, callback=judge)
    return judge


def own_gain(model: Any) -> float:
    """`gain` of a model of SB3's."""
    return gain(extract(model))


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


def in_finrl(environment: Callable[[MarketTape], Any], *, scaled: bool) -> Callable[[], PPO]:
    """SB3's defaults in FinRL's environment."""

    def make() -> PPO:
        env: Any = DummyVecEnv([lambda: environment(TRAINED)])
        if scaled:
            env = VecNormalize(env)
        return PPO("MlpPolicy", env, policy_kwargs={"net_arch": {"pi": [], "vf": []}}, seed=0, device="cpu")

    return make


def finrl_gain(environment: Callable[[MarketTape], Any], model: Any) -> float:
    """As `gain`, of what a model does in FinRL's environment, whose own accounts say what it earned."""
    scaling = model.get_vec_normalize_env()

    def act(state: np.ndarray) -> np.ndarray:
        return model.predict(scaling.normalize_obs(state) if scaling else state, deterministic=True)[0]

    net = finrl_environment.net_returns(environment(UNSEEN), act)
    held = 0.5 * UNSEEN.returns[FILL_DELAY:, 0]
    aversion = TRADING.risk_aversion / 2
    utilities = [np.log1p(one) - aversion * one**2 for one in (net, held)]
    return float((utilities[0] - utilities[1]).mean())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=60.0, help="CPU seconds after which a learner is given up")
    parser.add_argument("--finrl", type=Path, help="FinRL's wheel, for its environment")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    best = optimum()
    rows: list[tuple[str, ...]] = []

    def row(name: str, spent: list[float], reached: float) -> None:
        shown = (f"{one:.2f}" if np.isfinite(one) else f"not within {chosen.limit:g}" for one in spent)
        rows.append((name, *shown, f"{reached / best:.0%}"))

    tried = [(steps, *direct(steps)) for steps in (1, 2, 3, 5, 10, 20, 40, 60, 80, 100, 150, 200, 300)]
    gains = [gain(member) for _, _, member in tried]
    spent = [
        next((one[1] for one, found in zip(tried, gains, strict=True) if found >= share * best), float("inf"))
        for share in ENOUGH
    ]
    row("direct, as many steps as it takes", spent, max(gains))
    shipped = next(number for number, one in enumerate(tried) if one[0] == SETTINGS.direct.steps)
    rows.append((f"direct, the default of {SETTINGS.direct.steps} steps", f"all in {tried[shipped][1]:.2f}", "", ""))
    rows[-1] = (*rows[-1][:3], f"{gains[shipped] / best:.0%}")
    for name, make in (("PPO, vectorised environment", vectorised), ("PPO, SB3's defaults, 8 episodes", as_it_comes)):
        judge = sampled(make, Judge(own_gain, best, chosen.limit))
        row(name, judge.spent, judge.best)
    if chosen.finrl:
        found = finrl_environment.environment_class(chosen.finrl)

        def environment(tape: MarketTape) -> Any:
            return finrl_environment.environment(found, tape, TRADING.cost)

        for name, scaled in (("PPO, SB3's defaults, FinRL's environment", False), ("the same, scaled", True)):
            judge = Judge(lambda model: finrl_gain(environment, model), best, chosen.limit, times=2)
            sampled(in_finrl(environment, scaled=scaled), judge)
            row(name, judge.spent, judge.best)
    columns = ["learner", *(f"CPU s to {share:.0%}" for share in ENOUGH), "best seen"]
    print(pd.DataFrame(rows, columns=columns).to_markdown(index=False))
    if not chosen.finrl:
        print("\nFinRL's environment is left out: --finrl names no wheel (see finrl_environment.py).")
    print(f"\nLoad average {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
