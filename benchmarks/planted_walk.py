"""Is a planted signal found? A made-up market walked forward by the real recipe, with what would have served in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pandas as pd
from planted_markets import HALF_LIFE, planted_market

from regime_assets.library.design import Component, Design
from regime_assets.library.evaluation.gate import choose_serving_policy
from regime_assets.library.evaluation.track_record import sharpe
from regime_assets.library.features.settings import RelativeStrengthSettings
from regime_assets.library.market.window import Expanding
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.trading.decided import weights_of
from regime_assets.library.trading.scoring import realised_returns, score
from regime_assets.library.universe.gate_settings import GateSettings
from regime_assets.library.walk import WalkForwardSettings, replay, schedule

TRAINING, OUT_OF_SAMPLE, FIRST_CHOICE, COST = 2016, 1008, 504, 0.0010


@dataclass(frozen=True)
class PlantedResult:
    """What came of one market, over the out-of-sample sessions, net of costs.

    Attributes:
        rule, policy, oracle: Sharpe ratios; None of what never moved.
        knowable: of who knows the law and sees what is published.
        turnover: of the policy, a year.
        evidence: held-out z at the last refit; 0 below what keeps any of the tilt.
        serves_first, serves: after 504 and after 1,008 sessions.
    """

    market: str
    seed: int
    rule: float | None
    policy: float | None
    oracle: float | None
    knowable: float | None
    turnover: float
    evidence: float
    serves_first: str
    serves: str

    @property
    def served(self) -> float | None:
        """Sharpe ratio of what serves at the end."""
        return self.policy if self.serves == "policy" else self.rule

    def share(self, best: float | None) -> str:
        """What serves at the end as a share of a Sharpe ratio."""
        return "" if not best or self.served is None else f"{self.served / best:.0%}"

    @property
    def row(self) -> dict[str, object]:
        """One row of the table."""
        return {
            "market": self.market,
            "seed": self.seed,
            **{name: _shown(getattr(self, name)) for name in ("rule", "policy", "oracle", "knowable", "served")},
            "of the oracle": self.share(self.oracle),
            "of what can be known": self.share(self.knowable),
            "turnover": f"{self.turnover:.1f}",
            "z": f"{self.evidence:.1f}",
            "serves after 504": self.serves_first,
            "after 1008": self.serves,
        }


def walk_planted(name: str, seed: int, refit_every: int, design: Design | None = None) -> PlantedResult:
    """Walk one market of `PLANTED` forward by the shipped design, or by another one, and choose what serves."""
    design = design or design_for(name)
    market = planted_market(name, seed, TRAINING + OUT_OF_SAMPLE, design.features)
    steps = schedule(len(market.history.sessions), WalkForwardSettings(OUT_OF_SAMPLE, refit_every, 1000))
    segments = list(replay(market.history, Expanding(HALF_LIFE), design, steps, ("planted", str(seed))))
    track = pd.concat([segment.decided for segment in segments])
    returns = market.history.traded_returns.loc[track.index]
    symbols, earned = [str(symbol) for symbol in returns.columns], returns.to_numpy()
    rule, policy = (weights_of(track, who, symbols).to_numpy() for who in ("rule", "policy"))
    best = [weights[-len(track) :] for weights in (market.oracle, market.knowable)]
    nets = [realised_returns(held, earned, COST) for held in (rule, policy, *best)]
    evidence = {segment.session: _z(segment.models.policy.tilt_kept) for segment in segments}

    def serves(count: int) -> str:
        newest = max(session for session in evidence if session <= track.index[count - 1])
        return choose_serving_policy(nets[0][:count], nets[1][:count], GateSettings(), 252, evidence[newest]).serves

    return PlantedResult(
        name,
        seed,
        *(sharpe(net) for net in nets),
        turnover=252 * float(score(policy, earned, COST).turnover.mean()),
        evidence=list(evidence.values())[-1],
        serves_first=serves(FIRST_CHOICE),
        serves=serves(OUT_OF_SAMPLE),
    )


def design_for(name: str) -> Design:
    """The shipped design; where several instruments are traded, with their relative strength."""
    design = Design()
    if name != "lead-lag":
        return design
    strength = Component("features", "relative_strength", RelativeStrengthSettings(("X", "Y")))
    return replace(design, features=(*design.features, strength))


def _z(kept: float) -> float:
    """The evidence for which a share of the tilt was kept; 0 below the least."""
    return PolicySettings().evidence_z / math.sqrt(1.0 - kept) if kept > 0 else 0.0


def _shown(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"
