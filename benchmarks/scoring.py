"""What scoring and measuring many strategies costs, with quantstats and empyrical beside it on the same returns.

    python benchmarks/scoring.py [--strategies 10000] [--sessions 5000] [--subset 20]

Prints a markdown table. The libraries measure returns that were already scored, one strategy at a time, on a subset;
they have no costs and no fill, so scoring is in our rows and not in theirs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from regime_assets.library.evaluation.batch import summarise_batch
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.trading.scoring import realised_returns, score

COST = 0.0010
REPEATS = 3


@dataclass(frozen=True)
class Cost:
    """Least wall and CPU seconds over the repeats: the machine is shared, and load only adds."""

    wall: float
    cpu: float


def measure(call: Callable[[], object]) -> Cost:
    """The least cost of `call`."""
    costs: list[tuple[float, float]] = []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        costs.append((time.perf_counter() - wall, time.process_time() - cpu))
    return Cost(min(wall for wall, _ in costs), min(cpu for _, cpu in costs))


def with_quantstats(series: list[pd.Series]) -> None:
    """The figures of a summary that quantstats has."""
    from quantstats import stats

    for one in series:
        for figure in (stats.sharpe, stats.sortino, stats.calmar, stats.cagr, stats.volatility, stats.max_drawdown):
            figure(one)


def with_empyrical(series: list[pd.Series]) -> None:
    """The figures of a summary that empyrical has."""
    import empyrical

    for one in series:
        for figure in (
            empyrical.sharpe_ratio,
            empyrical.sortino_ratio,
            empyrical.calmar_ratio,
            empyrical.cagr,
            empyrical.annual_volatility,
            empyrical.max_drawdown,
        ):
            figure(one)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--strategies", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=5_000)
    parser.add_argument("--subset", type=int, default=20, help="strategies that the libraries measure")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    returns = generator.normal(0.0003, 0.01, arguments.sessions)
    exposures = generator.random((arguments.strategies, arguments.sessions))
    subset = exposures[: arguments.subset]
    sessions = pd.bdate_range("2000-01-03", periods=arguments.sessions)
    series = [pd.Series(net, index=sessions) for net in realised_returns(subset, returns, COST)]
    rows: list[tuple[str, int, Cost]] = [
        ("net returns of the batch", len(exposures), measure(lambda: realised_returns(exposures, returns, COST))),
        (
            "net returns and 6 figures of the batch",
            len(exposures),
            measure(lambda: summarise_batch(exposures, returns, COST)),
        ),
        (
            "score and summarise, 13 figures, one by one",
            len(subset),
            measure(lambda: [summarise(score(exposure, returns, COST)) for exposure in subset]),
        ),
        ("quantstats, 6 figures, one by one", len(subset), measure(lambda: with_quantstats(series))),
        ("empyrical, 6 figures, one by one", len(subset), measure(lambda: with_empyrical(series))),
    ]
    print(f"| {arguments.sessions:,} sessions | strategies | wall s | CPU s | CPU ms a strategy |")
    print("|---|---|---|---|---|")
    for name, count, cost in rows:
        print(f"| {name} | {count:,} | {cost.wall:.2f} | {cost.cpu:.2f} | {1000 * cost.cpu / count:.3f} |")


if __name__ == "__main__":
    main()
