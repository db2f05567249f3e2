"""Bonds and equities: the rule with a refuge and four allocations, beside 60/40, equal parts and buy & hold.

    OMP_NUM_THREADS=1 python benchmarks/portfolios.py closes.csv --risk SPY --refuge TLT GLD [--first 2008]
        [--cash 0.02] [--allocation equal_parts] [--refit-every 63] [--rule-only]

`closes.csv` holds a column of sessions and one of adjusted closes for each instrument; those at risk are watched. The
whole recipe is walked forward by quarters (expanding window, from scratch each year): regimes, sleeves and the learned
tilts. One run of the models serves every allocation, since regimes do not depend on it; the learned policy is
that of `--allocation`. Weights drift and are brought back beyond a band of two points; 10 bp for risk and 5 bp for
refuge, filled a session later; ratios are over cash.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.design import Component, Design
from regime_assets.library.evaluation.bootstrap import sharpe_difference
from regime_assets.library.evaluation.contenders import POLICY, RULE, contenders
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.features.market_risk import compute_features
from regime_assets.library.features.settings import FeatureSettings
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.market.window import Expanding
from regime_assets.library.policies.settings import DirectSettings, PolicySettings
from regime_assets.library.recipe import FittedModels, decide
from regime_assets.library.trading.allocation import Rule
from regime_assets.library.trading.decided import weights_of
from regime_assets.library.trading.portfolio import Portfolio
from regime_assets.library.trading.scoring import FILL_DELAY, score
from regime_assets.library.trading.terms import Charges, Terms
from regime_assets.library.walk import Segment, WalkForwardSettings, replay, schedule, shape_rows

Array = NDArray[np.float64]
HALF_LIFE = 504
BAND = 0.02
RISK_COST, REFUGE_COST = 0.0010, 0.0005
RULES: tuple[Rule, ...] = ("equal_parts", "inverse_volatility", "minimum_variance", "risk_parity")


@dataclass(frozen=True)
class Market:
    """What is walked: a history, its terms, and who is a refuge."""

    history: TrainingSet
    terms: Terms
    charges: Charges


def read(path: Path, risk: list[str], refuge: list[str], rate: float) -> Market:
    """Closes of one file, as a history whose features are those of the risk instruments."""
    closes = pd.read_csv(path, index_col=0, parse_dates=True)[[*risk, *refuge]].dropna()
    returns = closes.pct_change()
    settings = FeatureSettings()
    kept = pd.DatetimeIndex(closes.index[settings.memory_sessions :])
    features = compute_features(closes[risk], returns[risk].mean(axis=1), kept, settings)
    sessions = pd.DatetimeIndex(features.index)
    cash = np.full(len(sessions), rate / 252)
    history = TrainingSet(
        features, returns.loc[sessions], np.ones(len(sessions)), "closes", tuple(refuge), cash
    )  # fmt: skip
    costs = np.array([RISK_COST] * len(risk) + [REFUGE_COST] * len(refuge))
    charges = Charges(costs, 0.0, 0.0)
    mask = np.array([True] * len(risk) + [False] * len(refuge))
    return Market(history, Terms(costs, 0.0, 0.0, sessions, cash, BAND, mask), charges)


def portfolio(market: Market, rule: Rule, *, by_regime: bool = False) -> Portfolio:
    """The portfolio of one allocation."""
    names = tuple(str(name) for name in market.history.traded_returns.columns)
    return Portfolio(
        names, market.history.refuges, (0.0,) * len(names), (1.0,) * len(names), rule, 252, by_regime,
        1.0, 0.0, 0.0, 1.0, market.charges,
    )  # fmt: skip


def weights_under(market: Market, segments: list[Segment], held: Portfolio, *, refuge: bool) -> pd.DataFrame:
    """What the rule holds on all segments when the sleeves are fitted with each of its models."""
    parts: list[pd.DataFrame] = []
    history, columns = market.history, list(market.history.traded_returns.columns)
    for segment in segments:
        stop = segment.step.newest + 1
        path = segment.models.regimes.infer(history.features.iloc[:stop])
        base, sleeves = held.fitted(history.traded_returns.to_numpy()[:stop], path.states)
        sleeves = sleeves if refuge else replace(sleeves, refuge=np.zeros_like(sleeves.refuge))
        exposure = segment.decided["rule_exposure"].to_numpy()[:, None]
        parts.append(pd.DataFrame(sleeves.spread(exposure, base), segment.decided.index, columns))
    return pd.concat(parts)


def on_the_tape(market: Market, weights: pd.DataFrame) -> Array:
    """(T - FILL_DELAY,) net returns over cash of decided weights as a policy's training counts them: without drift."""
    sessions = pd.DatetimeIndex(weights.index)
    terms = market.terms.on(sessions)
    earned = market.history.traded_returns.loc[sessions].to_numpy() - terms.cash[:, None]
    held = weights.to_numpy()[:-FILL_DELAY]
    gross, _, charged = market.charges.step(held, np.vstack([0.0 * held[:1], held[:-1]]), earned[FILL_DELAY:])
    return gross - charged


def whole_tilts(market: Market, segments: list[Segment]) -> pd.DataFrame:
    """What the policies decide when all of their tilt is kept, whatever the evidence."""
    history, parts = market.history, []
    symbols = [str(name) for name in history.traded_returns.columns]
    for segment in segments:
        models = FittedModels(segment.models.regimes, replace(segment.models.policy, tilt_kept=1.0))
        first, step = shape_rows(history.sessions[: segment.step.newest + 1], Expanding(HALF_LIFE))[0], segment.step
        decided = decide(models, history.features.iloc[first : step.stop], step.position - first, symbols)
        parts.append(weights_of(decided, "policy", symbols))
    return pd.concat(parts)


def print_drift(market: Market, policy: pd.DataFrame, rule: pd.DataFrame) -> None:
    """What the tape of training, which knows no drift, says of policy and rule, and what their accounts earn."""
    returns = market.history.traded_returns.loc[policy.index].to_numpy()
    terms = market.terms.on(pd.DatetimeIndex(policy.index))
    tape = [on_the_tape(market, weights) for weights in (policy, rule)]
    account = [score(weights.to_numpy(), returns, terms).over_cash.net[FILL_DELAY:] for weights in (policy, rule)]
    yearly = [252e4 * float(net.mean()) for net in (*tape, *account)]
    gains = [one[0] - one[1] for one in (tape, account)]
    print(
        f"\nWithout drift, as training counts it, the policy with its whole tilt earns {yearly[0]:.1f} and the rule "
        f"{yearly[1]:.1f} basis points a year over cash, in an account that drifts {yearly[2]:.1f} and {yearly[3]:.1f}."
    )
    print(
        f"What the policy earns beyond its rule is {yearly[0] - yearly[1]:+.1f} without drift and "
        f"{yearly[2] - yearly[3]:+.1f} with it; session by session the two correlate "
        f"{float(np.corrcoef(gains[0], gains[1])[0, 1]):.4f}."
    )


def main() -> None:
    """Walk and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("closes", type=Path)
    parser.add_argument("--risk", nargs="+", required=True)
    parser.add_argument("--refuge", nargs="+", required=True)
    parser.add_argument("--first", type=int, default=2008)
    parser.add_argument("--refit-every", type=int, default=63)
    parser.add_argument("--cash", type=float, default=0.02)
    parser.add_argument("--rule-only", action="store_true", help="without the learned policy, which costs most")
    parser.add_argument("--allocation", choices=RULES, default="equal_parts")
    chosen = parser.parse_args()
    begun = time.process_time()
    market = read(chosen.closes, chosen.risk, chosen.refuge, chosen.cash)
    sessions = market.history.sessions
    counts = WalkForwardSettings(
        int((sessions.year >= chosen.first).sum()), chosen.refit_every, full_retrain_every=252
    )  # fmt: skip
    design = replace(Design(), portfolio=portfolio(market, chosen.allocation))
    if chosen.rule_only:
        quick = PolicySettings(seeds=1, direct=DirectSettings(steps=1))
        design = replace(design, policy=Component("policies", "tilts", quick))
    steps = schedule(len(sessions), counts)
    segments = list(replay(market.history, Expanding(HALF_LIFE), design, steps, ("portfolios",)))
    track = pd.concat([segment.decided for segment in segments])
    beside = contenders(market.history, track)
    strategies = {} if chosen.rule_only else {f"{POLICY}, {chosen.allocation}": beside[POLICY]}
    strategies[f"{RULE}, cash for refuge"] = weights_under(
        market, segments, portfolio(market, "equal_parts"), refuge=False
    )
    for rule in RULES:
        strategies[f"{RULE}, {rule}"] = weights_under(market, segments, portfolio(market, rule), refuge=True)
    strategies[f"{RULE}, risk_parity by regime"] = weights_under(
        market, segments, portfolio(market, "risk_parity", by_regime=True), refuge=True
    )
    strategies |= {name: weights for name, weights in beside.items() if name not in (POLICY, RULE)}
    decided = pd.DatetimeIndex(track.index)
    terms, returns = market.terms.on(decided), market.history.traded_returns.loc[decided].to_numpy()
    scored = {name: score(weights.to_numpy(), returns, terms) for name, weights in strategies.items()}
    reference = scored["60/40"].over_cash.net
    print(f"{', '.join(chosen.risk)} with {', '.join(chosen.refuge)} as the refuge, {decided[0]:%Y-%m-%d} to")
    print(f"{decided[-1]:%Y-%m-%d}, {len(segments)} refits, cash {chosen.cash:.1%} a year\n")
    print(
        "| strategy | Sharpe | max drawdown | growth a year | volatility | turnover | exposure | less 60/40's Sharpe |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, result in scored.items():
        figures, paired = summarise(result), None
        if name != "60/40":
            paired = sharpe_difference(result.over_cash.net, reference, 1)
        gain = f"{paired.estimate:+.2f} ({paired.low:+.2f} to {paired.high:+.2f})" if paired else ""
        print(
            f"| {name} | {figures.sharpe or 0:.2f} | {figures.max_drawdown or 0:.0%} | {figures.cagr or 0:.1%} "
            f"| {figures.volatility or 0:.1%} | {figures.turnover or 0:.1f} | {figures.exposure or 0:.2f} | {gain} |"
        )
    banded, free = (
        summarise(score(strategies["60/40"].to_numpy(), returns, replace(terms, no_trade_band=band)))
        for band in (BAND, 0.0)
    )
    print(f"\n60/40 turns over {banded.turnover:.2f} a year under the band and {free.turnover:.2f} without one.")
    if not chosen.rule_only:
        print_drift(market, whole_tilts(market, segments), beside[RULE])
        kept = [segment.models.policy.tilt_kept for segment in segments]
        print(f"The policy kept a tilt in {sum(share > 0 for share in kept)} of {len(kept)} refits.")
    print(f"{time.process_time() - begun:.0f} CPU seconds")


if __name__ == "__main__":
    main()
