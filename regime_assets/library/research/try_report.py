"""The report of a try: both designs' rules and policies on the same sessions, and what the pair is evidence of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from regime_assets.library.evaluation.comparison import Comparison
from regime_assets.library.evaluation.contenders import BUY_AND_HOLD, POLICY, RULE
from regime_assets.library.production.environment import environment_versions
from regime_assets.library.report.page import Fact, ReportContent, write_report
from regime_assets.library.research.tries import Pair
from regime_assets.library.steps.backtest_content import strategy_row
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace


def write_pair(workspace: Workspace, horizon: Horizon, pair: Pair, label: str) -> Path:
    """Write the report of a pair; return where it is.

    Args:
        label: tells one try from another, such as the beginning of a design's hash.
    """
    universe = workspace.universe
    last = pair.sessions[-1].date()
    shown = strategies(pair)
    left_out = "A try compares what two designs earned; the walk-forward's own report shows one design's models."
    content = ReportContent(
        title=f"{universe.name}, {horizon} horizon: {pair.names[0]} beside {pair.names[1]}",
        universe=universe.name,
        horizon=horizon,
        as_of=last,
        facts=(
            Fact("Sessions", f"{len(pair.sessions)}", f"{pair.sessions[0]:%Y-%m-%d} to {last}"),
            Fact("Designs tried on this history", f"{pair.trials}", "whatever came out of them"),
        ),
        notes=(
            *pair.verdict(),
            "Every session is decided by models that were fitted before it, but whoever chose this design may know "
            "the history. What a design earns after the day of its declaration is better evidence: name it among the "
            "challengers of the universe file.",
            f"Net of {universe.cost_bp:g} basis points one way; a decision on a close is filled on the next close.",
        ),
        provenance={"label": label, **environment_versions()},
        reference=BUY_AND_HOLD,
        rows=tuple(strategy_row(one) for one in shown),
        net={one.name: one.net for one in shown},
        weights=shown[0].weights,
        regimes=None,
        absent=dict.fromkeys(("latents", "signal", "vae", "policy", "gate", "regimes"), left_out),
    )
    path = workspace.home.report(universe.name, horizon, f"try-{label}", last)
    write_report(content, path)
    return path


def strategies(pair: Pair) -> list[Comparison]:
    """Rule and policy of both designs under names that tell them apart, and buy & hold."""
    named = [
        replace(one[contender], name=f"{name}: {contender}")
        for contender in (RULE, POLICY)
        for name, one in zip(pair.names, pair.comparisons, strict=True)
    ]
    return [*named, pair.comparisons[0][BUY_AND_HOLD]]
