"""How a policy trades and what it is rewarded for."""

from __future__ import annotations

from typing import Literal

from pydantic.dataclasses import dataclass

from regime_assets.library.settings import STRICT


@dataclass(frozen=True, config=STRICT)
class TradingSettings:
    """How a policy trades and what it is rewarded for.

    Attributes:
        action: `tilts`: the rule's weight of each instrument plus a bounded tilt of its own (default; free policies
            lost to buy & hold out of sample on every seed, those that start from the rule were stable over seeds);
            `residual`: the rule's exposure plus one tilt for all instruments; `exposure`: target exposure; `weights`:
            one target weight per instrument. With one instrument `tilts` and `residual` are the same.
        tilt_bound: largest tilt, a fraction of capital. 1 reaches every
            position: with 0.5 a rule that is invested can be halved and no more, whatever is known.
        no_trade_band: change of every weight (of the exposure, where there is one) up to which a learned policy leaves
            its position as it is; the rule's own switches are larger.
        lowest_exposure, highest_exposure: hard limits of the exposure, fractions of capital.
        cost: fraction of traded notional, one way (0.0010 = 10 bp).
        risk_aversion: `risk_aversion / 2 * net ** 2` is taken from each session's log return, so the sum with the
            log's own aversion of 1 is the investor's (Kolm and Ritter 2019, Modern Perspectives on RL in Finance).
        tilt_penalty: `tilt_penalty * tilt ** 2` is taken from each session's log return; 0.0005 charges a tilt of
            0.5 with 1.2 bp a session, so that only a tilt that earns more than that is learned.
        relative_to_rule: take the rule's own reward of the session from each reward. No action changes it, so the best
            policy stays the same, but the market's noise that both earn is gone (a control variate, Greensmith,
            Bartlett and Baxter 2004). On made-up markets with a weak signal the learned tilt earned 3.6 times as much.
        reward_scale: factor on rewards (100 = per cent), so that the critic sees numbers near 1.
        episode_sessions: longest episode, sessions.
        environments: episodes that are stepped at once.
        past_share: share of episodes drawn evenly from all history; the others are drawn by sample weight. Evidence
            is weighed alike.
        start: position an episode starts from: the rule's of the session before, or cash.
    """

    action: Literal["tilts", "residual", "exposure", "weights"] = "tilts"
    tilt_bound: float = 1.0
    no_trade_band: float = 0.2
    lowest_exposure: float = 0.0
    highest_exposure: float = 1.0
    cost: float = 0.0010
    risk_aversion: float = 2.0
    tilt_penalty: float = 0.0005
    relative_to_rule: bool = True
    reward_scale: float = 100.0
    episode_sessions: int = 126
    environments: int = 256
    past_share: float = 0.5
    start: Literal["rule", "cash"] = "rule"

    def __post_init__(self) -> None:
        if not self.lowest_exposure < self.highest_exposure:
            raise ValueError(f"lowest_exposure {self.lowest_exposure} >= highest_exposure {self.highest_exposure}")
        if self.action == "weights" and self.lowest_exposure < 0:
            raise ValueError("action 'weights' is long-only: lowest_exposure must be >= 0")
        for name in ("tilt_bound", "no_trade_band", "cost", "risk_aversion", "tilt_penalty"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must be >= 0")
        if not 0 <= self.past_share <= 1:
            raise ValueError(f"past_share is {self.past_share}, must be between 0 and 1")
        if self.episode_sessions < 1 or self.environments < 1:
            raise ValueError("episode_sessions and environments must be at least 1")
