"""stable_baselines3's PPO on whole rollouts: the same algorithm, draws and gradients in a fraction of the time.

SB3 crosses from NumPy to torch and back at every step and evaluates actor, critic and likelihood there. Here the actor
alone is stepped; values, likelihoods and advantages are computed once a rollout, and the loss is differentiated in
closed form. Equal seeds give SB3's policy up to rounding (tested), so SB3's documentation holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from regime_assets.library.policies.tower import Float32, Tower

LOG_NORMAL = 0.5 * math.log(2.0 * math.pi)
"""Minus the log density of a standard normal at its centre."""


@dataclass(frozen=True, eq=False)
class _Rollout:
    """N steps of E environments as rows, environment by environment as SB3's buffer orders them, so that equal
    permutations pick equal minibatches.

    Attributes:
        observations: (N * E, O).
        actions: (N * E, P), not clipped.
        figures: (N * E, 4) log likelihood of the action, advantage, return, value.
    """

    observations: Float32
    actions: Float32
    figures: Float32

    def __getitem__(self, rows: NDArray[np.int64]) -> _Rollout:
        return _Rollout(*(np.take(part, rows, axis=0) for part in (self.observations, self.actions, self.figures)))


class TensorPPO(PPO):
    """PPO with SB3's arguments, for `MlpPolicy` with tanh networks on the CPU and continuous actions.

    Raises:
        ValueError: what SB3 offers and this class leaves out is asked for: another activation, discrete actions,
            state-dependent exploration, clipped values, early stopping by divergence.
    """

    def _setup_model(self) -> None:
        # One fused kernel instead of a Python loop over the parameters; eps is SB3's.
        self.policy_kwargs.setdefault("optimizer_kwargs", {"eps": 1e-5, "fused": True})
        super()._setup_model()
        left_out = {
            "an activation that is not tanh": self.policy_kwargs.get("activation_fn", nn.Tanh) is not nn.Tanh,
            "actions that are not a Box": not isinstance(self.action_space, spaces.Box),
            "use_sde": self.use_sde,
            "clip_range_vf": self.clip_range_vf is not None,
            "target_kl": self.target_kl is not None,
            f"device {self.device}": self.device.type != "cpu",
        }
        if any(left_out.values()):
            raise ValueError(f"TensorPPO lacks: {', '.join(name for name, asked in left_out.items() if asked)}")
        rows = max(self.batch_size, self.n_envs)
        self._actor, self._critic = (Tower(layers, rows) for layers in linear_layers(self.policy))
        self._log_std_gradient = torch.zeros(self.action_space.shape or (), dtype=torch.float32)
        self._rollout: _Rollout | None = None

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_actor", "_critic", "_log_std_gradient", "_rollout"]

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Play `n_rollout_steps` in each environment and keep them for `train`; `rollout_buffer` stays empty.

        Callbacks see `rewards`, `dones`, `infos` and `new_obs` of each step, as in SB3.
        """
        assert isinstance(self.action_space, spaces.Box)
        callback.on_rollout_start()
        steps, count = n_rollout_steps, env.num_envs
        log_std: Float32 = self._log_std()
        # One draw for all steps: the numbers that SB3 draws step by step.
        actions: Float32 = torch.randn(steps, count, len(log_std)).numpy()
        likelihoods = (-0.5 * actions**2 - log_std - np.float32(LOG_NORMAL)).sum(axis=2)
        actions *= np.exp(log_std)
        observations = np.empty((steps + 1, count, *self._observed().shape[1:]), np.float32)
        earned = np.empty((steps, count), np.float32)
        begins = np.empty((steps + 1, count), np.bool_)
        truncated: list[tuple[int, int, Float32]] = []
        low, high = self.action_space.low, self.action_space.high
        observations[0] = self._observed()
        begins[0] = self._last_episode_starts
        for step in range(steps):
            actions[step] += self._actor.evaluate(observations[step])
            new_obs, rewards, dones, infos = env.step(np.clip(actions[step], low, high))
            self.num_timesteps += count
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            rows = np.flatnonzero(dones).tolist()
            self._update_info_buffer([infos[row] for row in rows])
            truncated += [
                (step, row, infos[row]["terminal_observation"])
                for row in rows
                if infos[row].get("TimeLimit.truncated", False)
            ]
            self._last_obs, self._last_episode_starts = new_obs, dones  # pyright: ignore[reportAttributeAccessIssue]
            observations[step + 1], earned[step], begins[step + 1] = self._observed(), rewards, dones
        values = np.empty((steps + 1, count), np.float32)
        for step, row in enumerate(observations):
            values[step] = self._critic.evaluate(row)[:, 0]
        for step, row, last in truncated:
            earned[step, row] += np.float32(self.gamma) * self._critic.evaluate(last[None])[0, 0]
        advantages = generalised_advantages(earned, values, begins, self.gamma, self.gae_lambda)
        figures = np.stack([likelihoods, advantages, advantages + values[:-1], values[:-1]], axis=2)
        self._rollout = _Rollout(_by_environment(observations[:-1]), _by_environment(actions), _by_environment(figures))
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """`n_epochs` passes over the rollout in minibatches of `batch_size`, with SB3's loss."""
        rollout, optimizer = self._rollout, self.policy.optimizer
        assert rollout is not None
        self._update_learning_rate(optimizer)
        clip_range: float = self.clip_range(self._current_progress_remaining)  # pyright: ignore[reportCallIssue]
        parameters = self._expose_gradients()
        rows = len(rollout.figures)
        parts: list[list[float]] = []
        for _ in range(self.n_epochs):
            order = np.random.permutation(rows)
            parts = []
            for first in range(0, rows, self.batch_size):
                parts.append(self._differentiate(rollout[order[first : first + self.batch_size]], clip_range))
                nn.utils.clip_grad_norm_(parameters, self.max_grad_norm, foreach=True)
                optimizer.step()
            self._n_updates += 1
        self._record(rollout, np.mean(parts, axis=0).tolist(), clip_range)

    def _differentiate(self, batch: _Rollout, clip_range: float) -> list[float]:
        """Gradients of SB3's loss on a minibatch, left in the parameters' `grad`.

        Returns:
            Loss, policy loss, value loss, entropy loss, approximate divergence, share of clipped ratios.
        """
        count = np.float32(len(batch.figures))
        likelihood, advantages, returns, _ = batch.figures.T
        log_std = self._log_std()
        entropy = float((log_std + (0.5 + LOG_NORMAL)).sum())
        advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + np.float32(1e-8))
        deviation = (batch.actions - self._actor.evaluate(batch.observations)) * np.exp(-log_std)
        squares = deviation * deviation
        log_ratio = -0.5 * squares.sum(axis=1) - np.float32((log_std + LOG_NORMAL).sum()) - likelihood
        ratio = np.exp(log_ratio)
        clipped = np.clip(ratio, 1.0 - clip_range, 1.0 + clip_range)
        gained, bounded = advantages * ratio, advantages * clipped
        # The pessimistic bound is flat where the clipped gain is the smaller one.
        by_likelihood = (np.where(gained <= bounded, -gained, np.float32(0.0)) / count)[:, None]
        self._actor.differentiate(batch.observations, by_likelihood * deviation * np.exp(-log_std))
        by_log_std = (by_likelihood * (squares - np.float32(1.0))).sum(axis=0) - np.float32(self.ent_coef)
        self._log_std_gradient.copy_(torch.from_numpy(by_log_std))
        errors = self._critic.evaluate(batch.observations)[:, 0] - returns
        self._critic.differentiate(batch.observations, (np.float32(2.0 * self.vf_coef) / count * errors)[:, None])
        policy_loss, value_loss = -float(np.minimum(gained, bounded).mean()), float((errors * errors).mean())
        return [
            policy_loss - self.ent_coef * entropy + self.vf_coef * value_loss,
            policy_loss,
            value_loss,
            -entropy,
            float((ratio - 1.0 - log_ratio).mean()),
            float((clipped != ratio).mean()),
        ]

    def _record(self, rollout: _Rollout, parts: list[float], clip_range: float) -> None:
        """What SB3 logs, under its names; means over the minibatches of the last epoch."""
        names = ("loss", "policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction")
        for name, value in zip(names, parts, strict=True):
            self.logger.record(f"train/{name}", value)
        returns, values = rollout.figures[:, 2], rollout.figures[:, 3]
        self.logger.record("train/explained_variance", explained_variance(values, returns))
        self.logger.record("train/std", float(np.exp(self._log_std()).mean()))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)

    def _expose_gradients(self) -> list[nn.Parameter]:
        """All parameters, with the buffers that `_differentiate` fills as their `grad`."""
        policy: Any = self.policy
        policy.log_std.grad = self._log_std_gradient
        return [policy.log_std, *self._actor.expose_gradients(), *self._critic.expose_gradients()]

    def _log_std(self) -> Float32:
        policy: Any = self.policy
        return policy.log_std.detach().numpy()

    def _observed(self) -> Float32:
        assert isinstance(self._last_obs, np.ndarray)
        return self._last_obs


def linear_layers(policy: Any) -> tuple[list[nn.Linear], list[nn.Linear]]:
    """The linear layers of actor and critic of an `MlpPolicy`, from the input on."""
    extractor = policy.mlp_extractor
    actor, critic = (
        [layer for layer in network if isinstance(layer, nn.Linear)]
        for network in (extractor.policy_net, extractor.value_net)
    )
    return [*actor, policy.action_net], [*critic, policy.value_net]


def generalised_advantages(
    rewards: Float32, values: Float32, begins: NDArray[np.bool_], discount: float, gae_lambda: float
) -> NDArray[np.floating]:
    """Advantages (N, E) of rewards (N, E), values and episode begins (N + 1, E) (Schulman et al. 2016)."""
    goes_on = (~begins[1:]).astype(np.float32)
    advantages = rewards + np.float32(discount) * values[1:] * goes_on - values[:-1]
    goes_on *= np.float32(discount * gae_lambda)
    for step in range(len(advantages) - 2, -1, -1):
        advantages[step] += goes_on[step] * advantages[step + 1]
    return advantages


def _by_environment(steps: Float32) -> Float32:
    """(N, E, K) as rows (E * N, K)."""
    return np.ascontiguousarray(steps.swapaxes(0, 1)).reshape(-1, steps.shape[2])
