"""One episode at a time with Gymnasium's interface: a view of the vectorised environment with one row.

For checkers, notebooks and anything that expects `gymnasium.Env`. Training uses `TradingVecEnv` itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from regime_assets.library.trading.env import TradingVecEnv
from regime_assets.library.trading.episodes import Segment
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.trading.tape import MarketTape


class SingleEpisode(gym.Env[NDArray[np.float32], Any]):
    """`TradingVecEnv` with one row as a `gymnasium.Env`; same arguments, same bits."""

    def __init__(
        self,
        tape: MarketTape,
        settings: TradingSettings,
        *,
        segments: Sequence[Segment] | None = None,
        levels: Sequence[float] = (),
        seed: int = 0,
    ) -> None:
        """See `TradingVecEnv`."""
        self.rows = TradingVecEnv(tape, settings, segments=segments, levels=levels, environments=1, seed=seed)
        self.observation_space = self.rows.observation_space
        self.action_space = self.rows.action_space
        self.metadata = {"render_modes": []}
        self.render_mode = None
        self._begun: NDArray[np.float32] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """The first episode of `seed`, or the next one when it is None."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self.rows.seed(seed)
            self._begun = None
        # A row that is done has begun its next episode already.
        observed = self.rows.reset()[0] if self._begun is None else self._begun
        self._begun = None
        return observed, {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Decide on one session; the info of an episode's last step has `equity` and `episode`."""
        self.rows.step_async(np.asarray(action)[None])
        observed, rewards, dones, infos = self.rows.step_wait()
        if not dones[0]:
            return observed[0], float(rewards[0]), False, False, {}
        self._begun = observed[0]
        info = infos[0]
        truncated = bool(info.pop("TimeLimit.truncated"))
        return info.pop("terminal_observation"), float(rewards[0]), not truncated, truncated, info
