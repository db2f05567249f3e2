"""One member network, trained by stable_baselines3's PPO or DQN and taken out of it as NumPy arrays.

Nothing is written: no SB3 archive, no monitor file,
no log. This module imports stable_baselines3 and torch: import it inside the function that trains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from torch import nn

from regime_assets.library.policies.networks import Distance, Member, Networks
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.trading.env import TradingVecEnv


def train_member(
    env: TradingVecEnv, settings: PolicySettings, seed: int, start: Member | None, distance: Distance
) -> tuple[Member, list[dict[str, float]]]:
    """Train one network from `start`, or from one that decides neutrally, for the budget of gradient steps.

    Returns:
        The member, and one curve row per rollout (PPO) or twentieth of the budget (DQN).
    """
    model = _ppo(env, settings, seed, start) if settings.algorithm == "ppo" else _dqn(env, settings, seed, start)
    model.set_logger(Logger(folder=None, output_formats=[]))
    if start is None:
        _neutralise(model)
    else:
        insert(model, start)
    recorder = _Recorder(env, settings, distance, warm=start is not None)
    steps = settings.environment_steps(env.num_envs, warm=start is not None)
    model.learn(steps, callback=recorder, log_interval=1 << 40)
    return extract(model), recorder.rows


def _ppo(env: TradingVecEnv, settings: PolicySettings, seed: int, start: Member | None) -> PPO:
    return PPO(
        "MlpPolicy",
        env,
        learning_rate=settings.learning_rate if start is None else settings.fine_tune_learning_rate,
        n_steps=settings.rollout_sessions,
        batch_size=env.num_envs * settings.rollout_sessions // settings.minibatches,
        n_epochs=settings.epochs,
        gamma=settings.discount,
        gae_lambda=settings.gae_lambda,
        ent_coef=settings.entropy_bonus,
        policy_kwargs={
            "net_arch": {"pi": list(settings.hidden), "vf": list(settings.hidden)},
            "activation_fn": nn.Tanh,
            "log_std_init": settings.initial_log_std,
        },
        seed=seed,
        device="cpu",
    )


def _dqn(env: TradingVecEnv, settings: PolicySettings, seed: int, start: Member | None) -> DQN:
    batch = env.num_envs * settings.rollout_sessions // settings.minibatches
    return DQN(
        "MlpPolicy",
        env,
        learning_rate=settings.learning_rate if start is None else settings.fine_tune_learning_rate,
        buffer_size=settings.replay_sessions * env.num_envs,
        learning_starts=0,
        batch_size=batch,
        tau=settings.target_update,
        target_update_interval=env.num_envs,
        train_freq=1,
        gradient_steps=1,
        gamma=settings.discount,
        exploration_initial_eps=1.0 if start is None else settings.exploration_rate,
        exploration_final_eps=settings.exploration_rate,
        exploration_fraction=0.5,
        policy_kwargs={"net_arch": list(settings.hidden), "activation_fn": nn.Tanh},
        seed=seed,
        device="cpu",
    )


def _towers(model: PPO | DQN) -> tuple[list[nn.Linear], list[nn.Linear]]:
    """The linear layers of actor and critic, from the input on; DQN's networks are its values and their target."""
    if isinstance(model, DQN):
        return _linear(model.q_net), _linear(model.q_net_target)
    return linear_layers(model.policy)


def linear_layers(policy: Any) -> tuple[list[nn.Linear], list[nn.Linear]]:
    """The linear layers of actor and critic of an `MlpPolicy`, from the input on."""
    extractor = policy.mlp_extractor
    actor, critic = _linear(extractor.policy_net), _linear(extractor.value_net)
    return [*actor, policy.action_net], [*critic, policy.value_net]


def _linear(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def _neutralise(model: PPO | DQN) -> None:
    """Zero the actor's last layer: every action, or every level's value, starts at exactly zero."""
    towers = _towers(model) if isinstance(model, DQN) else _towers(model)[:1]
    with torch.no_grad():
        for tower in towers:
            tower[-1].weight.zero_()
            tower[-1].bias.zero_()


def insert(model: PPO | DQN, member: Member) -> None:
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


def extract(model: PPO | DQN) -> Member:
    """A member's arrays from SB3's policy."""
    actor, critic = _towers(model)
    if isinstance(model, DQN):
        return Member(as_networks(actor), None, None)
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


class _Recorder(BaseCallback):
    """One row per rollout: what was earned while collecting it and how training on it moved the policy."""

    def __init__(self, env: TradingVecEnv, settings: PolicySettings, distance: Distance, *, warm: bool) -> None:
        super().__init__()
        self._env = env
        self._distance = distance
        on_policy = settings.algorithm == "ppo"
        total = settings.gradient_steps_made(warm=warm)
        self._sessions = settings.rollout_sessions if on_policy else max(1, total // 20)
        self._gradients = settings.epochs * settings.minibatches if on_policy else self._sessions
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
        kl, entropy = self._distance(extract(self.model))  # pyright: ignore[reportArgumentType]
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
                "loss": float(logged.get("train/value_loss", logged.get("train/loss", np.nan))),
            }
        )
        self._sums[:] = 0.0
        self._count = 0
