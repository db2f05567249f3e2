"""Training by the reward itself: what every action would have earned is known, so nothing needs to be sampled.

A decision moves no price. The reward of a whole history under a policy is then a differentiable function of its
actions, and its gradient over all sessions at once replaces rollouts, critic and exploration. The networks are
stable_baselines3's policy classes, the reward is the environment's own, to the last term (tested).

This module imports stable_baselines3 and torch: import it inside the function that trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from regime_assets.library.policies.learner import as_networks, linear_layers
from regime_assets.library.policies.networks import Distance, Member
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.trading.actions import ActionMap
from regime_assets.library.trading.env import RUIN
from regime_assets.library.trading.episodes import Segment
from regime_assets.library.trading.scoring import FILL_DELAY
from regime_assets.library.trading.tape import MarketTape

CURVE_ROWS = 10
"""Rows of the curve of one member."""
ROUNDING = 1e-5
"""Of an objective in units of the market's volatility, in single precision and to spare."""


def train_directly(
    tape: MarketTape,
    settings: PolicySettings,
    segments: Sequence[Segment],
    distance: Distance,
) -> tuple[Member, list[dict[str, float]]]:
    """A linear policy from a neutral start, by ascending the mean reward of all sessions of `segments` at once.

    Proximal gradient steps with a threshold on every coefficient (Beck and Teboulle 2009): a feature is used when what
    it earns is more than noise of that length shows. Nothing is drawn. Steps that overshoot are taken again at half
    their size.

    Args:
        tape: with standardised observations.
        settings: reward and `direct`.
        segments: half-open ranges of sessions whose reward counts.
        distance: as for the sampled loops.

    Returns:
        The member, and its curve.
    """
    action = ActionMap.of(settings.trading, tape.base_weights, tape.sleeves)
    inputs = torch.from_numpy(np.ascontiguousarray(tape.observations))
    policy = ActorCriticPolicy(
        spaces.Box(-np.inf, np.inf, (inputs.shape[1],), np.float32),
        spaces.Box(-1.0, 1.0, (action.width,), np.float32),
        lambda _: 0.0,
        net_arch={"pi": [], "vf": []},
    )
    (layer,), _ = linear_layers(policy)
    reward = KnownReward(tape, settings, action, segments)
    rows, size = None, settings.direct.step
    while rows is None:
        rows = _ascended(layer, inputs, reward, settings, size, lambda: distance(_member(layer, action.width))[0])
        size /= 2.0
    return _member(layer, action.width), rows


def _ascended(
    layer: nn.Linear,
    inputs: Tensor,
    reward: KnownReward,
    settings: PolicySettings,
    size: float,
    divergence: Callable[[], float],
) -> list[dict[str, float]] | None:
    """Train a layer from zero by steps of a size; give its curve, or None where they overshoot.

    Ascent from a start never falls below it. A step that is too long for how the reward bends, as with many
    instruments of one market, does, and goes on from there to infinity.
    """
    parameters = [layer.weight]
    with torch.no_grad():
        # The bias stays zero: how much is held on average is the rule's answer, when to hold more the policy's.
        layer.weight.zero_()
        layer.bias.zero_()
    # A gain that is no larger than what noise shows is no gain: the universal threshold of Donoho and Johnstone (1994).
    threshold = settings.direct.threshold / math.sqrt(reward.effective_sessions)
    rows: list[dict[str, float]] = []
    steps, lowest = settings.direct.steps, -math.inf
    shown = {round(row * steps / CURVE_ROWS) for row in range(1, CURVE_ROWS + 1)}
    for step in range(1, steps + 1):
        objective, described = reward(layer(inputs))
        reached = float(objective.detach())
        if reached < lowest:
            return None
        if step == 1:
            lowest = reached - ROUNDING
        gradients = torch.autograd.grad(objective, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                moved = parameter + size * gradient
                parameter.copy_(nn.functional.softshrink(moved, size * threshold))
        if step in shown:
            rows.append(
                {"gradient_step": float(step)}
                | described
                | {
                    "environment_step": float(step * reward.sessions),
                    "entropy": 0.0,
                    "kl_to_previous": divergence(),
                    "kl_step": float("nan"),
                    "loss": -reached,
                }
            )
    return rows


def _member(layer: nn.Linear, width: int) -> Member:
    """The layer as a policy's network, which may read the position before (P,): this one gives it no weight.

    The reward pays for trades already, and a path that does not depend on itself is differentiated at once.
    """
    fitted = as_networks([layer])
    weight = np.concatenate([fitted.weights[0], np.zeros((1, width, width), np.float32)], axis=1)
    return Member(replace(fitted, weights=(weight,)), None, None)


class KnownReward:
    """The mean reward of a history as a function of the actions on all its sessions."""

    def __init__(
        self, tape: MarketTape, settings: PolicySettings, action: ActionMap, segments: Sequence[Segment]
    ) -> None:
        """Prepare a tape for `settings.trading`; sessions outside `segments` are played and count nothing."""
        trading, count = settings.trading, tape.n_sessions - FILL_DELAY
        self._trading, self._action = trading, action
        self._rule = _tensor(action.weights(action.at_rule(tape.rule_exposure)))[:count]
        self._base, self._rule_exposure = _tensor(action.base_weights), tape.rule_exposure
        self._earned = _tensor(tape.returns[FILL_DELAY:])
        charges = tape.charges
        self._cost = trading.cost if charges is None else _tensor(charges.cost)
        self._carry = (0.0, 0.0) if charges is None else (charges.borrowing, charges.shorting)
        self._tilted = self._base if action.sleeves is None else self._base - _tensor(action.sleeves.refuge)
        counted = np.zeros(count)
        for first, end in segments:
            counted[first:end] = 1.0
        self.sessions = int(counted.sum())
        weight = tape.sample_weight[:count] / tape.sample_weight[:count].mean()
        weight = counted * ((1.0 - trading.past_share) * weight + trading.past_share)
        self._weight = _tensor(weight / weight.sum())
        self.effective_sessions = float(weight.sum() ** 2 / (weight**2).sum())
        market = (tape.returns[FILL_DELAY:] @ tape.base_weights) ** 2
        self._volatility = float(np.sqrt((market * self._weight.numpy()).sum()))

    def __call__(self, actions: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The objective of actions (T, P): mean reward in units of the market's volatility, as if no limit bound them.

        A limit hides what a session says of a tilt that it forbids: of a rule that is invested whole, all that speaks
        for more. The limits bind when it is decided, and when what was learned is judged.

        Returns:
            The objective; and the curve's figures: reward, net, turnover, exposure.
        """
        rewards, net, turnover, exposure = self.by_session(actions, limited=False)
        mean = (self._weight * rewards).sum()
        shown = {"reward": mean * self._trading.reward_scale, "net": (self._weight * net).sum()}
        shown |= {"turnover": (self._weight * turnover).sum(), "exposure": (self._weight * exposure).sum()}
        return mean / self._volatility, {name: float(value.detach()) for name, value in shown.items()}

    def by_session(self, actions: Tensor, *, limited: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Reward, net return, turnover and exposure (T - FILL_DELAY,) of actions (T, P), unscaled."""
        trading = self._trading
        actions = actions[: len(self._rule)]
        weights = self._limited(torch.clamp(actions, -1.0, 1.0)) if limited else self._unlimited(actions)
        before = torch.cat([self._rule[:1], weights[:-1]])
        traded = torch.abs(weights - before)
        turnover = traded.sum(dim=1)
        net = (weights * self._earned).sum(dim=1) - self._charged(weights, traded, turnover)
        rewards = torch.log1p(torch.clamp(net, min=RUIN)) - 0.5 * trading.risk_aversion * net**2
        if self._action.from_rule:
            tilt = weights - self._rule
            if not self._action.per_instrument:
                tilt = self._exposure(tilt)[:, None] / self._base.sum()
            rewards = rewards - trading.tilt_penalty * (tilt**2).sum(dim=1)
        return rewards, net, turnover, self._exposure(weights)

    def _exposure(self, weights: Tensor) -> Tensor:
        """(T,) what weights (T, N) hold of the risk instruments."""
        sleeves = self._action.sleeves
        return weights.sum(dim=1) if sleeves is None else weights[:, torch.from_numpy(sleeves.risk)].sum(dim=1)

    def _charged(self, weights: Tensor, traded: Tensor, turnover: Tensor) -> Tensor:
        """(T,) what the trades and the holdings of weights (T, N) cost."""
        if isinstance(self._cost, float):
            return self._cost * turnover
        borrowing, shorting = self._carry
        beyond = torch.clamp(weights.sum(dim=1) - 1.0, min=0.0)
        return traded @ self._cost + borrowing * beyond + shorting * torch.clamp(-weights, min=0.0).sum(dim=1)

    def _unlimited(self, actions: Tensor) -> Tensor:
        """Weights as linear functions of the actions."""
        action = self._action
        if action.kind == "tilts":
            return self._rule + action.tilt_bound * actions
        if action.kind == "residual":
            return self._rule + action.tilt_bound * actions * self._tilted
        if action.kind == "exposure":
            low, high = action.lowest_exposure, action.highest_exposure
            exposure = low + (high - low) * 0.5 * (actions + 1.0)
            if action.sleeves is not None:
                return exposure * self._base + (1.0 - exposure) * _tensor(action.sleeves.refuge)
            return exposure * self._base
        if action.sleeves is not None:
            return (self._base + _tensor(action.sleeves.refuge)) * (1.0 + actions)
        return self._base * (1.0 + actions)

    def _limited(self, actions: Tensor) -> Tensor:
        """`ActionMap.weights(ActionMap.positions(...))`, differentiable where what is not held is cash."""
        action = self._action
        if action.sleeves is not None:
            rule = self._rule_exposure[: len(actions)]
            return _tensor(action.weights(action.positions(actions.detach().numpy(), rule)))
        low, high = action.lowest_exposure, action.highest_exposure
        if action.kind == "exposure":
            return (low + (high - low) * 0.5 * (actions + 1.0)) * self._base
        if action.per_instrument:
            wanted = self._base * (1.0 + actions)
            if action.kind == "tilts":
                wanted = torch.clamp(self._rule + action.tilt_bound * actions, low, high)
            return wanted * (high / torch.clamp(wanted.sum(dim=1, keepdim=True), min=high))
        rule = self._rule.sum(dim=1, keepdim=True) / self._base.sum()
        return torch.clamp(rule + action.tilt_bound * actions, low, high) * self._base


def _tensor(array: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
