"""How policies are trained, selected and accepted; every number in one place, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from pydantic.dataclasses import dataclass

from regime_assets.library.settings import STRICT
from regime_assets.library.trading.settings import TradingSettings

Algorithm = Literal["direct", "ppo", "a2c", "trpo", "dqn", "sac", "td3", "ddpg"]
Family = Literal["known reward", "rollouts", "levels", "replay"]

FAMILIES: Mapping[Algorithm, Family] = {
    "direct": "known reward",
    "ppo": "rollouts",
    "a2c": "rollouts",
    "trpo": "rollouts",
    "dqn": "levels",
    "sac": "replay",
    "td3": "replay",
    "ddpg": "replay",
}
"""How an algorithm learns: from the reward itself, from what it has just played, by the values of a few levels, or from
a memory of continuous actions. Those of stable_baselines3 and sb3_contrib that are missing keep other networks than an
actor that is evaluated alone (quantiles, a recurrent state, masks, a population)."""


@dataclass(frozen=True, config=STRICT)
class OnlineSettings:
    """Updates by one new session at a time instead of fine-tunes over episodes.

    Attributes:
        gradient_steps: per member and session, each on freshly drawn transitions.
        newest_share: share of the transitions that play the newest session whose return is known; the others replay
            earlier ones, by sample weight and `past_share`.
        learning_rate: Adam's.
        kl_limit: largest divergence of an update from the policy before it, nats per action; a larger update is
            scaled back until it is within.
    """

    gradient_steps: int = 4
    newest_share: float = 0.5
    learning_rate: float = 1e-4
    kl_limit: float = 0.01

    def __post_init__(self) -> None:
        if self.gradient_steps < 1:
            raise ValueError(f"gradient_steps is {self.gradient_steps}, must be at least 1")
        if not 0 < self.newest_share < 1:
            raise ValueError(f"newest_share is {self.newest_share}, must lie between 0 and 1: past ones are replayed")
        if self.kl_limit <= 0:
            raise ValueError(f"kl_limit is {self.kl_limit}, must be positive")


@dataclass(frozen=True, config=STRICT)
class DirectSettings:
    """Ascent of the known reward, over all sessions at once.

    Attributes:
        steps: proximal gradient steps from a tilt of zero.
        step: their size, for rewards in units of the market's volatility and standardised observations.
        threshold: gradient below which a coefficient stays zero, in standard errors of the mean of pure noise.
    """

    steps: int = 60
    step: float = 0.3
    threshold: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}, must be at least 1")


@dataclass(frozen=True, config=STRICT)
class OwnPolicySettings:
    """What every policy of the user's own is told and held to; its settings class inherits from this one.

    Attributes:
        observes: `features` beside what the regimes say of them, or the `regimes` alone.
        lowest_exposure, highest_exposure: limits of the exposure, fractions of capital.
        turnover_limit: largest turnover that is accepted, capital traded a year.
        sessions_per_year: to annualise.
    """

    observes: Literal["features", "regimes"] = "features"
    lowest_exposure: float = 0.0
    highest_exposure: float = 1.0
    turnover_limit: float = 25.0
    sessions_per_year: int = 252


@dataclass(frozen=True, config=STRICT)
class PolicySettings:
    """Training, selection and acceptance of a policy. What is said of warm starts, rollouts, exploration and values
    concerns the sampled algorithms.

    Attributes:
        trading: environment and reward.
        algorithm: `direct` ascends the reward that is known of every action. The others sample it and are
            stable_baselines3's: `ppo` and `a2c`, `dqn` over `levels`, and `sac`, `td3` and `ddpg`, which start anew in
            every fit; `trpo` is sb3_contrib's.
        observes: `features` beside what the regimes say of them, or the `regimes` alone: latents, posteriors, rule.
            What the autoencoder forgets, a policy that reads its latents cannot use.
        direct: of the algorithm `direct`.
        seeds: member networks of a full retrain; they vote by their mean action.
        gradient_steps: budget of a full retrain per member, rounded up to whole rollouts. Environment steps are not
            training: 65 k of them in large batches were 160 gradient steps and left policies at their start.
        fine_tune_gradient_steps: budget of a warm start per member.
        online: how a warm start learns from the newest session alone; None: it is a fine-tune over episodes.
        hidden: widths of the hidden layers of actor and critic; none is a linear policy, which `direct` always is.
        learning_rate, fine_tune_learning_rate: Adam's.
        rollout_sessions: sessions collected per environment between two updates.
        minibatches, epochs: per update; gradient steps of PPO per rollout are their product.
        discount: per session. Actions move no price, only the cost of the next trade: a short horizon is enough.
        gae_lambda: of generalised advantage estimation; later sessions' rewards are mostly noise to an action.
        entropy_bonus: weight of the entropy in the loss of PPO and A2C; SAC finds its own.
        initial_log_std: exploration in units of the action, of PPO, A2C and TRPO at the start, of TD3 and DDPG always.
        levels: DQN's actions in [-1, 1], neutral first (equal values choose the first).
        replay_sessions: replay memory of DQN, SAC, TD3 and DDPG, sessions per environment.
        target_update: their soft update of the target networks per session.
        exploration_rate: DQN's final share of random actions.
        purge_sessions: sessions left out on both sides of a validation block, beyond the fill delay.
        evidence_z: the tilt is kept by `max(0, 1 - (evidence_z / z) ** 2)` for z > evidence_z, else dropped, where z
            is the gain over the rule on validation sessions over its standard error (positive-part shrinkage after
            James and Stein 1961; 1.645 is one-sided 5 %).
        sessions_per_year: to annualise.
        turnover_limit: largest turnover that is accepted, capital traded a year.
        action_floor: least change of the action in [-1, 1], added up over a year; below it the policy answers every
            session alike and decides nothing any more.
        entropy_floor: exploration of what learns from rollouts below this (nats per action number) has collapsed; -3 is
            a deviation of .012.
        kl_limit: largest divergence of a fine-tune from the previous policy, nats per action, that is not warned of.
    """

    trading: TradingSettings = field(default_factory=TradingSettings)
    algorithm: Algorithm = "direct"
    observes: Literal["features", "regimes"] = "features"
    direct: DirectSettings = field(default_factory=DirectSettings)
    seeds: int = 5
    gradient_steps: int = 300
    fine_tune_gradient_steps: int = 20
    online: OnlineSettings | None = None
    hidden: tuple[int, ...] = ()
    learning_rate: float = 1e-3
    fine_tune_learning_rate: float = 3e-4
    rollout_sessions: int = 32
    minibatches: int = 4
    epochs: int = 5
    discount: float = 0.9
    gae_lambda: float = 0.5
    entropy_bonus: float = 0.0
    initial_log_std: float = 0.0
    levels: tuple[float, ...] = (0.0, -1.0, 1.0)
    replay_sessions: int = 200
    target_update: float = 0.02
    exploration_rate: float = 0.05
    purge_sessions: int = 10
    evidence_z: float = 1.645
    sessions_per_year: int = 252
    turnover_limit: float = 25.0
    action_floor: float = 0.1
    entropy_floor: float = -3.0
    kl_limit: float = 1.0

    def __post_init__(self) -> None:
        for name in (
            "seeds",
            "gradient_steps",
            "fine_tune_gradient_steps",
            "rollout_sessions",
            "minibatches",
            "epochs",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.algorithm == "dqn" and self.trading.action in ("weights", "tilts"):
            raise ValueError("dqn chooses one of the levels of an exposure: give it the action residual or exposure")
        if self.algorithm == "direct" and self.hidden:
            raise ValueError(f"the algorithm direct fits a linear policy: hidden is {self.hidden}, must be empty")
        if self.family == "replay" and not self.hidden:
            raise ValueError(
                f"{self.algorithm} learns the value of continuous actions, which no linear function is: give `hidden` "
                "a layer or more, such as [64, 64]"
            )
        if self.family in ("known reward", "replay") and self.online is not None:
            raise ValueError("online updates continue a sampled policy: they need the algorithm ppo, a2c, trpo or dqn")

    @property
    def family(self) -> Family:
        """How the algorithm learns."""
        return FAMILIES[self.algorithm]

    @property
    def steps_per_rollout(self) -> int:
        """Gradient steps after each rollout, or after each session where there are no rollouts."""
        return self.minibatches * self.epochs if self.algorithm == "ppo" else 1

    @property
    def active_levels(self) -> tuple[float, ...]:
        """The levels when the algorithm is discrete, none otherwise."""
        return self.levels if self.family == "levels" else ()

    def gradient_steps_made(self, *, warm: bool) -> int:
        """Gradient steps per member, the budget rounded up to whole rollouts."""
        budget = self.fine_tune_gradient_steps if warm else self.gradient_steps
        return math.ceil(budget / self.steps_per_rollout) * self.steps_per_rollout

    def environment_steps(self, environments: int, *, warm: bool) -> int:
        """Environment steps per member that the gradient steps take."""
        updates = self.gradient_steps_made(warm=warm) // self.steps_per_rollout
        return updates * environments * (self.rollout_sessions if self.family == "rollouts" else 1)
