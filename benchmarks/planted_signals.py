"""Is a planted signal found by the whole chain? Every market of `planted_markets`, walked forward by the real recipe.

Prints for each market the Sharpe ratios of rule, learned policy, oracle and what serves over the last 1,008 sessions,
net of costs, and of an oracle that has to filter the law out of what is published; the evidence at the last refit; what
serves after 504 and after 1,008 sessions; and the share of noise markets on which the policy differs from its rule, and
on which it would serve.

    python benchmarks/planted_signals.py [--seeds 2] [--first-seed 0] [--noise 20] [--refit-every 126]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from planted_markets import PLANTED
from planted_walk import walk_planted


def main() -> None:
    """Walk the markets and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--noise", type=int, default=10)
    parser.add_argument("--refit-every", type=int, default=126)
    chosen = parser.parse_args()
    begun = time.process_time()
    rows = []
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    for name, seed in [(name, seed) for name in PLANTED if name != "noise" for seed in seeds]:
        rows.append(walk_planted(name, seed, chosen.refit_every).row)
        print(" | ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    noise = [
        walk_planted("noise", seed, chosen.refit_every)
        for seed in range(chosen.first_seed, chosen.first_seed + chosen.noise)
    ]
    print(pd.DataFrame([*rows, noise[0].row]).to_markdown(index=False))
    served = np.mean(["policy" in (one.serves_first, one.serves) for one in noise])
    tilted = np.mean([one.policy != one.rule for one in noise])
    print(f"noise: the policy differs from its rule in {tilted:.0%} of {len(noise)} markets and serves in {served:.0%}")
    print(f"{time.process_time() - begun:.0f} CPU s")


if __name__ == "__main__":
    main()
