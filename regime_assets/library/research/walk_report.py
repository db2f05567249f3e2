"""What the report of a walk-forward says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pandas as pd

from regime_assets.library.evaluation.comparison import Comparison
from regime_assets.library.evaluation.contenders import BUY_AND_HOLD
from regime_assets.library.production.environment import environment_versions
from regime_assets.library.report.page import Fact, RegimeHistory, ReportContent
from regime_assets.library.research.walk_store import StoredRun
from regime_assets.library.steps.backtest_content import scored_net_of, strategy_row


def table_row(item: Comparison) -> dict[str, str]:
    """One strategy in one line, formatted."""
    summary, interval = item.summary, item.interval

    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    return {
        "strategy": item.name,
        "Sharpe": shown(summary.sharpe, ".2f"),
        "95 %": "–" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}",
        "max drawdown": shown(summary.max_drawdown, ".1%"),
        "switches a year": shown(summary.switches_per_year, ".1f"),
        "turnover a year": shown(summary.turnover, ".1f"),
        "exposure": shown(summary.exposure, ".0%"),
    }


def compose_walk(
    run: StoredRun, track: pd.DataFrame, comparisons: Mapping[str, Comparison], last: date
) -> ReportContent:
    """The content of a walk-forward's report."""
    workspace, settings = run.workspace, run.settings
    level = (1.0 + run.history.market_returns.loc[track.index]).cumprod()
    names = run.carried(run.segments()).models.regimes.names
    stored_once = "A walk-forward keeps the decisions of each refit, and the models of the last one only."
    return ReportContent(
        title=f"{workspace.universe.name}, {run.horizon} horizon: walk-forward",
        universe=workspace.universe.name,
        horizon=run.horizon,
        as_of=last,
        facts=(
            Fact("Sessions", f"{len(track)}", f"{track.index[0]:%Y-%m-%d} to {last}"),
            Fact("Refits", f"{track['model_session'].nunique()}", f"every {settings.refit_every} sessions"),
        ),
        notes=(
            "Every figure is out of sample: each session is decided by a model fitted on sessions up to the same close "
            f"at the latest. VAE and regimes are refitted every {settings.refit_every} sessions, the policy every "
            f"{settings.policy_every}, everything from scratch every {settings.full_retrain_every}; {settings.embargo} "
            "sessions of embargo lie between what is trained on and what is decided.",
            scored_net_of(workspace.universe),
            "The design itself was chosen by people who know this history. Instruments that are watched today and "
            "have survived make a cross-section optimistic.",
        ),
        provenance={"run": str(run.key["run"]), **run.identity, **environment_versions()},
        reference=BUY_AND_HOLD,
        rows=tuple(strategy_row(item) for item in comparisons.values()),
        net={name: item.net for name, item in comparisons.items()},
        weights=next(iter(comparisons.values())).weights,
        regimes=RegimeHistory(level, track["regime"].to_numpy(dtype="int64"), names),
        absent={
            "latents": stored_once,
            "signal": "The risk-off signal is described in a session's backtest report.",
            "vae": stored_once,
            "policy": stored_once,
            "gate": "A walk-forward promotes nothing.",
        },
    )
