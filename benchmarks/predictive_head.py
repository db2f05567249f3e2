"""What a predictive head on the encoder is worth: on planted signals, and on the sample index.

First table: markets of `planted_markets`, walked forward by the whole recipe as `planted_signals` does, with and
without a head, where the policy reads latents and posteriors alone and where it reads the features as well. Ratios are
means over the draws; `found` is how often what serves after 1,008 sessions reaches 60 % of the oracle's.

Second table: the sample index, long window, refitted every `--refit-every` sessions and from scratch once a year: what
the head does to the regimes' rule, and whether the policy keeps a tilt.

    OMP_NUM_THREADS=1 python benchmarks/predictive_head.py [--draws 2] [--refit-every 126] [--first 2003]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from planted_markets import HALF_LIFE
from planted_walk import design_for, walk_planted
from regimes import COST, read_market

from regime_assets.library.design import Component, Design
from regime_assets.library.encoders.settings import MlpVaeSettings
from regime_assets.library.evaluation.bootstrap import sharpe_difference
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.market.window import Expanding, window_weights
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.trading.scoring import score
from regime_assets.library.walk import WalkForwardSettings, replay, schedule

SIGNALS = ("predictive feature", "momentum", "mean reversion", "noise")
HEADS = {"none": 0, "5 sessions": 5, "21 sessions": 21}


def with_head(design: Design, predicts: int, observes: str = "features") -> Design:
    """The design with a head for so many sessions, and what its policy reads."""
    encoder = Component("encoders", "mlp_vae", MlpVaeSettings(predicts=predicts))
    policy = Component("policies", "tilts", PolicySettings(observes=observes))  # pyright: ignore[reportArgumentType]
    return replace(design, encoder=encoder, policy=policy)


def print_planted(draws: int) -> None:
    """The first table."""
    print("| planted | the policy reads | head | rule | policy | oracle | tilt kept in | served in | found in |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in SIGNALS:
        for observes in ("regimes", "features"):
            for head, predicts in HEADS.items():
                design = with_head(design_for(name), predicts, observes)
                walked = [walk_planted(name, seed, 252, design) for seed in range(draws)]
                means = [np.mean([getattr(one, of) or 0.0 for one in walked]) for of in ("rule", "policy", "oracle")]
                kept, served = (sum(one.evidence > 0 for one in walked), sum(one.serves == "policy" for one in walked))
                found = sum((one.served or 0.0) >= 0.6 * one.oracle for one in walked if one.oracle)
                reads = "latents" if observes == "regimes" else "features too"
                shown = " | ".join(f"{mean:.2f}" for mean in means)
                print(f"| {name} | {reads} | {head} | {shown} | {kept} | {served} | {found} of {draws} |", flush=True)


def print_index(first: int, refit_every: int) -> None:
    """The second table."""
    market = read_market()
    features = market.features
    returns = market.returns.reindex(features.index)
    history = TrainingSet(
        features, returns.to_frame("SP500"), window_weights(Expanding(HALF_LIFE), len(features)), "sample index"
    )
    out = int((features.index.year >= first).sum())
    steps = schedule(len(features), WalkForwardSettings(out, refit_every, 252))
    decided: dict[str, pd.DataFrame] = {}
    kept: dict[str, float] = {}
    cpu: dict[str, float] = {}
    for head, predicts in HEADS.items():
        begun = time.process_time()
        segments = list(replay(history, Expanding(HALF_LIFE), with_head(Design(), predicts), steps, ("head", "index")))
        cpu[head] = (time.process_time() - begun) / len(segments)
        decided[head] = pd.concat([segment.decided for segment in segments])
        kept[head] = float(np.mean([segment.models.policy.tilt_kept > 0 for segment in segments]))
    earned = returns.reindex(decided["none"].index).to_numpy()
    print(f"\n{decided['none'].index[0]:%Y-%m-%d} to {decided['none'].index[-1]:%Y-%m-%d}, {len(steps)} refits\n")
    print("| head | rule: Sharpe | max drawdown | turnover | less that without a head, 95 % | policy: Sharpe "
          "| refits that kept a tilt | CPU a refit |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    without = score(decided["none"]["rule_exposure"].to_numpy(), earned, COST)
    for head, table in decided.items():
        rule, policy = (score(table[f"{who}_exposure"].to_numpy(), earned, COST) for who in ("rule", "policy"))
        figures = summarise(rule)
        paired = sharpe_difference(rule.net, without.net, 1) if head != "none" else None
        less = f"{paired.estimate:+.2f} ({paired.low:+.2f} to {paired.high:+.2f})" if paired else ""
        print(
            f"| {head} | {figures.sharpe:.2f} | {figures.max_drawdown:.0%} | {figures.turnover:.1f} | {less} "
            f"| {summarise(policy).sharpe:.2f} | {kept[head]:.0%} | {cpu[head]:.2f} s |"
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--refit-every", type=int, default=126)
    parser.add_argument("--first", type=int, default=2003)
    chosen = parser.parse_args()
    print_planted(chosen.draws)
    print_index(chosen.first, chosen.refit_every)


if __name__ == "__main__":
    main()
