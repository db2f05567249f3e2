"""A session's backtest: the out-of-sample track scored beside the baselines, and reported."""

from __future__ import annotations

from datetime import date

from regime_assets.library.evaluation.comparison import Comparison, compare
from regime_assets.library.evaluation.contenders import BUY_AND_HOLD, OWN, POLICY, RULE
from regime_assets.library.evaluation.experience import experience_rule
from regime_assets.library.evaluation.gate import choose_serving_policy
from regime_assets.library.report.page import write_report
from regime_assets.library.shared_files import file_exists
from regime_assets.library.steps.backtest_content import compose
from regime_assets.library.steps.backtest_outcome import Backtest, served_name
from regime_assets.library.steps.backtest_record import BacktestRecord, store_record
from regime_assets.library.steps.raw_prices import Log
from regime_assets.library.steps.track import extend_track
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace

SHOWN_FIGURES = ("sharpe", "max_drawdown", "cagr", "volatility", "turnover", "exposure", "switches_per_year")


def backtest(workspace: Workspace, horizon: Horizon, session: date, log: Log, *, page: bool = True) -> Backtest:
    """Carry the out-of-sample track on to `session`, score it beside the baselines, and report.

    Args:
        log: takes what is going on.
        page: write the report; one that is there already is written anew in any case. Without it no other baseline
            than buy & hold stands beside the models.
    """
    universe, path = workspace.universe, workspace.report(horizon, "backtest", session)
    page = page or file_exists(path)
    with workspace.database.at_once():
        history = workspace.history(horizon, session)
    track = extend_track(workspace, horizon, session, history, log)
    only = None if page else OWN
    comparisons = compare(history, track, workspace.terms(history), universe.sessions_per_year, only=only)
    rule, policy = (comparisons[name].scored.over_cash.net for name in (RULE, POLICY))
    evidence = _validation_z(workspace, horizon, session)
    serving = choose_serving_policy(rule, policy, universe.gate, universe.sessions_per_year, evidence)
    served = comparisons[served_name(serving)]
    hashed = workspace.design.hash_for(horizon)
    workspace.ledger.record_shown(universe.name, horizon, session, hashed, served.summary)
    figures = _figures(comparisons, served)
    seen = experience_rule(history.market_returns, universe.sessions_per_year)
    record = BacktestRecord.of(serving, served.interval, figures, seen)
    result = Backtest(comparisons, serving, record, path if page else None)
    store_record(workspace, horizon, session, record)
    if page:
        write_report(compose(workspace, horizon, session, result, track, history), path)
    return result


def _validation_z(workspace: Workspace, horizon: Horizon, session: date) -> float:
    """What the policy of the session earned over its rule on the blocks held out in training, in standard errors."""
    record = workspace.lineage(horizon).find("rl_policy", session)
    return 0.0 if record is None or not record.accepted else float(record.figures.get("validation_z", 0.0))


def _figures(comparisons: dict[str, Comparison], served: Comparison) -> dict[str, float | None]:
    """Figures of what would serve, of the learned policy and of buy & hold, by flat names."""
    subjects = {"": served, "policy_": comparisons[POLICY], "buy_and_hold_": comparisons[BUY_AND_HOLD]}
    figures: dict[str, float | None] = {"out_of_sample_sessions": served.summary.sessions}
    for prefix, comparison in subjects.items():
        values = comparison.summary.as_dict()
        figures |= {f"{prefix}{name}": values[name] for name in SHOWN_FIGURES}
    return figures
