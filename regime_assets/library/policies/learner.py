"""One member network, trained by an algorithm of stable_baselines3 and taken out of it as NumPy arrays.

Nothing is written: no SB3 archive, no monitor file,
no log. This module imports stable_baselines3 and torch: import it inside the function that trains.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import nn

from regime_assets.library.policies.networks import Distance, Member, Networks
from regime_assets.library.policies.policy import PolicyError
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.trading.env import TradingVecEnv


def train_member(
    env: TradingVecEnv, settings: PolicySettings, seed: int, start: Member | None, distance: Distance
) -> tuple[Member, list[dict[str, float]]]:
    """Train one network from `start`, or from one that decides neutrally, for the budget of gradient steps.

    Returns:
        The member, and one curve row per rollout, or per twentieth of the budget where there are no rollouts.
    """
    build = {"rollouts": _from_rollouts, "levels": _dqn, "replay": _from_replay}[settings.family]
    model = build(env, settings, seed, start)
    model.set_logger(Logger(folder=None, output_formats=[]))
    if start is None:
        _neutralise(model)
    else:
        insert(model, start)
    recorder = _Recorder(env, settings, distance, warm=start is not None)
    steps = settings.environment_steps(env.num_envs, warm=start is not None)
    model.learn(steps, callback=recorder, log_interval=1 << 40)
    return extract(model), recorder.rows


def _from_rollouts(env: TradingVecEnv, settings: PolicySettings, seed: int, start: Member | None) -> OnPolicyAlgorithm:
    """PPO, A2C or TRPO."""
    shared: dict[str, Any] = {
        "learning_rate": settings.learning_rate if start is None else settings.fine_tune_learning_rate,
        "n_steps": settings.rollout_sessions,
        "gamma": settings.discount,
        "gae_lambda": settings.gae_lambda,
        "policy_kwargs": {
            "net_arch": {"pi": list(settings.hidden), "vf": list(settings.hidden)},
            "activation_fn": nn.Tanh,
            "log_std_init": settings.initial_log_std,
        },
        "seed": seed,
        "device": "cpu",
    }
    batch = env.num_envs * settings.rollout_sessions // settings.minibatches
    if settings.algorithm == "a2c":
        return A2C("MlpPolicy", env, ent_coef=settings.entropy_bonus, **shared)
    if settings.algorithm == "trpo":
        return _trpo()("MlpPolicy", env, batch_size=batch, **shared)
    return PPO("MlpPolicy", env, batch_size=batch, n_epochs=settings.epochs, ent_coef=settings.entropy_bonus, **shared)


def _trpo() -> Any:
    try:
        from sb3_contrib import TRPO
    except ImportError as error:
        raise PolicyError("the algorithm trpo is sb3_contrib's: pip install sb3-contrib") from error
    return TRPO


def _memory(env: TradingVecEnv, settings: PolicySettings) -> dict[str, Any]:
    """What the algorithms with a replay memory share: one gradient step after each session."""
    return {
        "buffer_size": settings.replay_sessions * env.num_envs,
        "learning_starts": 0,
        "batch_size": env.num_envs * settings.rollout_sessions // settings.minibatches,
        "tau": settings.target_update,
        "train_freq": 1,
        "gradient_steps": 1,
        "gamma": settings.discount,
        "device": "cpu",
    }


def _dqn(env: TradingVecEnv, settings: PolicySettings, seed: int, start: Member | None) -> DQN:
    return DQN(
        "MlpPolicy",
        env,
        learning_rate=settings.learning_rate if start is None else settings.fine_tune_learning_rate,
        target_update_interval=env.num_envs,
        exploration_initial_eps=1.0 if start is None else settings.exploration_rate,
        exploration_final_eps=settings.exploration_rate,
        exploration_fraction=0.5,
        policy_kwargs={"net_arch": list(settings.hidden), "activation_fn": nn.Tanh},
        seed=seed,
        **_memory(env, settings),
    )


def _from_replay(env: TradingVecEnv, settings: PolicySettings, seed: int, start: Member | None) -> OffPolicyAlgorithm:
    """SAC, TD3 or DDPG, which begin anew every time."""
    assert start is None
    shared: dict[str, Any] = _memory(env, settings) | {
        "learning_rate": settings.learning_rate,
        "policy_kwargs": {"net_arch": list(settings.hidden), "activation_fn": nn.Tanh},
        "seed": seed,
    }
    if settings.algorithm == "sac":
        return SAC("MlpPolicy", env, **shared)
    width = int(np.prod(env.action_space.shape or ()))
    noise = NormalActionNoise(np.zeros(width), np.full(width, np.exp(settings.initial_log_std)))
    return (TD3 if settings.algorithm == "td3" else DDPG)("MlpPolicy", env, action_noise=noise, **shared)


def _towers(model: BaseAlgorithm) -> tuple[list[nn.Linear], list[nn.Linear]]:
    """The linear layers of actor and critic, from the input on.

    DQN's networks are its values and their target; of what learns from a memory the critics are not kept.
    """
    policy: Any = model.policy
    if isinstance(model, DQN):
        return _linear(model.q_net), _linear(model.q_net_target)
    if isinstance(model, SAC):
        return [*_linear(policy.actor.latent_pi), policy.actor.mu], []
    if isinstance(model, TD3):  # DDPG is one
        return _linear(policy.actor.mu), []
    return linear_layers(policy)


def linear_layers(policy: Any) -> tuple[list[nn.Linear], list[nn.Linear]]:
    """The linear layers of actor and critic of an `MlpPolicy`, from the input on."""
    extractor = policy.mlp_extractor
    actor, critic = _linear(extractor.policy_net), _linear(extractor.value_net)
    return [*actor, policy.action_net], [*critic, policy.value_net]


def _linear(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def _neutralise(model: BaseAlgorithm) -> None:
    """Zero the actor's last layer: every action, or every level's value, starts at exactly zero."""
    towers = _towers(model) if isinstance(model, DQN) else _towers(model)[:1]
    with torch.no_grad():
        for tower in towers:
            tower[-1].weight.zero_()
            tower[-1].bias.zero_()
    if isinstance(model, TD3):
        model.actor_target.load_state_dict(model.actor.state_dict())


def insert(model: BaseAlgorithm, member: Member) -> None:
    """Copy a member's arrays into SB3's policy."""
    actor, critic = _towers(model)
    _fill(actor, member.actor)
    if isinstance(model, DQN):
        _fill(critic, member.actor)
        return
    if member.critic is not None:
        _fill(critic, member.critic)
    if member.log_std is not None:
        policy: Any = model.policy
        with torch.no_grad():
            policy.log_std.copy_(torch.from_numpy(member.log_std[0].copy()))


def extract(model: BaseAlgorithm) -> Member:
    """A member's arrays from SB3's policy."""
    actor, critic = _towers(model)
    if isinstance(model, DQN):
        return Member(as_networks(actor), None, None)
    if not isinstance(model, OnPolicyAlgorithm):
        return Member(replace(as_networks(actor), squashed=True), None, None)
    policy: Any = model.policy
    return Member(as_networks(actor), as_networks(critic), policy.log_std.detach().numpy().copy()[None])


def _fill(layers: list[nn.Linear], networks: Networks) -> None:
    with torch.no_grad():
        for layer, weight, bias in zip(layers, networks.weights, networks.biases, strict=True):
            layer.weight.copy_(torch.from_numpy(weight[0].T.copy()))
            layer.bias.copy_(torch.from_numpy(bias[0].copy()))


def as_networks(layers: list[nn.Linear]) -> Networks:
    """Linear layers of torch as arrays."""
    return Networks(
        tuple(layer.weight.detach().numpy().T.copy()[None] for layer in layers),
        tuple(layer.bias.detach().numpy().copy()[None] for layer in layers),
    )


LOSSES = ("train/value_loss", "train/loss", "train/critic_loss")
"""Names under which the algorithms log what their critic misses."""


class _Recorder(BaseCallback):
    """One row per rollout: what was earned while collecting it and how training on it moved the policy."""

    def __init__(self, env: TradingVecEnv, settings: PolicySettings, distance: Distance, *, warm: bool) -> None:
        super().__init__()
        self._env = env
        self._distance = distance
        on_policy = settings.family == "rollouts"
        total = settings.gradient_steps_made(warm=warm)
        self._sessions = settings.rollout_sessions if on_policy else max(1, total // 20)
        self._gradients = settings.steps_per_rollout if on_policy else self._sessions
        self._sums = np.zeros(4)
        self._count = 0
        self._row: dict[str, float] | None = None
        self.rows: list[dict[str, float]] = []

    def _on_step(self) -> bool:
        if self._count == self._sessions:
            self._close_row()
        rewards: NDArray[np.float32] = self.locals["rewards"]
        env = self._env
        self._sums += (rewards.mean(), env.net.mean(), env.turnover.mean(), env.positions.sum(axis=1).mean())
        self._count += 1
        return True

    def _on_training_end(self) -> None:
        if self._count:
            self._close_row()

    def _close_row(self) -> None:
        reward, net, turnover, exposure = (self._sums / self._count).tolist()
        kl, entropy = self._distance(extract(self.model))
        logged = self.model.logger.name_to_value
        self.rows.append(
            {
                "gradient_step": float(self._gradients * (len(self.rows) + 1)),
                "environment_step": float(self.num_timesteps),
                "reward": reward,
                "net": net,
                "turnover": turnover,
                "exposure": exposure,
                "entropy": entropy,
                "kl_to_previous": kl,
                "kl_step": float(logged.get("train/approx_kl", np.nan)),
                "loss": float(next((logged[name] for name in LOSSES if name in logged), np.nan)),
            }
        )
        self._sums[:] = 0.0
        self._count = 0
