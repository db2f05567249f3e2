"""Hundreds of portfolio episodes stepped at once over the arrays of one tape.

A decision at session t sees the observation of t and the position decided at t-1, is filled at the close of t+1 and
earns `returns[t + FILL_DELAY]`; the cost of getting there is charged together with that return. The same convention
scores every strategy in `trading.scoring`. Drift of weights between decisions is ignored; returns are over cash.

This module imports stable_baselines3: import it inside the function that trains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from regime_assets.library.trading.actions import ActionMap
from regime_assets.library.trading.episodes import EpisodeSampler, Segment
from regime_assets.library.trading.scoring import FILL_DELAY
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.tape import MarketTape

RUIN = -0.99
"""A session's net return that ends an episode: below it the log of wealth says nothing any more."""


class TradingVecEnv(VecEnv):
    """Portfolio episodes with SB3's `VecEnv` semantics (auto-reset, `terminal_observation`), natively in NumPy.

    Row i behaves to the bit like `SingleEpisode` seeded with `seed + i`, whatever the number of environments.
    Episodes end by truncation, at their sampled length, or by termination, at `RUIN`.

    Attributes:
        net: (E,) net return of each environment's last decision.
        turnover: (E,) traded notional of the last decision, fraction of capital.
        positions: (E, P) positions decided last.
        equity: (E,) wealth of the running episode, 1 at its start.
    """

    def __init__(
        self,
        tape: MarketTape,
        settings: TradingSettings,
        *,
        segments: Sequence[Segment] | None = None,
        levels: Sequence[float] = (),
        environments: int | None = None,
        seed: int = 0,
    ) -> None:
        """Prepare the arrays; nothing is sampled before `reset`.

        Args:
            tape: the market.
            settings: trading and reward.
            segments: half-open ranges of sessions that may be decided on; None for all whose return is known.
            levels: actions in [-1, 1] to choose from (discrete action space); empty for a continuous one.
            environments: number of episodes at once; None for `settings.environments`.
            seed: of environment 0; environment i has seed + i.

        Raises:
            EpisodeError: a segment holds no decision or one whose return the tape does not contain.
        """
        self.render_mode = None
        self.settings = settings
        self._map = ActionMap.of(settings, tape.base_weights, tape.sleeves)
        self._charges = tape.charges
        self._observations = tape.observations
        self._rule = tape.rule_exposure
        self._returns = tape.returns
        self._base_returns = tape.base_returns
        self._reference = self._rewards_of_the_rule() if settings.relative_to_rule else np.zeros(tape.n_sessions)
        self._levels = np.asarray(levels, dtype=np.float64)
        self._sampler = EpisodeSampler.of(tape, settings, segments)
        count = settings.environments if environments is None else environments
        width = tape.observations.shape[1] + self._map.width
        super().__init__(count, spaces.Box(-np.inf, np.inf, (width,), np.float32), self._space())
        self._seed_keys = np.arange(count, dtype=np.uint64) + np.uint64(seed)
        self._episode = np.zeros(count, dtype=np.uint64)
        self._t = np.zeros(count, dtype=np.int64)
        self._end = np.ones(count, dtype=np.int64)
        self._start = np.zeros(count, dtype=np.int64)
        self.positions = np.zeros((count, self._map.width))
        self.net = np.zeros(count)
        self.turnover = np.zeros(count)
        self.equity = np.ones(count)
        self._score = np.zeros(count)
        self._actions: NDArray[Any] | None = None

    def _space(self) -> spaces.Space[Any]:
        if len(self._levels):
            if self._map.width != 1:
                raise ValueError("discrete levels need one exposure, not one weight per instrument")
            return spaces.Discrete(len(self._levels))
        return spaces.Box(-1.0, 1.0, (self._map.width,), np.float32)

    def reset(self) -> NDArray[np.float32]:
        """Begin a new episode in every environment; first episodes of newly given seeds if `seed` was called."""
        if self._seeds[0] is not None:
            self._seed_keys = np.array(self._seeds, dtype=np.uint64)
            self._episode[:] = 0
            self._reset_seeds()
        self._reset_options()
        self._begin(np.arange(self.num_envs))
        return self._observe()

    def _begin(self, rows: NDArray[np.int64]) -> None:
        start, end = self._sampler.sample(self._seed_keys[rows], self._episode[rows])
        self._episode[rows] += np.uint64(1)
        self._t[rows] = self._start[rows] = start
        self._end[rows] = end
        position = np.zeros((len(rows), self._map.width))
        if self.settings.start == "rule":
            before = start > 0
            position[before] = self._map.at_rule(self._rule[start[before] - 1])
        self.positions[rows] = position
        self.equity[rows] = 1.0
        self._score[rows] = 0.0

    def _observe(self) -> NDArray[np.float32]:
        width = self._observations.shape[1]
        observed = np.empty((self.num_envs, width + self._map.width), dtype=np.float32)
        observed[:, :width] = self._observations[self._t]
        observed[:, width:] = self.positions
        return observed

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions (E, P) in [-1, 1], or (E,) indices of levels, of the next `step_wait`."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Decide, earn, move on a session; environments that are done begin their next episode."""
        if self._actions is None:
            raise RuntimeError("step_wait without step_async")
        rewards = self._earn(self._actions)
        self._actions = None
        self._t += 1
        ruined = self.net <= RUIN
        dones = ruined | (self._t >= self._end)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        observed = self._observe()
        rows = np.flatnonzero(dones)
        if len(rows):
            for row in rows.tolist():
                infos[row] = self._closing(row, observed[row].copy(), bool(ruined[row]))
            self._begin(rows)
            observed = self._observe()
        return observed, rewards, dones, infos

    def _earn(self, actions: NDArray[Any]) -> NDArray[np.float32]:
        settings, t = self.settings, self._t
        if len(self._levels):
            actions = self._levels[np.asarray(actions, dtype=np.int64).reshape(-1, 1)]
        rule = self._rule[t]
        positions = self._map.settled(self.positions, self._map.positions(actions, rule))
        gross, self.turnover, charged = self._traded(positions, t)
        self.net = gross - charged
        reward = self._utility(self.net) - self._reference[t]
        if self._map.from_rule:
            for tilt in (positions - self._map.at_rule(rule)).T:
                reward -= settings.tilt_penalty * tilt**2
        self.positions = positions
        self.equity *= 1.0 + self.net
        self._score += reward
        return (reward * settings.reward_scale).astype(np.float32)

    def _traded(
        self, positions: NDArray[np.float64], t: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Gross return, turnover and what is charged, each (E,), of positions at sessions `t`."""
        if self._charges is not None:
            held, before = self._map.weights(positions), self._map.weights(self.positions)
            return self._charges.step(held, before, self._returns[t + FILL_DELAY])
        turnover = np.zeros(self.num_envs)
        for column in np.abs(positions - self.positions).T:
            turnover += column
        turnover = turnover * self._map.unit_turnover
        if self._map.per_instrument:
            gross = np.zeros(self.num_envs)
            for position, earned in zip(positions.T, self._returns[t + FILL_DELAY].T, strict=True):
                gross += position * earned
        else:
            gross = positions[:, 0] * self._base_returns[t + FILL_DELAY]
        return gross, turnover, self.settings.cost * turnover

    def _utility(self, net: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log1p(np.maximum(net, RUIN)) - 0.5 * self.settings.risk_aversion * net**2

    def _rewards_of_the_rule(self) -> NDArray[np.float64]:
        """(T - FILL_DELAY,) what the rule earns by each session's decision, from cash before the first."""
        if self._charges is not None:
            held = self._map.weights(self._map.at_rule(self._rule))[:-FILL_DELAY]
            before = np.vstack([np.zeros((1, held.shape[1])), held[:-1]])
            gross, _, charged = self._charges.step(held, before, self._returns[FILL_DELAY:])
            return self._utility(gross - charged)
        exposure = np.clip(self._rule, self._map.lowest_exposure, self._map.highest_exposure)[:-FILL_DELAY]
        traded = np.abs(np.diff(exposure, prepend=0.0)) * float(self._map.base_weights.sum())
        return self._utility(exposure * self._base_returns[FILL_DELAY:] - self.settings.cost * traded)

    def _closing(self, row: int, observed: NDArray[np.float32], ruined: bool) -> dict[str, Any]:
        length = int(self._t[row] - self._start[row])
        return {
            "terminal_observation": observed,
            "TimeLimit.truncated": not ruined,
            "equity": float(self.equity[row]),
            "episode": {"r": float(self._score[row]) * self.settings.reward_scale, "l": length},
        }

    def close(self) -> None:
        """Nothing is held open."""

    def _rows(self, indices: int | Iterable[int] | None) -> list[int]:
        return list(self._get_indices(indices))

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """The attribute, once per environment asked for: environments share it."""
        return [getattr(self, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Set an attribute of all environments; one alone has none of its own."""
        if len(self._rows(indices)) != self.num_envs:
            raise ValueError(f"{attr_name}: the environments share their attributes, set it for all of them")
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: int | Iterable[int] | None = None, **method_kwargs: Any
    ) -> list[Any]:
        """Environments of a native `VecEnv` are rows of arrays: they have no methods."""
        raise NotImplementedError(f"{method_name}: environments are rows of arrays and have no methods")

    def env_is_wrapped(
        self,
        wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]],  # noqa: ARG002 (SB3's signature)
        indices: int | Iterable[int] | None = None,
    ) -> list[bool]:
        """No row is ever wrapped."""
        return [False] * len(self._rows(indices))
