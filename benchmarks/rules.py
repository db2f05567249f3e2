"""Which rule: one walk-forward table of what could replace the shipped one, with what each costs.

    OMP_NUM_THREADS=1 python benchmarks/rules.py [--closes NDX.csv] [--first 2000] [--horizon long|short] [--start YEAR]
        [--refit-every 63] [--seeds 5] [--without-encoder]

Without `--closes` the sample index with its twenty stocks is walked, otherwise the closes of a CSV file (first column
the session, a column named close), whose nine features need no cross-section. Refits every quarter, from scratch each
January, 10 bp one way, decided on a close and filled at the next; every session's state comes from a model fitted
before it. `chosen on what was earned` tries penalties on the newest part of each January's training window and takes
the one that earned the best Sharpe ratio after costs there (Shu, Yu and Mulvey 2024). `--start` begins the history in
a later year, to see what a line does that starts on little of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import regimes as walked  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

from regime_assets.library.determinism import derive_seed
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.encoders.settings import EncoderSettings, MlpVaeSettings, NoEncoderSettings
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.evaluation.baseline_models import jump_exposure
from regime_assets.library.evaluation.baselines import (
    BaselineSettings,
    moving_average_exposure,
    volatility_target_exposure,
)
from regime_assets.library.evaluation.bootstrap import sharpe_difference
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.evaluation.track_record import sharpe
from regime_assets.library.features.market_risk import compute_features
from regime_assets.library.features.settings import FeatureSettings
from regime_assets.library.regimes.jump_model import fit_jump_model, online_states, spread_starts
from regime_assets.library.regimes.regime_model import RegimeModel, fit_regimes
from regime_assets.library.regimes.settings import IdentitySettings, JumpSettings, PersistenceSettings
from regime_assets.library.trading.scoring import realised_returns, score

Array = NDArray[np.float64]
Segment = tuple[int, int, bool]
HALF_LIVES = (252, 504, 1008)
TARGETS = (0.75, 1.5, 3.0)
PENALTIES = np.geomspace(5.0, 300.0, 10)
HELD_OUT = 1260
"""Sessions of a training window on which penalties are compared, or half of it where it is shorter than twice that."""


@dataclass
class Line:
    """One rule walked: its exposures by session, and CPU seconds of all refits."""

    exposure: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))
    cpu: float = 0.0


def read_closes(path: Path, start: int | None) -> walked.Market:
    """An index without a cross-section, from a file of closes."""
    table = pd.read_csv(path, index_col=0, parse_dates=True)
    table.columns = [str(column).lower() for column in table.columns]
    closes = table["close"].dropna()
    if start is not None:
        closes = closes[closes.index.year >= start]
    settings, returns = FeatureSettings(), closes.pct_change()
    features = compute_features(closes.to_frame("index"), returns, closes.index[settings.memory_sessions :], settings)
    return walked.Market(features, returns)


def window(market: walked.Market, row: int, horizon: str, half_life: int) -> tuple[pd.DataFrame, Array, Array]:
    """Features, returns and recency weights before a row."""
    features, returns, weights = market.window(row, horizon)
    if horizon == "long":
        weights = 0.5 ** (np.arange(len(features))[::-1] / half_life)
        weights = weights / weights.mean()
    return features, returns, weights


def encoders(
    market: walked.Market, segments: Sequence[Segment], horizon: str, use: str, settings: EncoderSettings,
    *, half_life: int = 504, seed: int = 0,
) -> tuple[list[FittedEncoder], float]:  # fmt: skip
    """One encoder a refit, and the CPU seconds of all."""
    fitted: list[FittedEncoder] = []
    begin = time.process_time()
    for row, _, new_year in segments:
        features, _, weights = window(market, row, horizon, half_life)
        before = fitted[-1] if fitted else None
        name = derive_seed("rules", horizon, str(seed), str(row))
        fitted.append(fit_encoder(features, weights, use, settings, name, before, full_retrain=new_year).model)
    return fitted, time.process_time() - begin


def walk(
    market: walked.Market, segments: Sequence[Segment], horizon: str, lineage: tuple[list[FittedEncoder], float],
    settings: JumpSettings, *, half_life: int = 504, on_earnings: bool = False,
) -> Line:  # fmt: skip
    """One rule over all segments."""
    model: RegimeModel | None = None
    exposures: list[pd.Series] = []
    begin = time.process_time()
    for (row, stop, new_year), encoder in zip(segments, lineage[0], strict=True):
        features, returns, weights = window(market, row, horizon, half_life)
        if on_earnings and (new_year or model is None):
            settings = _earning(encoder, features, returns, weights, settings)
        model = fit_regimes(encoder, features, returns, weights, "jump", settings, row, model).model
        seen = market.features.loc[features.index[0] :].iloc[: len(features) + stop - row]
        decided = model.infer(seen).rule_exposure[len(features) :]
        exposures.append(pd.Series(decided, seen.index[len(features) :]))
    return Line(pd.concat(exposures), lineage[1] + time.process_time() - begin)


def _earning(
    encoder: FittedEncoder, features: pd.DataFrame, returns: Array, weights: Array, settings: JumpSettings
) -> JumpSettings:
    """The settings with the one target of switches whose penalty earned most on the held-out end of the window."""
    rows = encoder.denoise(features)
    held_out = min(HELD_OUT, len(rows) // 2)
    known = slice(0, len(rows) - held_out)
    centre = np.average(rows[known], axis=0, weights=weights[known])
    scale = np.sqrt(np.average((rows[known] - centre) ** 2, axis=0, weights=weights[known])) + 1e-12
    scaled = (rows - centre) / scale
    losses = np.minimum(returns, 0.0) ** 2
    main = scaled[known] @ np.linalg.eigh(np.cov(scaled[known], rowvar=False))[1][:, -1]
    risk = main if np.cov(main, losses[known])[0, 1] >= 0 else -main
    starts = spread_starts(scaled[known], risk, 2)
    best, target = -np.inf, settings.persistence.target_switches_per_year
    for penalty in PENALTIES:
        fit = fit_jump_model(scaled[known], float(penalty), starts)
        turbulent = int(
            losses[known][fit.states == 1].mean() >= losses[known][fit.states == 0].mean()
            if 0 < fit.states.sum() < len(fit.states) else 1
        )  # fmt: skip
        states = online_states(scaled, fit.centres, float(penalty))
        net = realised_returns((states != turbulent).astype(float), returns, walked.COST)[-held_out:]
        earned = sharpe(net)
        if earned is not None and earned > best:
            switches = np.count_nonzero(np.diff(states)) / len(states) * 252
            best, target = earned, max(float(switches), 0.2)
    return replace(settings, persistence=replace(settings.persistence, target_switches_per_year=target))


def mean_of(lines: Sequence[Line]) -> Line:
    """The mean exposure of several rules."""
    return Line(pd.concat([line.exposure for line in lines], axis=1).mean(axis=1), sum(line.cpu for line in lines))


def targeted(target: float) -> JumpSettings:
    """The shipped regimes with another number of switches a year."""
    return JumpSettings(persistence=PersistenceSettings(target_switches_per_year=target))


def rules_without_encoder(market: walked.Market, segments: Sequence[Segment], horizon: str) -> dict[str, Line]:
    """The rules that cost a fifth, since the regimes read the features themselves."""
    none = encoders(market, segments, horizon, "none", NoEncoderSettings())
    by_target = [walk(market, segments, horizon, none, targeted(target)) for target in TARGETS]
    found = {"encoder: none": walk(market, segments, horizon, none, JumpSettings())}
    for target, line in zip(TARGETS, by_target, strict=True):
        found[f"encoder: none, target of {target:g} switches"] = line
    found["encoder: none, mean of three targets"] = mean_of(by_target)
    found["encoder: none, penalty chosen on what was earned"] = walk(
        market, segments, horizon, none, JumpSettings(), on_earnings=True
    )
    if horizon == "long":
        for name, life in (("half-life of four years", 1008), ("no half-life", 10**6)):
            fitted = encoders(market, segments, horizon, "none", NoEncoderSettings(), half_life=life)
            found[f"encoder: none, {name}"] = walk(market, segments, horizon, fitted, JumpSettings(), half_life=life)
    return found


def rules(market: walked.Market, segments: Sequence[Segment], horizon: str, n_seeds: int) -> dict[str, Line]:
    """Every rule of the table by name."""
    vae, settings = MlpVaeSettings(), JumpSettings()
    shipped = encoders(market, segments, horizon, "mlp_vae", vae)
    found = {"shipped": walk(market, segments, horizon, shipped, settings)}
    found["without the bound on refits"] = walk(
        market, segments, horizon, shipped, replace(settings, identity=IdentitySettings(floor=0.0))
    )
    by_target = [walk(market, segments, horizon, shipped, targeted(target)) for target in TARGETS]
    for target, line in zip(TARGETS, by_target, strict=True):
        found[f"target of {target:g} switches"] = line
    found["mean of three targets"] = mean_of(by_target)
    found["penalty chosen on what was earned"] = walk(market, segments, horizon, shipped, settings, on_earnings=True)
    found |= rules_without_encoder(market, segments, horizon)
    seeds = [found["shipped"]] + [
        walk(market, segments, horizon, encoders(market, segments, horizon, "mlp_vae", vae, seed=seed), settings)
        for seed in range(1, n_seeds)
    ]
    found[f"mean of {n_seeds} seeds"] = mean_of(seeds)
    if horizon == "long":
        lives = [found["shipped"]] + [
            walk(
                market, segments, horizon,
                encoders(market, segments, horizon, "mlp_vae", vae, half_life=life), settings, half_life=life,
            )
            for life in HALF_LIVES if life != 504
        ]  # fmt: skip
        found["mean of three half-lives"] = mean_of(lives)
        found["mean of seeds, targets and half-lives"] = mean_of([*seeds[1:], *by_target, *lives[1:]])
    found["with and without the encoder, mean"] = mean_of([found["shipped"], found["encoder: none"]])
    return found


def plain(market: walked.Market, sessions: pd.DatetimeIndex) -> dict[str, Line]:
    """What needs no encoder: the baselines on the same sessions."""
    known = market.returns.fillna(0.0)
    values, first = known.to_numpy(), int(known.index.get_indexer(sessions[:1])[0])
    settings = BaselineSettings()
    exposures = {
        "jump model (baseline)": jump_exposure(values, first),
        "200-day average": moving_average_exposure(values, settings),
        "volatility target": volatility_target_exposure(values, settings),
        "buy & hold": np.ones(len(values)),
    }
    return {name: Line(pd.Series(one, known.index).reindex(sessions)) for name, one in exposures.items()}


def main() -> None:
    """Walk and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--closes", type=Path)
    parser.add_argument("--first", type=int, default=2000)
    parser.add_argument("--start", type=int)
    parser.add_argument("--horizon", choices=["long", "short"], default="long")
    parser.add_argument("--refit-every", type=int, default=63)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--without-encoder", action="store_true", help="only the rules that need none")
    parser.add_argument("--exposures", type=Path, help="write every rule's exposures to this CSV file")
    chosen = parser.parse_args()
    market = read_closes(chosen.closes, chosen.start) if chosen.closes else walked.read_market()
    segments = list(walked.segments(market, chosen.first, chosen.refit_every))
    if chosen.without_encoder:
        first, found = "encoder: none", rules_without_encoder(market, segments, chosen.horizon)
    else:
        first, found = "shipped", rules(market, segments, chosen.horizon, chosen.seeds)
    sessions = pd.DatetimeIndex(found[first].exposure.index)
    found |= plain(market, sessions)
    found[f"{first}, mean with the jump model"] = mean_of([found[first], found["jump model (baseline)"]])
    if chosen.exposures:
        pd.DataFrame({name: line.exposure for name, line in found.items()}).to_csv(chosen.exposures)
    returns = market.returns.reindex(sessions).to_numpy(dtype=np.float64)
    scored = {name: score(line.exposure.to_numpy(), returns, walked.COST) for name, line in found.items()}
    print(f"{chosen.closes.stem if chosen.closes else 'S&P 500'}, {sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d},")
    print(f"{chosen.horizon} window, {len(segments)} refits, about every {chosen.refit_every} sessions\n")
    print("| rule | Sharpe | max drawdown | turnover | exposure | less the first one's Sharpe, 95 % | CPU a refit |")
    print("|---|---|---|---|---|---|---|")
    for name, result in scored.items():
        figures = summarise(result)
        paired = None if name == first else sharpe_difference(result.net, scored[first].net, 1)
        gain = f"{paired.estimate:+.2f} ({paired.low:+.2f} to {paired.high:+.2f})" if paired else ""
        cost = f"{1000 * found[name].cpu / len(segments):.0f} ms" if found[name].cpu else ""
        print(
            f"| {name} | {figures.sharpe or 0:.2f} | {figures.max_drawdown or 0:.0%} | {figures.turnover or 0:.1f} "
            f"| {figures.exposure or 0:.2f} | {gain} | {cost} |"
        )


if __name__ == "__main__":
    main()
