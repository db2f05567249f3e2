"""What one session's backtest came to: every contender on the record, and which of the two own ones would serve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from regime_assets.library.evaluation.comparison import Comparison
from regime_assets.library.evaluation.contenders import POLICY, RULE
from regime_assets.library.evaluation.gate import ServingChoice
from regime_assets.library.steps.backtest_record import BacktestRecord


@dataclass(frozen=True)
class Backtest:
    """The outcome of one session's backtest. Whether its models may serve is judged by `promotion`.

    Attributes:
        comparisons: every contender by name.
        serving: whether the learned policy or the regime rule would serve, and why.
        record: what is stored for the promotion.
        report: the HTML file; None where none was written.
    """

    comparisons: dict[str, Comparison]
    serving: ServingChoice
    record: BacktestRecord
    report: Path | None

    @property
    def figures(self) -> dict[str, float | None]:
        """What plots over partitions."""
        return self.record.figures

    @property
    def net(self) -> dict[str, pd.Series]:
        """Net returns by strategy, the served one first."""
        served = served_name(self.serving)
        ordered = [served, *(name for name in self.comparisons if name != served)]
        return {name: self.comparisons[name].net for name in ordered}

    @property
    def comparison(self) -> pd.DataFrame:
        """One row a strategy, as the UI shows it; with intervals where there is a report of them."""
        return pd.DataFrame([_row(name, item, self.report is not None) for name, item in self.comparisons.items()])

    def tracked(self, prefix: str) -> dict[str, float]:
        """The figures under names for experiment tracking; what could not be measured is left out."""
        return {f"{prefix}.{name}": float(value) for name, value in self.figures.items() if value is not None}


def served_name(serving: ServingChoice) -> str:
    """The contender that the session's bundle would serve."""
    return POLICY if serving.serves == "policy" else RULE


def _row(name: str, item: Comparison, with_interval: bool) -> dict[str, object]:
    summary, interval = item.summary, item.interval if with_interval else None
    return {
        "strategy": name,
        "Sharpe": summary.sharpe,
        "95 %": "" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}",
        "max drawdown": summary.max_drawdown,
        "CAGR": summary.cagr,
        "volatility": summary.volatility,
        "turnover": summary.turnover,
        "exposure": summary.exposure,
        "switches a year": summary.switches_per_year,
    }
