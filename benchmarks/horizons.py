"""What the two horizons should count: equal parts, one alone, or the evidence of both records as it grew.

    python benchmarks/horizons.py long.csv short.csv --closes NDX.csv

The two files are what `rules.py --exposures` wrote of one market, one for each window. The rule of each is combined on
the sessions that both decided. Evidence is taken anew every 21 sessions, from what was known by then. 10 bp one way,
filled a session later.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import regimes as walked  # pyright: ignore[reportMissingImports]
from rules import read_closes  # pyright: ignore[reportMissingImports]

from regime_assets.library.evaluation.bootstrap import sharpe_difference
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.steps.horizon_shares import evidence_shares
from regime_assets.library.trading.scoring import FILL_DELAY, realised_returns, score

EVERY = 21


def main() -> None:
    """Combine and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("long", type=Path)
    parser.add_argument("short", type=Path)
    parser.add_argument("--closes", type=Path)
    parser.add_argument("--rule", default="shipped", help="which of the rules of both files")
    parser.add_argument("--short-rule", help="of the short window, where it is another one")
    chosen = parser.parse_args()
    market = read_closes(chosen.closes, None) if chosen.closes else walked.read_market()
    long, short = (pd.read_csv(path, index_col=0, parse_dates=True) for path in (chosen.long, chosen.short))
    both = pd.DataFrame({"long": long[chosen.rule], "short": short[chosen.short_rule or chosen.rule]}).dropna()
    sessions = pd.DatetimeIndex(both.index)
    returns = market.returns.reindex(sessions).to_numpy(dtype=np.float64)
    net = {
        name: pd.Series(realised_returns(both[name].to_numpy(), returns, walked.COST), sessions).iloc[FILL_DELAY:]
        for name in ("long", "short")
    }
    share = np.full(len(sessions), 0.5)
    for row in range(EVERY, len(sessions), EVERY):
        known = sessions[row]
        found = evidence_shares(net["short"].loc[:known], net["long"].loc[:known], 252)
        share[row : row + EVERY] = 0.5 if found is None else found["short"]
    strategies = {
        "equal parts": both.mean(axis=1).to_numpy(),
        "long alone": both["long"].to_numpy(),
        "short alone": both["short"].to_numpy(),
        "by evidence": share * both["short"].to_numpy() + (1.0 - share) * both["long"].to_numpy(),
        "one fifth short": 0.2 * both["short"].to_numpy() + 0.8 * both["long"].to_numpy(),
    }
    scored = {name: score(exposure, returns, walked.COST) for name, exposure in strategies.items()}
    print(f"{chosen.closes.stem if chosen.closes else 'S&P 500'}, {sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d}\n")
    print("| horizons | Sharpe | max drawdown | turnover | less equal parts' Sharpe, 95 % |")
    print("|---|---|---|---|---|")
    for name, result in scored.items():
        figures, paired = summarise(result), None
        if name != "equal parts":
            paired = sharpe_difference(result.net, scored["equal parts"].net, 1)
        gain = f"{paired.estimate:+.2f} ({paired.low:+.2f} to {paired.high:+.2f})" if paired else ""
        fall, turnover = figures.max_drawdown or 0.0, figures.turnover or 0.0
        print(f"| {name} | {figures.sharpe or 0:.2f} | {fall:.0%} | {turnover:.1f} | {gain} |")
    print(f"\nshare of the short window by evidence: last {share[-1]:.2f}, from {share.min():.2f} to {share.max():.2f}")


if __name__ == "__main__":
    main()
