"""Is a planted signal found by the whole chain? Every market of `planted_markets`, walked forward by the real recipe.

Prints for each market the Sharpe ratios of rule, learned policy, what serves and the oracle over the last 1,008
sessions, net of costs; the evidence at the last refit; what serves after 504 and after 1,008 sessions; and the share of
noise markets on which the policy would serve.

    python benchmarks/planted_signals.py [--seeds 2] [--noise 20] [--refit-every 126]
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from regime_assets.library.design import Component, Design
from regime_assets.library.evaluation.gate import choose_serving_policy
from regime_assets.library.evaluation.track_record import sharpe
from regime_assets.library.features.settings import RelativeStrengthSettings
from regime_assets.library.market.window import Expanding
from regime_assets.library.research.planted_markets import HALF_LIFE, PLANTED, planted_market
from regime_assets.library.trading.decided import weights_of
from regime_assets.library.trading.scoring import realised_returns
from regime_assets.library.universe.gate_settings import GateSettings
from regime_assets.library.walk import WalkForwardSettings, replay, schedule

TRAINING, OUT_OF_SAMPLE, FIRST_CHOICE, COST = 2016, 1008, 504, 0.0010


def design_for(name: str) -> Design:
    """The shipped design; where several instruments are traded, with their relative strength."""
    design = Design()
    if name != "lead-lag":
        return design
    strength = Component("features", "relative_strength", RelativeStrengthSettings(("X", "Y")))
    return replace(design, features=(*design.features, strength))


def walked(name: str, seed: int, refit_every: int) -> dict[str, object]:
    """One row of the table."""
    design = design_for(name)
    market = planted_market(name, seed, TRAINING + OUT_OF_SAMPLE, design.features)
    steps = schedule(len(market.history.sessions), WalkForwardSettings(OUT_OF_SAMPLE, refit_every, 1000))
    segments = list(replay(market.history, Expanding(HALF_LIFE), design, steps, ("planted", str(seed))))
    track = pd.concat([segment.decided for segment in segments])
    returns = market.history.traded_returns.loc[track.index]
    symbols = [str(symbol) for symbol in returns.columns]
    oracle = market.oracle[-len(track) :]
    weights = {who: weights_of(track, who, symbols).to_numpy() for who in ("rule", "policy")} | {"oracle": oracle}
    net = {who: realised_returns(held, returns.to_numpy(), COST) for who, held in weights.items()}
    evidence = [_z(segment.models.policy.tilt_kept) for segment in segments]
    serves = {
        count: choose_serving_policy(
            net["rule"][:count], net["policy"][:count], GateSettings(), 252, evidence[_newest(segments, track, count)]
        ).serves
        for count in (FIRST_CHOICE, OUT_OF_SAMPLE)
    }
    ratios = {who: sharpe(one) for who, one in net.items()}
    served = ratios[serves[OUT_OF_SAMPLE]]
    best = ratios["oracle"]
    return {
        "market": name,
        "seed": seed,
        **{who: _shown(ratio) for who, ratio in ratios.items()},
        "served": _shown(served),
        "of the oracle": f"{served / best:.0%}" if served is not None and best else "",
        "last z": f"{evidence[-1]:.1f}",
        "serves after 504": serves[FIRST_CHOICE],
        "after 1008": serves[OUT_OF_SAMPLE],
    }


def _newest(segments: list, track: pd.DataFrame, count: int) -> int:
    """The newest refit before the session of `count`."""
    return max(n for n, segment in enumerate(segments) if segment.session <= track.index[count - 1])


def _z(kept: float) -> float:
    """The evidence that a share of the tilt was kept for; 0 below the least."""
    return 1.645 / math.sqrt(1.0 - kept) if kept > 0 else 0.0


def _shown(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def main() -> None:
    """Walk the markets and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--noise", type=int, default=10)
    parser.add_argument("--refit-every", type=int, default=126)
    chosen = parser.parse_args()
    begun = time.process_time()
    names = [name for name in PLANTED if name != "noise"]
    rows = []
    for name, seed in [(name, seed) for name in names for seed in range(chosen.seeds)]:
        rows.append(walked(name, seed, chosen.refit_every))
        print(" | ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    noise = [walked("noise", seed, chosen.refit_every) for seed in range(chosen.noise)]
    print(pd.DataFrame(rows + noise[:1]).to_markdown(index=False))
    served = np.mean([row["after 1008"] == "policy" or row["serves after 504"] == "policy" for row in noise])
    tilted = np.mean([row["policy"] != row["rule"] for row in noise])
    print(f"noise: the policy differs from its rule in {tilted:.0%} of {len(noise)} markets and serves in {served:.0%}")
    print(f"{time.process_time() - begun:.0f} CPU s")


if __name__ == "__main__":
    main()
