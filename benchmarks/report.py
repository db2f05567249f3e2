"""What a whole backtest report costs, with the tear sheet of quantstats beside it on the same returns.

    python benchmarks/report.py [--sessions 5000] [--strategies 8]

Prints a markdown table, imports left out of it. Ours holds intervals, regimes, latents, weights, training curves and
the gate's rules as vector pictures; quantstats compares one strategy with one benchmark.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from scoring import COST, measure

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.evaluation.bootstrap import sharpe_difference, sharpe_interval
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.report.figures import Estimate
from regime_assets.library.report.page import Fact, RegimeHistory, ReportContent, StrategyRow, write_report
from regime_assets.library.trading.scoring import score


class Track:
    """Decisions and returns that fill every part of a report."""

    def __init__(self, sessions: int, strategies: int) -> None:
        generator = np.random.default_rng(0)
        self.index = pd.bdate_range("2000-01-03", periods=sessions, name="session")
        self.returns = generator.normal(0.0003, 0.01, sessions)
        self.exposures = np.repeat(generator.random((strategies, sessions // 20 + 1)), 20, axis=1)[:, :sessions]
        self.states = (np.arange(sessions) // 120) % 2
        self.latents = generator.normal(size=(sessions, 3))
        self.weights = pd.DataFrame(generator.random((sessions, 20)) / 20, self.index, [f"S{i}" for i in range(20)])

    def content(self) -> ReportContent:
        """Scored, measured and with intervals: all that a session's report needs after the models have decided."""
        names = [f"strategy {number}" for number in range(len(self.exposures))]
        scored = {name: score(row, self.returns, COST) for name, row in zip(names, self.exposures, strict=True)}
        reference = names[-1]
        rows: list[StrategyRow] = []
        for name, result in scored.items():
            interval, difference = sharpe_interval(result.net, 0), None
            if name != reference:
                difference = sharpe_difference(result.net, scored[reference].net, 0)
            rows.append(
                StrategyRow(
                    name,
                    summarise(result),
                    (interval.low, interval.high) if interval else None,
                    Estimate(difference.estimate, difference.low, difference.high) if difference else None,
                )
            )
        prices = pd.Series((1.0 + self.returns).cumprod(), self.index, name="index")
        steps = np.arange(1, 201)
        return ReportContent(
            title="Benchmark",
            universe="synthetic",
            horizon="long",
            as_of=date(2020, 1, 2),
            facts=(Fact("Sessions", str(len(self.index))),),
            notes=("Synthetic returns.",),
            provenance={"data": "generator 0"},
            verdict="refresh: hold",
            reference=reference,
            rows=tuple(rows),
            net={name: pd.Series(result.net, self.index) for name, result in scored.items()},
            weights=self.weights,
            regimes=RegimeHistory(prices, self.states, ("calm", "turbulent"), None, self.latents),
            signal=(Fact("Recall", "0.5"),),
            vae_curves=pd.DataFrame({"loss": 1.0 / steps, "kl": 0.1 + 0.0 * steps}),
            policy_curves=pd.DataFrame({"step": steps, "reward": np.log(steps)}),
            rules=(RuleOutcome("drawdown_limit", 0.2, "<= 0.35", passed=True, blocking=True),),
        )


def with_quantstats(track: Track, path: Path) -> None:
    """The tear sheet of the first strategy beside the reference."""
    import matplotlib as mpl

    mpl.use("Agg")
    from quantstats import reports

    first, reference = (pd.Series(score(track.exposures[row], track.returns, COST).net, track.index) for row in (0, -1))
    reports.html(first, benchmark=reference, output=str(path))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sessions", type=int, default=5_000)
    parser.add_argument("--strategies", type=int, default=8)
    arguments = parser.parse_args()
    track = Track(arguments.sessions, arguments.strategies)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours.html", Path(folder) / "theirs.html"
        content = track.content()
        rows = [
            ("figures and bootstrap intervals", measure(track.content), None),
            ("pictures and file", measure(lambda: write_report(content, ours)), ours),
            ("quantstats, one strategy", measure(lambda: with_quantstats(track, theirs)), theirs),
        ]
        print(f"| {arguments.sessions:,} sessions, {arguments.strategies} strategies | wall s | CPU s | file MB |")
        print("|---|---|---|---|")
        for name, cost, path in rows:
            size = f"{path.stat().st_size / 1e6:.1f}" if path else ""
            print(f"| {name} | {cost.wall:.2f} | {cost.cpu:.2f} | {size} |")


if __name__ == "__main__":
    main()
