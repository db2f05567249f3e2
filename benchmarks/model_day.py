"""What one session's refit costs: features, VAE fine-tune, regimes, policy fine-tune and gate, imports aside.

    OMP_NUM_THREADS=1 python benchmarks/model_day.py [--sizes 20x365d 500x10y]

Prints a markdown table of CPU seconds, the least of three runs. Prices are those of a market factor whose volatility
changes between two regimes, with a loading and noise of its own for each symbol. The previous session's models, which
the day starts from, are fitted before the clock runs. The last column is the plain way of three steps, in the same
run: pandas' rolling and exponential windows for the same kinds of features; the same network in torch with autograd,
Adam and a DataLoader of batches of 64, over as many rows as our fine-tune draws; scikit-learn's mixture, five starts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from sklearn.mixture import GaussianMixture

from regime_assets.library.design import Design
from regime_assets.library.encoders.scaling import to_sequences
from regime_assets.library.encoders.settings import MlpVaeSettings
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.evaluation.gate import RefreshEvidence, judge_refresh
from regime_assets.library.evaluation.gate_rules import Integrity
from regime_assets.library.features.market_risk import compute_features
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.policies.training import train_policy
from regime_assets.library.recipe import FittedModels, build_tape, decide
from regime_assets.library.regimes.regime_model import fit_regimes
from regime_assets.library.regimes.stability import compare_regimes
from regime_assets.library.trading.scoring import score
from regime_assets.library.universe.gate_settings import GateSettings

SIZES = {"20x365d": (20, 252), "500x10y": (500, 2520)}
REPEATS = 3
COST = 0.0010
Answer = TypeVar("Answer")


def make_prices(symbols: int, sessions: int) -> pd.DataFrame:
    """Closes (sessions, symbols) of a factor market."""
    draws = np.random.default_rng(0)
    volatile = (np.arange(sessions) // 130) % 2
    factor = draws.normal(0.0006 - 0.001 * volatile, 0.006 + 0.012 * volatile)
    returns = factor[:, None] * draws.uniform(0.6, 1.4, symbols) + draws.normal(0, 0.012, (sessions, symbols))
    dates = pd.bdate_range("2008-01-02", periods=sessions, name="session")
    return pd.DataFrame(100 * np.cumprod(1 + returns, axis=0), dates, [f"S{i:03}" for i in range(symbols)])


def timed(call: Callable[[], Answer]) -> tuple[Answer, float]:
    """What `call` gives, and its least CPU seconds."""
    seconds: list[float] = []
    for _ in range(REPEATS):
        begin = time.process_time()
        answer = call()
        seconds.append(time.process_time() - begin)
    return answer, min(seconds)


def plain_features(prices: pd.DataFrame) -> pd.DataFrame:
    """The same kinds of features with pandas."""
    returns = prices.pct_change()
    market = returns.mean(axis=1)
    table = {}
    for half_life in (5, 20, 60):
        deviation = market.clip(upper=0).pow(2).ewm(halflife=half_life).mean() ** 0.5
        table[f"deviation_{half_life}"] = np.log(deviation)
        table[f"sortino_{half_life}"] = market.ewm(halflife=half_life).mean() / deviation
    level = (1 + market).cumprod()
    table["ratio"] = market.rolling(5).std() / market.rolling(60).std()
    table["drawdown"] = level / level.rolling(252).max()
    table["trend"] = level / level.rolling(200).mean()
    table["dispersion"] = returns.std(axis=1).ewm(halflife=20).mean()
    table["breadth"] = (prices > prices.rolling(200).mean()).mean(axis=1)
    variances = returns.pow(2).rolling(60).mean()
    own = variances.sum(axis=1) / prices.shape[1] ** 2
    basket = market.pow(2).rolling(60).mean()
    table["correlation"] = (basket - own) / ((variances**0.5).mean(axis=1) ** 2 - own)
    return pd.DataFrame(table)


def plain_fine_tune(rows: np.ndarray, settings: MlpVaeSettings) -> float:
    """The same network and loss with autograd and a DataLoader."""
    wide, latents = rows.shape[1], settings.n_latents

    def network(*widths: int) -> torch.nn.Sequential:
        layers: list[torch.nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.SiLU()]
        return torch.nn.Sequential(*layers[:-1])

    encoder = network(wide, *settings.hidden, 2 * latents)
    decoder = network(latents, *reversed(settings.hidden), wide)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], settings.fine_tune_learning_rate)
    data = torch.utils.data.TensorDataset(torch.from_numpy(rows.astype(np.float32)))
    loss = torch.zeros(())
    drawn = settings.fine_tune_epochs * settings.steps_per_epoch * settings.batch_size
    for _ in range(max(1, drawn // len(rows))):
        for (batch,) in torch.utils.data.DataLoader(data, batch_size=64, shuffle=True):
            mean, log_variance = encoder(batch).chunk(2, dim=1)
            decoded = decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
            kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
            loss = (batch - decoded).square().sum(dim=1).mean() + kl
            adam.zero_grad()
            loss.backward()
            adam.step()
    return float(loss.detach())


def measure(size: str) -> None:
    """One size's table."""
    symbols, sessions = SIZES[size]
    design = Design()
    prices = make_prices(symbols, sessions + design.memory_sessions + 1)
    market = prices.pct_change().mean(axis=1)
    wanted = pd.DatetimeIndex(prices.index[design.memory_sessions :])
    features, cpu_features = timed(lambda: compute_features(prices, market, wanted, design.features[0].settings))
    returns = prices.pct_change().loc[wanted]
    whole = TrainingSet(features, returns, np.ones(len(features)), "")
    before = whole.slice(0, len(features) - 1, np.ones(len(features) - 1))
    today = whole.slice(1, len(features), np.ones(len(features) - 1))

    encoder = design.encoder.use, design.encoder.settings
    settings = design.regimes.use, design.regime_settings
    old_vae = fit_encoder(before.features, before.sample_weight, *encoder, 1, None, full_retrain=True).model
    old = fit_regimes(
        old_vae,
        before.features,
        before.market_returns.to_numpy(),
        before.sample_weight,
        *settings,
        1,
        None,
    ).model
    old_policy = train_policy(
        build_tape(before, old.infer(before.features), design.policy.settings), design.policy.settings, 1
    ).model

    vae, cpu_vae = timed(
        lambda: fit_encoder(today.features, today.sample_weight, *encoder, 2, old_vae, full_retrain=False)
    )

    def regimes() -> FittedModels:
        returns = today.market_returns.to_numpy()
        fit = fit_regimes(vae.model, today.features, returns, today.sample_weight, *settings, 2, old)
        compare_regimes(old, fit.model, today.features)
        return FittedModels(fit.model, old_policy)

    fitted, cpu_regimes = timed(regimes)
    path = fitted.regimes.infer(today.features)
    policy, cpu_policy = timed(
        lambda: train_policy(build_tape(today, path, design.policy.settings), design.policy.settings, 2, old_policy)
    )

    symbols = [str(symbol) for symbol in returns.columns]

    def gate() -> str:
        tracks = [
            decide(models, today.features, 0, symbols)["policy_exposure"].to_numpy()
            for models in (FittedModels(fitted.regimes, policy.model), FittedModels(old, old_policy))
        ]
        new, champion = (score(track, today.market_returns.to_numpy(), COST) for track in tracks)
        integrity = Integrity({"model": True}, {"model": "hash"})
        market = today.market_returns.to_numpy()
        evidence = RefreshEvidence(
            integrity, new, market, 1.0, tracks[0], tracks[1], new.net[-126:], champion.net[-126:]
        )
        return judge_refresh(evidence, GateSettings()).outcome

    _, cpu_gate = timed(gate)
    _, plain_a = timed(lambda: plain_features(prices))
    rows = to_sequences(vae.model.scaler.apply(today.features.to_numpy()), design.encoder_settings.sequence_length)
    _, plain_b = timed(lambda: plain_fine_tune(rows.reshape(len(rows), -1), design.encoder.settings))
    decoded = vae.model.denoise(today.features)
    _, plain_c = timed(lambda: GaussianMixture(2, n_init=5, random_state=0, reg_covar=1e-3).fit(decoded))
    print(f"\n{symbols} symbols, {sessions} sessions\n\n| step | CPU seconds | the plain way |\n|---|---|---|")
    for step, ours, plain in (
        ("features", cpu_features, plain_a),
        ("VAE fine-tune", cpu_vae, plain_b),
        ("regimes, compared", cpu_regimes, plain_c),
        ("policy fine-tune", cpu_policy, None),
        ("gate", cpu_gate, None),
    ):
        print(f"| {step} | {ours:.3f} | {'' if plain is None else f'{plain:.3f}'} |")
    total = cpu_features + cpu_vae + cpu_regimes + cpu_policy + cpu_gate
    print(f"| **the day** | **{total:.2f}** | |", flush=True)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    torch.set_num_threads(1)
    for size in arguments.parse_args().sizes:
        measure(size)


if __name__ == "__main__":
    main()
