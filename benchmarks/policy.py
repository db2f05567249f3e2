"""Learned policies out of sample over ten seeds, and what a warm start saves, on the sample index.

    OMP_NUM_THREADS=1 python benchmarks/policy.py [--seeds 10] [--gradient-steps 300] [--horizon long]

First table: five walk-forward folds of four years. For each, VAE, regimes and policies are fitted once on everything
before it and decide it unchanged; the tape of a policy ends where its fold begins. A seed is one member network,
trained without its own purged block of the tape; all of them vote in the policy, and their pooled blocks decide how
much of a residual policy's tilt is kept. All folds are scored together, filled two sessions later, 10 bp one way.

Second table: history grows by a month and by a year. Networks trained before it go on with a fine-tune's learning rate;
the same networks are trained from scratch beside them, both for a full retrain's budget. The score is the objective
of training (gain over the rule, net of costs, risk and the penalty on tilts), acting without noise, on the sessions
trained on: it says what a warm start saves, and nothing about other sessions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from regimes import COST, Market, read_market  # pyright: ignore[reportMissingImports]

from regime_assets.library.determinism import derive_seed, deterministic
from regime_assets.library.encoders.settings import MlpVaeSettings
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.evaluation.baselines import (
    BaselineSettings,
    moving_average_exposure,
    volatility_target_exposure,
)
from regime_assets.library.evaluation.metrics import PerformanceSummary, summarise
from regime_assets.library.policies.networks import Member, Networks
from regime_assets.library.policies.policy import Policy
from regime_assets.library.policies.settings import PolicySettings
from regime_assets.library.policies.training import PolicyFit, train_policy
from regime_assets.library.policies.validation import purged_folds
from regime_assets.library.regimes.regime_model import RegimeModel, fit_regimes, observations
from regime_assets.library.regimes.settings import JumpSettings
from regime_assets.library.trading.scoring import score
from regime_assets.library.trading.tape import MarketTape

Array = NDArray[np.float64]
FOLDS = (2003, 2007, 2011, 2015, 2019, 2023)
EXTENDED_AT = (2005, 2010, 2015, 2020)
EXTENSIONS = (21, 252)
STARTED = 3
"""Networks a year whose starts are compared."""


@dataclass(frozen=True)
class Fold:
    """The tapes before a fold, without and with features, and what the same models say of its sessions."""

    tapes: dict[str, MarketTape]
    sessions: pd.DatetimeIndex
    observations: dict[str, NDArray[np.float32]]
    rule: Array
    rule_before: float

    def decided(self, policy: Policy) -> Array:
        """Exposures (T,) on the fold's sessions, entered with the rule's position."""
        seen = self.observations["features" if policy.reads_features else "regimes"]
        return policy.positions(seen, self.rule, self.rule_before)[:, 0]


def fitted_regimes(market: Market, row: int, horizon: str) -> RegimeModel:
    """VAE and regimes of the window that ends before `row`."""
    features, returns, weights = market.window(row, horizon)
    seed = derive_seed("policy benchmark", horizon, str(row))
    vae = fit_encoder(features, weights, "mlp_vae", MlpVaeSettings(), seed, None, full_retrain=True)
    return fit_regimes(vae.model, features, returns, weights, "jump", JumpSettings(), seed, None).model


def tape_before(market: Market, model: RegimeModel, row: int, horizon: str, *, observes: str = "regimes") -> MarketTape:
    """What a policy trains on before `row`."""
    features, returns, weights = market.window(row, horizon)
    path = model.infer(features)
    seen = observations(path, features if observes == "features" else None)
    return MarketTape(seen, path.rule_exposure, returns[:, None], np.ones(1), weights)


def walk(market: Market, horizon: str) -> Iterator[Fold]:
    """The folds in order."""
    years = market.features.index.year.to_numpy()
    for begin, end in pairwise(FOLDS):
        row, stop = (int(np.searchsorted(years, year)) for year in (begin, end))
        model = fitted_regimes(market, row, horizon)
        window = market.window(row, horizon)[0]
        seen = market.features.loc[window.index[0] :].iloc[: len(window) + stop - row]
        path = model.infer(seen)
        unseen = slice(len(window), None)
        yield Fold(
            {kind: tape_before(market, model, row, horizon, observes=kind) for kind in ("regimes", "features")},
            pd.DatetimeIndex(path.sessions[unseen]),
            {"regimes": observations(path)[unseen], "features": observations(path, seen)[unseen]},
            path.rule_exposure[unseen],
            float(path.rule_exposure[len(window) - 1]),
        )


def out_of_sample(market: Market, folds: list[Fold], exposures: list[Array]) -> PerformanceSummary:
    """Figures over all folds together."""
    sessions = np.concatenate([fold.sessions for fold in folds])
    returns = market.returns.reindex(pd.DatetimeIndex(sessions)).to_numpy(dtype=np.float64)
    return summarise(score(np.concatenate(exposures), returns, COST))


def print_row(name: str, results: list[PerformanceSummary], note: str = "") -> None:
    """One line; several results are seeds, shown as mean (lowest to highest)."""

    def shown(figure: str, form: str) -> str:
        values = [getattr(result, figure) for result in results]
        spread = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
        return f"{np.mean(values):{form}}{spread}"

    figures = [shown("sharpe", ".2f"), shown("max_drawdown", ".0%"), shown("turnover", ".1f"), shown("exposure", ".2f")]
    print(f"| {name} | {' | '.join(figures)} | {note} |", flush=True)


def print_policy(name: str, market: Market, folds: list[Fold], fits: list[PolicyFit], seeds: int) -> None:
    """Each seed alone, their vote, and a residual policy as it would serve."""
    alone = [
        out_of_sample(market, folds, [fold.decided(fit.model.member(i)) for fold, fit in zip(folds, fits, strict=True)])
        for i in range(seeds)
    ]
    agreement = np.mean([fit.figures["seed_agreement"] for fit in fits])
    print_row(f"{name}, each seed alone", alone, f"seeds correlate {agreement:.2f}")
    whole = [fold.decided(replace(fit.model, tilt_kept=1.0)) for fold, fit in zip(folds, fits, strict=True)]
    steps = fits[0].figures["gradient_steps"] / seeds, fits[0].figures["environment_steps"] / seeds
    note = f"a seed: {steps[0]:,.0f} gradient steps, {steps[1]:,.0f} environment steps"
    print_row(f"{name}, the seeds' vote", [out_of_sample(market, folds, whole)], note)
    if fits[0].model.action.from_rule:
        served = [fold.decided(fit.model) for fold, fit in zip(folds, fits, strict=True)]
        kept = " ".join(f"{fit.model.tilt_kept:.2f}" for fit in fits)
        evidence = " ".join(f"{fit.figures['validation_z']:.1f}" for fit in fits)
        note = f"tilt kept by fold: {kept} (z {evidence})"
        print_row(f"{name}, as it serves", [out_of_sample(market, folds, served)], note)


def compare_policies(market: Market, settings: PolicySettings, horizon: str) -> None:
    """The first table."""
    folds = list(walk(market, horizon))
    sessions = pd.DatetimeIndex(np.concatenate([fold.sessions for fold in folds]))
    print(f"\nS&P 500, {sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d}, {horizon} window, {settings.seeds} seeds\n")
    print("| policy | Sharpe | max drawdown | turnover a year | exposure | |")
    print("|---|---|---|---|---|---|")
    residual, free = (replace(settings.trading, action=action) for action in ("residual", "exposure"))
    sampled = replace(settings, algorithm="ppo", observes="regimes", trading=residual)
    for name, variant in {
        "the default, ascent of the known reward": settings,
        "the same without features": replace(settings, observes="regimes"),
        "free exposure, ascent of the known reward": replace(settings, trading=free),
        "residual PPO": sampled,
        "residual PPO over features": replace(sampled, observes="features"),
        "residual DQN": replace(sampled, algorithm="dqn"),
        "free exposure PPO": replace(sampled, trading=free),
    }.items():
        begin = time.process_time()
        fits = [
            train_policy(fold.tapes[variant.observes], variant, derive_seed(name, str(fold.sessions[0])))
            for fold in folds
        ]
        print_policy(name, market, folds, fits, settings.seeds)
        print(f"<!-- {name}: {time.process_time() - begin:.0f} CPU s -->", flush=True)
    print_row("regime rule", [out_of_sample(market, folds, [fold.rule for fold in folds])])
    known = market.returns.fillna(0.0)
    for name, exposure in {
        "buy & hold": np.ones(len(known)),
        "volatility target": volatility_target_exposure(known.to_numpy(), BaselineSettings()),
        "200-day average": moving_average_exposure(known.to_numpy(), BaselineSettings()),
    }.items():
        decided = pd.Series(exposure, known.index).reindex(sessions).to_numpy()
        print_row(name, [out_of_sample(market, folds, [decided])])


def training_scores(
    tape: MarketTape, settings: PolicySettings, before: Policy, index: int, *, warm: bool
) -> list[float]:
    """The objective of a member's training after 0, 1, 2, ... rollouts."""
    from regime_assets.library.policies.learner import train_member
    from regime_assets.library.trading.env import TradingVecEnv

    segments = purged_folds(tape, settings.seeds, settings.purge_sessions)[index].training
    played = replace(tape, observations=before.standardised(tape.observations))
    training, scoring = (TradingVecEnv(played, settings.trading, segments=segments, seed=seed) for seed in (1, 10_000))

    def objective(actor: Networks) -> float:
        """Mean reward of one episode in each environment, always the same episodes, per cent a year."""
        scoring.seed(10_000)
        observed, earned = scoring.reset(), 0.0
        for _ in range(settings.trading.episode_sessions):
            scoring.step_async(actor.evaluate(observed)[0])
            observed, rewards, _, _ = scoring.step_wait()
            earned += float(rewards.mean())
        return earned / settings.trading.episode_sessions * settings.sessions_per_year

    member = before.member(index)
    assert member.actor is not None
    start = Member(member.actor, member.critic, member.log_std) if warm else None
    # Untrained networks do not tilt: their reward is the rule's own, which rewards are relative to.
    scores = [objective(member.actor) if warm else 0.0]

    def record(now: Member) -> tuple[float, float]:
        scores.append(objective(now.actor))
        return 0.0, 0.0

    with deterministic(index):
        train_member(training, settings, index, start, record)
    return scores


def compare_starts(market: Market, settings: PolicySettings, horizon: str) -> None:
    """The second table: means over networks and years, rollout by rollout."""
    print(f"\nScores after 0, 1, 2, ... rollouts of {settings.minibatches * settings.epochs} gradient steps, mean over")
    print(f"{settings.seeds} networks in each of {len(EXTENDED_AT)} years:\n")
    print(
        "| sessions added | scratch, whole budget | within steps | warm, at once | share of scratch's "
        "| warm reaches it after | of scratch's steps |"
    )
    print("|---|---|---|---|---|---|---|")
    starts = []
    for year in EXTENDED_AT:
        row = int(np.searchsorted(market.features.index.year.to_numpy(), year))
        model = fitted_regimes(market, row, horizon)
        before = train_policy(tape_before(market, model, row, horizon), settings, derive_seed("before", str(year)))
        starts.append((row, model, before.model))
    as_long = replace(settings, fine_tune_gradient_steps=settings.gradient_steps)
    for added in EXTENSIONS:
        scratch, warm = (
            np.mean(
                [
                    training_scores(tape_before(market, model, row + added, horizon), as_long, before, i, warm=warm)
                    for row, model, before in starts
                    for i in range(settings.seeds)
                ],
                axis=0,
            )
            for warm in (False, True)
        )
        target, per_rollout = scratch[-1], settings.minibatches * settings.epochs
        first = int(np.argmax(scratch >= target)) * per_rollout
        reached = np.flatnonzero(warm >= target)
        needed = f"{reached[0] * per_rollout} | {reached[0] * per_rollout / first:.0%}" if len(reached) else "never | –"
        print(
            f"| {added} | {target:.2f} % a year | {first} | {warm[0]:.2f} % | {warm[0] / target:.0%} | {needed} |",
            flush=True,
        )


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--horizon", choices=["long", "short"], default="long")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--gradient-steps", type=int, default=PolicySettings().gradient_steps)
    chosen = parser.parse_args()
    begin = time.process_time()
    market = read_market()
    settings = PolicySettings(seeds=chosen.seeds, gradient_steps=chosen.gradient_steps)
    compare_policies(market, settings, chosen.horizon)
    compare_starts(market, PolicySettings(seeds=STARTED, algorithm="ppo", observes="regimes"), chosen.horizon)
    print(f"\n{time.process_time() - begin:.0f} CPU seconds")


if __name__ == "__main__":
    main()
