"""Walk-forward of the regime models on the sample index, with the field's libraries on the same dates.

    python benchmarks/regimes.py [--horizon long|short] [--first 2000] [--refit-every 63]

Prints a markdown table: switches a year, agreement of the last year's states between consecutive refits, and what the
on/off rule (invested in the calmest regime, cash in the most turbulent) earns with the library's fill delay and costs.
Each session's state comes from a model fitted before that session, filtered, never smoothed.

The regime model is retrained in full every January and fine-tuned every `--refit-every` sessions; peers are refitted
every January. hmmlearn and jumpmodels are optional and left out where they are not installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.determinism import derive_seed
from regime_assets.library.encoders.scaling import Scaler, fit_scaler
from regime_assets.library.encoders.settings import MlpVaeSettings
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.evaluation.bootstrap import sharpe_difference
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.features.market_risk import compute_features
from regime_assets.library.features.settings import FeatureSettings
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.regimes.mixture import downside_moments
from regime_assets.library.regimes.persistence import fit_persistence
from regime_assets.library.regimes.regime_model import RegimeModel, coordinates_of, fit_regimes
from regime_assets.library.regimes.segmentation import Segmentation
from regime_assets.library.regimes.settings import JumpSettings, PersistenceSettings
from regime_assets.library.regimes.stability import compare_regimes
from regime_assets.library.trading.scoring import Scored, score

Array = NDArray[np.float64]
States = NDArray[np.int64]
COST = 0.0010
HALF_LIFE_SESSIONS = 504
SHORT_DAYS = 365
COMPARED_SESSIONS = 252
JUMP_PENALTIES = (10.0, 30.0, 60.0, 100.0, 200.0)
INDEX = "SP500"
STOCKS = (
    *("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"),
    *("LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"),
)


@dataclass
class Walk:
    """What one method said of the out-of-sample sessions, and how its refits agreed."""

    exposure: dict[pd.Timestamp, float] = field(default_factory=dict)
    agreement: list[float] = field(default_factory=list)
    full_agreement: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    kept: int = 0


@dataclass(frozen=True)
class Market:
    """Features and index returns of all sessions."""

    features: pd.DataFrame
    returns: pd.Series

    def window(self, stop: int, horizon: str) -> tuple[pd.DataFrame, Array, Array]:
        """Features, returns and recency weights of the window that ends before row `stop`."""
        features = self.features.iloc[:stop]
        if horizon == "short":
            features = features.loc[features.index > features.index[-1] - pd.Timedelta(days=SHORT_DAYS)]
            weights = np.ones(len(features))
        else:
            weights = 0.5 ** (np.arange(len(features))[::-1] / HALF_LIFE_SESSIONS)
        returns = self.returns.reindex(features.index).to_numpy(dtype=np.float64)
        return features, returns, weights / weights.mean()


def read_market() -> Market:
    """The sample data from 1995 on; its stocks give the cross-section, its index is traded."""
    bars = SampleSource().fetch([*STOCKS, INDEX], date(1995, 1, 1), date(2022, 12, 28)).bars
    closes = bars.pivot_table(index="session", columns="symbol", values="close")
    returns = closes[INDEX].pct_change()
    settings = FeatureSettings()
    sessions = pd.DatetimeIndex(closes.index[settings.memory_sessions :])
    return Market(compute_features(closes[list(STOCKS)], returns, sessions, settings), returns)


def segments(market: Market, first: int, every: int) -> Iterator[tuple[int, int, bool]]:
    """(stop of training, stop of the segment, whether a year begins), marching through history."""
    years = market.features.index.year.to_numpy()
    row, year = int(np.argmax(years >= first)), -1
    while row < len(years):
        new_year = years[row] != year
        year = years[row]
        stop = min(row + every, int(np.searchsorted(years, year, side="right")))
        yield row, stop, bool(new_year)
        row = stop


def walk_regimes(market: Market, horizon: str, first: int, every: int) -> tuple[Walk, Walk]:
    """The regime model, filtered and (same fits) without the filter."""
    filtered, plain = Walk(), Walk()
    model: RegimeModel | None = None
    for row, stop, new_year in segments(market, first, every):
        features, returns, weights = market.window(row, horizon)
        begin = time.process_time()
        seed = derive_seed("benchmark", horizon, str(row))
        before = model.vae if model else None
        vae = fit_encoder(features, weights, "mlp_vae", MlpVaeSettings(), seed, before, full_retrain=new_year)
        fit = fit_regimes(vae.model, features, returns, weights, "jump", JumpSettings(), seed, model)
        filtered.cpu.append(time.process_time() - begin)
        filtered.steps.append(fit.figures.get("update_step", 1.0))
        filtered.kept += int(fit.figures.get("predecessor_kept", 0.0))
        fitted = fit.model
        if model is not None:
            same = compare_regimes(model, fitted, features).agreement
            (filtered.full_agreement if new_year else filtered.agreement).append(same)
        model = fitted
        seen = market.features.loc[features.index[0] :].iloc[: len(features) + stop - row]
        path = model.infer(seen)
        sessions = seen.index[len(features) :]
        filtered.exposure.update(zip(sessions, path.rule_exposure[len(features) :], strict=True))
        rows = coordinates_of(model.encoder, seen, model.coordinates)
        assert isinstance(model.regimes, Segmentation)
        raw = 1.0 - model.regimes.mixture.posteriors(rows)[len(features) :].argmax(axis=1)
        plain.exposure.update(zip(sessions, raw, strict=True))
    return filtered, plain


Judge = Callable[[Array, Array], States]
"""States of scaled features (T, F) and returns (T,), causal."""
Fitter = Callable[[Array, Array, Array], Judge]
"""A judge, states ordered by risk, from scaled features, returns and weights of a window."""


def walk_peer(market: Market, horizon: str, first: int, fit: Fitter) -> Walk:
    """A peer refitted every January."""
    walk = Walk()
    before: tuple[Judge, Scaler] | None = None
    for row, stop, _ in segments(market, first, 300):
        features, returns, weights = market.window(row, horizon)
        scaler = fit_scaler(features, weights, 3.0)
        begin = time.process_time()
        fitted = fit(scaler.apply(features.to_numpy()), returns, weights)
        walk.cpu.append(time.process_time() - begin)
        seen = market.features.loc[features.index[0] :].iloc[: len(features) + stop - row]
        known = market.returns.reindex(seen.index).to_numpy()

        states = fitted(scaler.apply(seen.to_numpy()), known)
        walk.exposure.update(zip(seen.index[len(features) :], 1.0 - states[len(features) :], strict=True))
        if before is not None:
            table = features.to_numpy()
            then, now = before[0](before[1].apply(table), returns), fitted(scaler.apply(table), returns)
            walk.full_agreement.append(float((now == then)[-COMPARED_SESSIONS:].mean()))
        before = fitted, scaler
    return walk


def by_risk(states: States, returns: Array, weights: Array) -> States:
    """(2,) which number each of two states gets when the riskier one is 1."""
    moments = downside_moments(returns, np.eye(2)[states], weights)
    return np.argsort(np.argsort(moments))


def plain_mixture(rows: Array, returns: Array, weights: Array) -> Judge:
    """scikit-learn's mixture on the features themselves."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(2, n_init=5, random_state=0, reg_covar=1e-3).fit(rows)
    names = by_risk(mixture.predict(rows), returns, weights)
    return lambda features, _: names[mixture.predict(features)]


def filtered_mixture(rows: Array, returns: Array, weights: Array) -> Judge:
    """The same with this library's filter."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(2, n_init=5, random_state=0, reg_covar=1e-3).fit(rows)
    names = np.argsort(by_risk(mixture.predict(rows), returns, weights))

    def evidence(features: Array) -> Array:
        densities = mixture._estimate_log_prob(features) + np.log(mixture.weights_)
        return densities[:, names]

    persistence = fit_persistence(evidence(rows), PersistenceSettings(), sessions_per_year=252).model
    return lambda features, _: persistence.filter(evidence(features)).states


def hidden_markov(rows: Array, returns: Array, weights: Array) -> Judge:
    """hmmlearn's Gaussian HMM on returns, run forward only."""
    from hmmlearn.hmm import GaussianHMM
    from scipy.stats import norm

    del rows
    model = GaussianHMM(2, n_iter=200, random_state=0).fit(100 * returns[:, None])
    spread = np.sqrt(model.covars_.ravel())
    names = by_risk(model.predict(100 * returns[:, None]).astype(np.int64), returns, weights)

    def judge(_: Array, known: Array) -> States:
        densities = norm.pdf(100 * known[:, None], model.means_.ravel(), spread) + 1e-300
        belief, states = model.startprob_, np.empty(len(known), dtype=np.int64)
        for session, density in enumerate(densities):
            belief = (belief @ model.transmat_ if session else belief) * density
            belief /= belief.sum()
            states[session] = belief.argmax()
        return names[states]

    return judge


def jump_model(rows: Array, returns: Array, weights: Array) -> Judge:
    """jumpmodels' JumpModel; its penalty from the same target of switches in the window."""
    from jumpmodels.jump import JumpModel

    wanted = PersistenceSettings().target_switches_per_year * len(rows) / 252
    best: tuple[float, JumpModel] | None = None
    for penalty in JUMP_PENALTIES:
        model = JumpModel(2, jump_penalty=penalty, n_init=3).fit(rows, returns, sort_by="cumret")
        switches = np.count_nonzero(np.diff(np.asarray(model.labels_)))
        distance = abs(np.log((switches + 0.5) / (wanted + 0.5)))
        if best is None or distance < best[0]:
            best = (distance, model)
    assert best is not None
    chosen = best[1]
    names = by_risk(np.asarray(chosen.labels_, dtype=np.int64), returns, weights)
    return lambda features, _: names[np.asarray(chosen.predict_online(features), dtype=np.int64)]


PEERS: dict[str, Fitter] = {
    "mixture on features (scikit-learn)": plain_mixture,
    "the same with this library's filter": filtered_mixture,
    "HMM on returns, forward filter (hmmlearn)": hidden_markov,
    "jump model on features, online (jumpmodels)": jump_model,
}


def scored(walk: Walk, market: Market) -> Scored:
    """What the on/off rule earned."""
    exposure = pd.Series(walk.exposure).sort_index()
    returns = market.returns.reindex(exposure.index).to_numpy(dtype=np.float64)
    return score(exposure.to_numpy(dtype=np.float64), returns, COST)


def print_row(name: str, walk: Walk, market: Market, ours: Walk) -> None:
    """One method's line of the table; its last cell is our Sharpe ratio less its own, paired by session."""
    result = scored(walk, market)
    figures = summarise(result)
    paired = sharpe_difference(scored(ours, market).net, result.net, 1) if walk is not ours else None
    gain = f"{paired.estimate:+.2f} ({paired.low:+.2f} to {paired.high:+.2f})" if paired else "–"
    fall, switches = figures.max_drawdown or 0.0, figures.switches_per_year or 0.0

    def agreement(values: list[float]) -> str:
        return f"{np.mean(values):.3f} ({min(values):.2f})" if values else "–"

    cpu = f"{np.median(walk.cpu) * 1000:.0f} ms" if walk.cpu else "–"
    print(
        f"| {name} | {switches:.1f} | {agreement(walk.agreement)} | {agreement(walk.full_agreement)} "
        f"| {figures.sharpe or 0.0:.2f} | {-abs(fall):.0%} | {figures.exposure or 0.0:.2f} | {cpu} | {gain} |",
        flush=True,
    )


def main() -> None:
    """Walk and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("--horizon", choices=["long", "short"], default="long")
    arguments.add_argument("--first", type=int, default=2000)
    arguments.add_argument("--refit-every", type=int, default=63)
    chosen = arguments.parse_args()
    market = read_market()
    print(f"S&P 500, {chosen.first} to 2022, {chosen.horizon} window, 10 bp one way, rule on/off\n")
    print(
        "| method | switches / year | agreement, warm refits: mean (worst) | agreement, January refits "
        "| Sharpe | max drawdown | exposure | CPU a refit | regime model's Sharpe less this one's, 95 % |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    filtered, plain = walk_regimes(market, chosen.horizon, chosen.first, chosen.refit_every)
    print_row("buy & hold", Walk(exposure=dict.fromkeys(filtered.exposure, 1.0)), market, filtered)
    print_row("regime model", filtered, market, filtered)
    print_row("regime model without its filter", plain, market, filtered)
    for name, fit in PEERS.items():
        try:
            print_row(name, walk_peer(market, chosen.horizon, chosen.first, fit), market, filtered)
        except ModuleNotFoundError as missing:
            print(f"| {name} | {missing} | | | | | | | |")
    held = [step for step in filtered.steps if step < 1.0]
    share = f"{len(held)} of {len(filtered.steps)} refits were held back"
    print(f"\n{share}, {filtered.kept} kept their predecessor as a whole.")


if __name__ == "__main__":
    main()
