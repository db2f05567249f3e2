"""Fitting states that persist: this library's jump model beside the package jumpmodels, on the same rows and loss.

    python benchmarks/persistence.py [--returns FILE] [--penalties 10 50 200]

Prints a markdown table. FILE is a CSV whose columns are a date and, last, simple daily returns, as
`examples/nasdaq/data/NDX.csv` of the jumpmodels repository; without it the sample index is used. The features are those
of that package's example: mean return, logarithm of the downside deviation and Sortino ratio at half-lives of 5, 20 and
60 sessions, standardised and cut at three standard deviations. jumpmodels runs its default ten starts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import date
from typing import TypeVar

import numpy as np
import pandas as pd
from jumpmodels.jump import JumpModel

from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.regimes.jump_model import fit_jump_model, online_states, spread_starts

REPEATS = 5
Answer = TypeVar("Answer")


def read_returns(file: str | None) -> pd.Series:
    """Simple returns by session."""
    if file is not None:
        return pd.read_csv(file, index_col=0, parse_dates=True).iloc[:, -1].dropna()
    bars = SampleSource().fetch(["SP500"], date(1995, 1, 1), date(2022, 12, 28)).bars
    return bars.set_index("session")["close"].pct_change().dropna()


def example_features(returns: pd.Series) -> pd.DataFrame:
    """The nine features of the package's example, standardised."""
    columns: dict[str, pd.Series] = {}
    for half_life in (5, 20, 60):
        mean = returns.ewm(halflife=half_life).mean()
        deviation = np.minimum(returns, 0.0).pow(2).ewm(halflife=half_life).mean() ** 0.5
        columns[f"return_{half_life}"] = mean
        columns[f"deviation_{half_life}"] = np.log(deviation)
        columns[f"sortino_{half_life}"] = mean / deviation
    table = pd.DataFrame(columns).replace([np.inf, -np.inf], np.nan).dropna()
    return ((table - table.mean()) / table.std(ddof=0)).clip(-3, 3)


def timed(call: Callable[[], Answer], repeats: int) -> tuple[Answer, float]:
    """What `call` gives, and its least CPU seconds: the machine is shared, and load only adds."""
    seconds: list[float] = []
    for _ in range(repeats):
        begin = time.process_time()
        answer = call()
        seconds.append(time.process_time() - begin)
    return answer, min(seconds)


def main() -> None:
    """Fit both and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("--returns", default=None)
    arguments.add_argument("--penalties", type=float, nargs="+", default=[10.0, 50.0, 200.0])
    chosen = arguments.parse_args()
    returns = read_returns(chosen.returns)
    features = example_features(returns)
    rows, known = features.to_numpy(), returns.reindex(features.index)
    print(f"{len(rows)} sessions × {rows.shape[1]} features, {features.index[0]:%Y-%m} to {features.index[-1]:%Y-%m}\n")
    print(
        "| penalty | jumpmodels, CPU | this library, CPU | ratio | loss less theirs, relative | equal states "
        "| equal online states | largest difference of centres |"
    )
    print("|---|---|---|---|---|---|---|---|")
    risk = features["deviation_20"].to_numpy()
    for penalty in chosen.penalties:
        theirs, slow = timed(
            lambda penalty=penalty: JumpModel(2, jump_penalty=penalty).fit(features, known, sort_by="cumret"), 1
        )
        ours, fast = timed(lambda penalty=penalty: fit_jump_model(rows, penalty, spread_starts(rows, risk)), REPEATS)
        equal = ours.states == theirs.labels_.to_numpy()
        online = online_states(rows, ours.centres, penalty) == theirs.predict_online(features).to_numpy()
        print(
            f"| {penalty:g} | {slow:.2f} s | {1000 * fast:.0f} ms | {slow / fast:.0f} "
            f"| {(ours.loss - theirs.val_) / theirs.val_:+.0e} | {equal.mean():.2%} "
            f"| {online.mean():.2%} | {np.abs(ours.centres - theirs.centers_).max():.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
