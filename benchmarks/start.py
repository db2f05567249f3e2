"""A start on little history: what a line should hold while it is young, over many starts on several indices.

    OMP_NUM_THREADS=1 python benchmarks/start.py GSPC.csv IXIC.csv [--every 4] [--from 1972] [--refit-every 63]

Each file has a column of sessions and one named close. On each index a line is begun every so many years: it knows
nothing before its start, is decided from a year of rows on, and is walked for eight years, refitted every quarter. The
design is the one without an autoencoder, which costs a twentieth and has the same ratio on the sample index; 10 bp one
way, decided on a close and filled at the next. `a prior` begins fifteen years earlier, where the file does. Printed are
means and worst of Sharpe ratios and medians of falls over the starts, while less than five years are known and after
that, and how often a candidate beats the line as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import regimes as walked  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray
from rules import encoders, read_closes, walk  # pyright: ignore[reportMissingImports]

from regime_assets.library.encoders.settings import NoEncoderSettings
from regime_assets.library.evaluation.baselines import (
    BaselineSettings,
    moving_average_exposure,
    volatility_target_exposure,
)
from regime_assets.library.evaluation.experience import experience
from regime_assets.library.evaluation.metrics import max_drawdown, sharpe
from regime_assets.library.regimes.settings import IdentitySettings, JumpSettings
from regime_assets.library.trading.scoring import realised_returns

Array = NDArray[np.float64]
YEAR = 252
YOUNG = 5 * YEAR
WALKED_YEARS = 9
PRIOR_YEARS = 15


@dataclass(frozen=True)
class Start:
    """One line begun on little history: its sessions, what it earned by candidate, and how many rows it knew."""

    name: str
    known: Array
    net: dict[str, Array]


def begin(path: Path, year: int, every: int) -> Start | None:
    """Walk a line that begins in a year; None where the file does not hold it."""
    closes = read_closes(path, year)
    market = walked.Market(*cut(closes, year + WALKED_YEARS))
    years = market.features.index.year
    if years[0] > year + 2 or years[-1] < year + WALKED_YEARS - 1:
        return None
    first = int(market.features.index[0].year) + 1
    segments = list(walked.segments(market, first, every))
    lineage = encoders(market, segments, "long", "none", NoEncoderSettings())
    rule = walk(market, segments, "long", lineage, JumpSettings()).exposure
    free = walk(market, segments, "long", lineage, JumpSettings(identity=IdentitySettings(floor=0.0))).exposure
    sessions, returns = pd.DatetimeIndex(rule.index), market.returns.fillna(0.0)
    known = np.arange(len(returns), dtype=float)[returns.index.get_indexer(sessions)]
    young, share = known < YOUNG, np.minimum(known / YOUNG, 1.0)
    settings, values = BaselineSettings(), returns.to_numpy()
    plain = {
        "volatility target": volatility_target_exposure(values, settings),
        "200-day average": moving_average_exposure(values, settings),
    }
    at = returns.index.get_indexer(sessions)
    lacking = np.array([bool(experience(values[: row + 1], YEAR).lacks) for row in at])
    exposures = {
        "as it is": rule.to_numpy(),
        "without the bound on refits": free.to_numpy(),
        "the market until three years": np.where(known < 3 * YEAR, 1.0, rule),
        "the market until five years": np.where(young, 1.0, rule),
        "the market until crisis and calm were seen": np.where(lacking, 1.0, rule),
        "from the market to the rule over five years": (1.0 - share) + share * rule.to_numpy(),
        "half market, half rule until five years": np.where(young, 0.5 + 0.5 * rule, rule),
        **{f"{name} until five years": np.where(young, one[at], rule) for name, one in plain.items()},
        "cash until five years": np.where(young, 0.0, rule),
        "buy & hold": np.ones(len(rule)),
    }
    prior = with_prior(path, year, first, every, sessions)
    if prior is not None:
        exposures["a prior of fifteen years"] = prior
    earned = values[at]
    net = {name: realised_returns(one, earned, walked.COST) for name, one in exposures.items()}
    return Start(f"{path.stem} {year}", known, net)


def cut(market: walked.Market, before: int) -> tuple[pd.DataFrame, pd.Series]:
    """Features and returns before a year."""
    features = market.features[market.features.index.year < before]
    return features, market.returns[market.returns.index.year < before]


def with_prior(path: Path, year: int, first: int, every: int, sessions: pd.DatetimeIndex) -> Array | None:
    """The rule of a line that knows fifteen more years; None where the file begins later."""
    longer = read_closes(path, year - PRIOR_YEARS)
    if longer.features.index.year[0] > year - PRIOR_YEARS + 2:
        return None
    market = walked.Market(*cut(longer, year + WALKED_YEARS))
    segments = list(walked.segments(market, first, every))
    lineage = encoders(market, segments, "long", "none", NoEncoderSettings())
    return walk(market, segments, "long", lineage, JumpSettings()).exposure.reindex(sessions).to_numpy()


def table(starts: Sequence[Start]) -> None:
    """One line a candidate."""
    print("| candidate | starts | Sharpe while young: mean (worst) | drawdown while young: median (worst) "
          "| Sharpe after | drawdown after | beats the line as it is |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    names = list(dict.fromkeys(name for start in starts for name in start.net))
    for name in names:
        those = [start for start in starts if name in start.net]
        young = [sharpe(start.net[name][start.known < YOUNG]) or 0.0 for start in those]
        asis = [sharpe(start.net["as it is"][start.known < YOUNG]) or 0.0 for start in those]
        later = [sharpe(start.net[name][start.known >= YOUNG]) or 0.0 for start in those]
        falls = [
            [fall.depth if (fall := max_drawdown(start.net[name][rows])) else 0.0 for start in those
             for rows in [start.known < YOUNG if early else start.known >= YOUNG]]
            for early in (True, False)
        ]  # fmt: skip
        better = sum(a > b for a, b in zip(young, asis, strict=True))
        print(
            f"| {name} | {len(those)} | {np.mean(young):.2f} ({min(young):.2f}) "
            f"| {np.median(falls[0]):.0%} ({min(falls[0]):.0%}) | {np.mean(later):.2f} | {np.median(falls[1]):.0%} "
            f"| {better} of {len(those)} |",
            flush=True,
        )


def main() -> None:
    """Begin, walk, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("closes", type=Path, nargs="+")
    parser.add_argument("--from", type=int, default=1972, dest="begun")
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--refit-every", type=int, default=63)
    chosen = parser.parse_args()
    starts: list[Start] = []
    for path in chosen.closes:
        for year in range(chosen.begun, 2017, chosen.every):
            start = begin(path, year, chosen.refit_every)
            if start is not None:
                starts.append(start)
                figures = {name: f"{sharpe(net[start.known < YOUNG]) or 0:.2f}" for name, net in start.net.items()}
                print(f"<!-- {start.name}: {figures} -->", flush=True)
    table(starts)


if __name__ == "__main__":
    main()
