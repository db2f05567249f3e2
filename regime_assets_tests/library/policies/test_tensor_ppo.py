from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from torch import nn

from regime_assets.library.determinism import deterministic
from regime_assets.library.policies.tensor_ppo import TensorPPO
from regime_assets.library.trading.actions import ActionKind
from regime_assets.library.trading.env import TradingVecEnv
from regime_assets.library.trading.settings import TradingSettings
from regime_assets_tests.library.trading.trading_tapes import noise_tape

LAYOUT: dict[str, Any] = {"n_steps": 24, "batch_size": 200, "n_epochs": 3, "gamma": 0.9, "ent_coef": 0.01}


def env(action: Any = "residual", levels: tuple[float, ...] = ()) -> TradingVecEnv:
    """32 short episodes, so that every rollout holds ends that are bootstrapped; 32 * 24 rows leave a rest of 168."""
    settings = TradingSettings(action=action, environments=32, episode_sessions=10)
    return TradingVecEnv(noise_tape(), settings, levels=levels)


def learnt(algorithm: type[PPO], action: ActionKind = "residual", seed: int = 3, **layout: Any) -> PPO:
    with deterministic(seed):
        model = algorithm("MlpPolicy", env(action), seed=seed, device="cpu", **(LAYOUT | layout))
        return model.learn(4 * 24 * 32)


def parameters(model: PPO) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.policy.state_dict().items()}


@pytest.mark.parametrize("action", ["residual", "weights"])
def test_equal_seeds_give_sb3s_policy_up_to_rounding(action: ActionKind) -> None:
    """Four updates on rollouts that each depend on the update before; an update moves weights by some .01."""
    reference, ours = learnt(PPO, action), learnt(TensorPPO, action)
    expected, found = parameters(reference), parameters(ours)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
    assert ours.num_timesteps == reference.num_timesteps
    episodes = [[info["r"] for info in model.ep_info_buffer or ()] for model in (reference, ours)]
    np.testing.assert_allclose(*episodes, rtol=1e-3)


def test_it_logs_what_sb3_logs() -> None:
    logged = [
        {name: value for name, value in learnt(algorithm).logger.name_to_value.items() if name.startswith("train/")}
        for algorithm in (PPO, TensorPPO)
    ]
    assert logged[0].keys() == logged[1].keys()
    # SB3 averages some over all epochs and gives the loss of one minibatch: same size, not same number.
    for name in ("train/std", "train/explained_variance", "train/n_updates", "train/entropy_loss"):
        assert logged[1][name] == pytest.approx(logged[0][name], abs=2e-3), name
    assert np.isfinite(list(logged[1].values())).all()


def test_one_seed_gives_the_same_bits() -> None:
    first, again, other = learnt(TensorPPO), learnt(TensorPPO), learnt(TensorPPO, seed=4)
    for name, value in parameters(first).items():
        np.testing.assert_array_equal(parameters(again)[name], value)
    assert not np.array_equal(parameters(other)["action_net.weight"], parameters(first)["action_net.weight"])


def test_a_saved_model_predicts_the_same_and_learns_on(tmp_path: Path) -> None:
    model = learnt(TensorPPO)
    model.save(tmp_path / "model")
    loaded = TensorPPO.load(tmp_path / "model", env=env())
    observed = env().reset()
    np.testing.assert_array_equal(
        loaded.predict(observed, deterministic=True)[0], model.predict(observed, deterministic=True)[0]
    )
    before = parameters(loaded)["action_net.weight"].copy()
    loaded.learn(24 * 32)
    assert not np.array_equal(parameters(loaded)["action_net.weight"], before)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"policy_kwargs": {"activation_fn": nn.ReLU}}, "activation"),
        ({"use_sde": True}, "use_sde"),
        ({"clip_range_vf": 0.2}, "clip_range_vf"),
        ({"target_kl": 0.1}, "target_kl"),
    ],
)
def test_what_it_lacks_is_named(asked: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"TensorPPO lacks: .*{named}"):
        TensorPPO("MlpPolicy", env(), device="cpu", **asked)
    with pytest.raises(ValueError, match="not a Box"):
        TensorPPO("MlpPolicy", env(levels=(0.0, 1.0)), device="cpu")


def test_gradients_of_the_loss_are_autograds() -> None:
    """With every ratio moved away from one, so that some are clipped."""
    model = learnt(TensorPPO, batch_size=768, learning_rate=1e-3)
    assert isinstance(model, TensorPPO)
    rollout = model._rollout
    assert rollout is not None
    policy: Any = model.policy
    model._expose_gradients()
    model._differentiate(rollout, clip_range=0.004)
    found = {name: parameter.grad.clone() for name, parameter in policy.named_parameters()}
    likelihood, advantages, returns, _ = torch.from_numpy(rollout.figures.copy()).unbind(1)
    values, log_prob, entropy = policy.evaluate_actions(
        torch.from_numpy(rollout.observations), torch.from_numpy(rollout.actions)
    )
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    ratio = torch.exp(log_prob - likelihood)
    assert 0.1 < float((torch.abs(ratio - 1) > 0.004).float().mean()) < 0.9
    gained = torch.min(advantages * ratio, advantages * torch.clamp(ratio, 0.996, 1.004)).mean()
    loss = -gained - 0.01 * entropy.mean() + 0.5 * nn.functional.mse_loss(returns, values.flatten())
    policy.zero_grad(set_to_none=True)
    loss.backward()
    for name, parameter in policy.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-3)
