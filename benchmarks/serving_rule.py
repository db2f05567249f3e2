"""How often a policy serves that knows nothing: the serving rule on markets where nothing foretells the return.

    OMP_NUM_THREADS=1 python benchmarks/serving_rule.py [--paths 60] [--z 2.5]

Markets are GJR-GARCH(1, 1) with Student t errors, 16 % a year, a constant premium of 6 %, as in `gate_worlds.py`. The
policy is the shipped one over the features of the index, beside a rule that is out of the market while its volatility
is above the median of what was seen. Eight years are trained on, four are decided out of sample; the policy is refitted
every 126 sessions. From 504 paired sessions on the serving rule is asked at each refit. Printed are the shares of looks
and of markets in which the policy serves, with what serving it cost, by the bound on the evidence of held-out blocks.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from gate_worlds import shocks  # pyright: ignore[reportMissingImports]

from regime_assets.library.determinism import derive_seed
from regime_assets.library.evaluation.gate import choose_serving_policy
from regime_assets.library.evaluation.track_record import sharpe
from regime_assets.library.features.market_risk import compute_features
from regime_assets.library.features.settings import FeatureSettings
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.policies.training import train_policy
from regime_assets.library.trading.scoring import realised_returns
from regime_assets.library.trading.tape import MarketTape
from regime_assets.library.universe.gate_settings import GateSettings

TRAINED, DECIDED, EVERY, PAIRED = 2016, 1008, 126, 504
COST = 0.0010
BOUNDS = (1.645, 2.0, 2.5, 3.0)


def walk(path: int) -> tuple[list[float], np.ndarray, np.ndarray]:
    """The evidence at each refit, and both nets, on one market."""
    memory = FeatureSettings().memory_sessions
    total = memory + TRAINED + DECIDED
    generator = np.random.default_rng(derive_seed("serving rule", str(path)))
    values = 0.16 / np.sqrt(252) * shocks(generator, (1,), total, 0.0)[:, 0] + 0.06 / 252
    sessions = pd.bdate_range("2000-01-03", periods=total)
    returns = pd.Series(values, sessions)
    closes = (1.0 + returns).cumprod().to_frame("index")
    features = compute_features(closes, returns.iloc[1:], pd.DatetimeIndex(sessions[memory:]), FeatureSettings())
    table = features.to_numpy(dtype=np.float32)
    fast = returns.ewm(halflife=20).std().reindex(features.index)
    rule = (fast <= fast.expanding(60).median()).to_numpy(dtype=np.float64)
    observed = np.column_stack([table, rule.astype(np.float32)])
    earned, settings = returns.reindex(features.index).to_numpy()[:, None], PolicySettings()
    weight, decided, evidence = np.ones(len(rule)), np.zeros((DECIDED, 1)), list[float]()
    for begin in range(0, DECIDED, EVERY):
        row, stop = TRAINED + begin, min(begin + EVERY, DECIDED)
        tape = MarketTape(observed[:row], rule[:row], earned[:row], np.ones(1), weight[:row])
        fit = train_policy(tape, settings, derive_seed("serving rule", str(path), str(begin)))
        evidence.append(fit.figures["validation_z"])
        newer = slice(row, TRAINED + stop)
        decided[begin:stop] = fit.model.decide(observed[newer], rule[newer], rule[row - 1])
    out = slice(TRAINED, TRAINED + DECIDED)
    nets = (realised_returns(weights, earned[out], COST) for weights in (rule[out][:, None], decided))
    return evidence, *nets


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--paths", type=int, default=60)
    chosen = parser.parse_args()
    begun = time.process_time()
    found = [walk(path) for path in range(chosen.paths)]
    looks = [begin for begin in range(EVERY, DECIDED + 1, EVERY) if begin >= PAIRED]
    print(f"{chosen.paths} markets, {len(looks)} looks each\n")
    print("| evidence of held-out blocks needed | looks in which it serves | markets that it ever serves in "
          "| Sharpe of what serves less the rule's |")  # fmt: skip
    print("|---|---|---|---|")
    for bound in BOUNDS:
        settings, serving, lost = replace(GateSettings(), serving_validation_z=bound), list[list[bool]](), list[float]()
        for evidence, rule, policy in found:
            row = [
                choose_serving_policy(rule[:look], policy[:look], settings, 252, evidence[look // EVERY - 1]).serves
                == "policy"
                for look in looks
            ]
            serving.append(row)
            served = rule.copy()
            for look, serves in zip(looks, row, strict=True):
                if serves:
                    served[look : look + EVERY] = policy[look : look + EVERY]
            after = slice(PAIRED, None)
            lost.append((sharpe(served[after]) or 0.0) - (sharpe(rule[after]) or 0.0))
        shown = np.array(serving)
        print(f"| {bound:g} | {shown.mean():.1%} | {shown.any(axis=1).mean():.0%} | {np.mean(lost):+.3f} |")
    kept = np.mean([z > PolicySettings().evidence_z for evidence, _, _ in found for z in evidence])
    print(f"\na tilt is kept (z above {PolicySettings().evidence_z}) in {kept:.0%} of the fits")
    print(f"{time.process_time() - begun:.0f} CPU s")


if __name__ == "__main__":
    main()
