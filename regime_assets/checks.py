"""Asset checks: the verdicts that the library reached, as Dagster shows them. No rule is decided here.

Data checks look at what is stored, anew. Model checks report the outcomes that were stored with the model, because
acceptance is data: a refused model stays refused for later sessions too, not only inside its own run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Literal, NamedTuple

import dagster as dg

from regime_assets.assets.lane import Lane, sessions_of
from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.workspace import Workspace
from regime_assets.metadata import figures, table
from regime_assets.resources import DataHome

if TYPE_CHECKING:
    from pandas import DataFrame

Evaluate = Callable[[Workspace, Lane, Sequence[date]], Mapping[date, Sequence[RuleOutcome]]]
"""(chain, lane, sessions) → by session, the outcomes of its rules."""
Tables = Callable[[Workspace, Sequence[date]], dict[str, dict[str, dg.MetadataValue]]]
"""(chain, sessions) → by rule, the tables that its check shows besides the outcome, by their names."""
Effect = Literal["block", "refuse", "error", "warn"]


class Rule(NamedTuple):
    """A rule as the UI shows it: what it demands, and what a failure does.

    Data that is refused blocks the run. A model that is refused does not: it goes no further, and the champion answers.
    """

    description: str
    effect: Effect


BAR_RULES = {
    "complete": Rule(
        "every symbol has a bar on every session on which it is a member, and none on other days", "block"
    ),
    "held_back": Rule("every watched symbol has a usable bar; the cross-section goes without those held back", "warn"),
    "unique": Rule("one bar a symbol and session", "block"),
    "finite": Rule("no NaN and no infinity; blocks in a field that windows read", "block"),
    "positive": Rule("prices, splits and dividends are above zero; blocks in a field that windows read", "block"),
    "ordered": Rule("high and low enclose the bar's prices; blocks when the close is 1 % beyond", "block"),
    "stale_session": Rule("a session is not a copy of the one before", "block"),
    "unit_jump": Rule("no jump by the factor of a unit", "block"),
    "largest_move": Rule("no session multiplies a price by 5 or leaves a fifteenth of it", "block"),
    "unapplied_split": Rule(
        "no move that an unreported split explains better than news; blocks from even odds on", "block"
    ),
    "unpaid_dividend": Rule(
        "a price gives up the dividend that goes ex; blocks from odds of 2 to 1 that it did not", "block"
    ),
    "rescaled": Rule(
        "a history comes again at its stored prices; one factor on all of it needs an action that explains it", "block"
    ),
    "currency": Rule("prices stay in the unit in which they are stored", "block"),
    "outlier": Rule("returns lie within 8 MADs of 60 sessions or within 8 %", "warn"),
    "stale": Rule("bars do not repeat", "warn"),
    "spike_and_back": Rule("a large move is not undone by the next session", "warn"),
    "zero_volume": Rule("something was traded", "warn"),
    "large_dividend": Rule("dividends of at most 20 % of the price", "warn"),
    "dividend_unit": Rule("a dividend is not a hundred times those before it, nor a hundredth", "warn"),
    "revisions": Rule("no price of an earlier session changed since its last decision, beyond 0.1 %", "warn"),
}
WINDOW_RULES = {
    "complete": Rule("every session of the calendar is there", "block"),
    "unique": Rule("one price a symbol and session", "block"),
    "finite": Rule("no NaN and no infinity", "block"),
    "positive": Rule("prices are above zero", "block"),
    "enough_sessions": Rule("the window is long enough to be fitted on", "block"),
    "constant": Rule("no price stands still for the whole window", "block"),
    "weights": Rule("sample weights are finite, positive and of mean 1", "block"),
    "outlier": Rule("returns lie within 8 MADs of 60 sessions or within 8 %", "warn"),
}
MODEL_RULES = {
    "vae": {
        "active_units": Rule("latents that carry information; fewer than two is posterior collapse", "refuse"),
        "finite_reconstruction": Rule("reconstruction and losses are numbers", "refuse"),
        "validation_error_ratio": Rule("held-out reconstruction error relative to the previous model's", "refuse"),
    },
    "latents": {
        "alignment_residual": Rule("variance of the previous latents that the alignment leaves unexplained", "refuse"),
        "finite_latents": Rule("latents are numbers", "refuse"),
    },
    "gmm": {
        "smallest_weight": Rule("no regime has collapsed", "refuse"),
        "agreement_floor": Rule("last year's regimes agree with the previous partition's at least this much", "refuse"),
        "agreement": Rule("last year's regimes agree with the previous partition's", "warn"),
        "update_step": Rule("the refit was not held back to keep last year's regimes", "warn"),
        "occupancy_change": Rule("no regime's share of the last year changed much", "warn"),
        "separation": Rule("the regimes lie apart", "warn"),
        "switches_per_year": Rule("regimes last", "warn"),
        "ordered_by_risk": Rule("the regimes' names follow their downside risk", "warn"),
    },
    "rl_policy": {
        "finite_weights": Rule("the networks' weights are numbers", "refuse"),
        "exposure_within_limits": Rule("no exposure leaves its limits", "refuse"),
        "turnover_per_year": Rule("turnover on the training window", "refuse"),
        "turnover_collapse": Rule("the learned action still changes from session to session", "refuse"),
        "entropy": Rule("exploration has not collapsed", "refuse"),
        "not_stuck_at_a_limit": Rule("the exposure is not stuck at a limit where the rule's is not", "refuse"),
        "validation_z": Rule("the learned tilt is not harmful on held-out sessions", "warn"),
        "kl_to_previous": Rule("the policy has not moved far from its predecessor", "warn"),
        "online_update": Rule("an online update was kept; a refused one leaves the previous policy as it was", "warn"),
    },
    "promotion": {
        "drawdown_limit": Rule(
            "deepest drawdown of the out-of-sample track over three years; beyond it, and beyond that of buy & hold, "
            "nothing is promoted",
            "error",
        ),
        "turnover_limit": Rule("turnover of the out-of-sample track; beyond it nothing is promoted", "error"),
        "exposure_limit": Rule("largest exposure of the out-of-sample track; beyond it nothing is promoted", "error"),
        "experience": Rule("the history holds five years, one crisis and one calm year", "warn"),
    },
}
DRIFT_RULES = {"no_drift": Rule("no drift episode is open", "warn")}


def universe_checks(lane: Lane) -> list[dg.AssetChecksDefinition]:
    """The checks of the assets that both horizons share."""
    return [_checks(lane, "raw_prices", BAR_RULES, _judge_bars, bar_tables)]


def horizon_checks(lane: Lane) -> list[dg.AssetChecksDefinition]:
    """The checks of what the designs of a horizon share."""
    return [
        _checks(lane, "validated_window", WINDOW_RULES, _judge_window),
        _checks(lane, "drift_report", DRIFT_RULES, _recorded("drift_report")),
    ]


def design_checks(lane: Lane) -> list[dg.AssetChecksDefinition]:
    """The checks of one design's models and promotion."""
    return [_checks(lane, kind, rules, _recorded(kind)) for kind, rules in MODEL_RULES.items()]


def _checks(
    lane: Lane, asset: str, rules: dict[str, Rule], evaluate: Evaluate, tables_of: Tables | None = None
) -> dg.AssetChecksDefinition:
    key = lane.key(asset)
    specs = [
        dg.AssetCheckSpec(
            name,
            asset=key,
            description=rule.description,
            blocking=rule.effect == "block",
            partitions_def=lane.partitions,
        )
        for name, rule in rules.items()
    ]

    @dg.multi_asset_check(specs=specs, name=lane.op_name(f"{asset}_checks"), op_tags=lane.side_tag)
    def check(context: dg.AssetCheckExecutionContext, data: DataHome) -> Iterable[dg.AssetCheckResult]:
        workspace = data.workspace(lane.universe, lane.design)
        by_session = evaluate(workspace, lane, list(sessions_of(context)))
        tables = tables_of(workspace, list(by_session)) if tables_of else {}
        for name, rule in rules.items():
            yield _result(key, name, rule.effect, by_session, tables.get(name, {}))

    return check


def _result(
    key: dg.AssetKey,
    name: str,
    effect: Effect,
    by_session: Mapping[date, Sequence[RuleOutcome]],
    tables: dict[str, dg.MetadataValue],
) -> dg.AssetCheckResult:
    """One rule over all sessions of the run: it passes when it does on each; the newest session's figures plot."""
    found = {s: o for s, outcomes in by_session.items() for o in outcomes if o.rule == name}
    failed = {session: outcome for session, outcome in found.items() if not outcome.passed}
    measured = [outcome for outcome in failed.values() if outcome.value is not None]
    is_error = any(effect == "error" or outcome.blocking for outcome in measured)
    metadata = dict(tables)
    if found:
        newest = found[max(found)]
        metadata |= figures({"value": newest.value})
        metadata["bound"] = dg.MetadataValue.text(newest.bound)
    if failed:
        metadata["failed"] = dg.MetadataValue.md(
            "\n".join(f"- {session}: {o.value} (bound {o.bound}) {o.detail}" for session, o in failed.items())
        )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=None if found else "not measured for this session",
    )


def report_refusal(
    instance: dg.DagsterInstance, run: dg.DagsterRun, lane: Lane, session: date, findings: "DataFrame"
) -> None:
    """Let the checks of `raw_prices` say what they found in an answer that was refused.

    The run fails before its checks, and Dagster would show each of them as failed. Every rule looked at the answer, so
    each says its own: those that it broke with their findings, the others that they found nothing. They are events of
    the run itself: Dagster keeps one evaluation a check, run and partition, and a session may be refused again.
    """
    from dagster._core.events import DagsterEvent, DagsterEventType

    key = lane.key("raw_prices")
    for name, rule in BAR_RULES.items():
        broken = findings[findings["rule"] == name]
        is_error = bool((broken["severity"] == "error").any())
        metadata = {"findings": table(broken)} if len(broken) else {}
        evaluation = dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=name,
            passed=broken.empty,
            metadata={**metadata, **figures({"value": len(broken)})},
            severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
            description=(
                "; ".join(broken["message"].head(5)) if len(broken) else "nothing found in an answer that was refused"
            ),
            blocking=rule.effect == "block",
            partition=session.isoformat(),
        )
        event = DagsterEvent(
            event_type_value=DagsterEventType.ASSET_CHECK_EVALUATION.value,
            job_name=run.job_name,
            event_specific_data=evaluation,
        )
        instance.report_dagster_event(event, run_id=run.run_id)


def _judge_bars(workspace: Workspace, _lane: Lane, sessions: Sequence[date]) -> Mapping[date, Sequence[RuleOutcome]]:
    from regime_assets.library.steps.raw_prices import judge_stored_bars

    judged: dict[date, Sequence[RuleOutcome]] = {}
    for session in sessions:
        with workspace.database.held():
            judged[session] = judge_stored_bars(workspace, session, tuple(BAR_RULES))
    return judged


def bar_tables(workspace: Workspace, sessions: Sequence[date]) -> dict[str, dict[str, dg.MetadataValue]]:
    """Rule → what it ever held back of these sessions, with the time at which it was accepted after all; revisions."""
    from regime_assets.library.market.quarantine import as_text
    from regime_assets.library.steps.revised_bars import revised_since_last_decision

    with workspace.database.held():
        rows = as_text(workspace.quarantine.history(sessions=sessions))
        revised = {session: revised_since_last_decision(workspace, session) for session in sessions}
    tables = {
        str(rule): {"quarantined": table(of_rule.drop(columns="rule").tail(50))}
        for rule, of_rule in rows.groupby("rule")
    }
    shown = [rows.assign(known_as_of=session) for session, rows in revised.items() if not rows.empty]
    if shown:
        import pandas as pd

        tables["revisions"] = {"revised": table(pd.concat(shown, ignore_index=True))}
    return tables


def _judge_window(workspace: Workspace, lane: Lane, sessions: Sequence[date]) -> Mapping[date, Sequence[RuleOutcome]]:
    from regime_assets.library.steps.raw_prices import judge_window

    rules = tuple(WINDOW_RULES)
    return {session: judge_window(workspace, lane.horizon, session, rules) for session in sessions}


def _recorded(kind: str) -> Evaluate:
    def evaluate(workspace: Workspace, lane: Lane, sessions: Sequence[date]) -> Mapping[date, Sequence[RuleOutcome]]:
        design = "" if kind == "drift_report" else None
        return workspace.lineage(lane.horizon, design=design).outcomes_of(kind, sessions)

    return evaluate
