"""Asset checks: the verdicts that the library reached, as Dagster shows them. No rule is decided here.

Data checks look at what is stored, anew. Model checks report the outcomes that were stored with the model, because
acceptance is data: a refused model stays refused for later sessions too, not only inside its own run.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date

import dagster as dg

from regime_assets.assets.lane import Lane, sessions_of
from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.chain import Chain
from regime_assets.metadata import figures, table
from regime_assets.resources import DataHome

Evaluate = Callable[[Chain, Lane, date], Sequence[RuleOutcome]]

BLOCKING_DATA_RULES = {
    "complete": "every symbol has a bar on every session of the calendar, and none on other days",
    "unique": "one bar a symbol and session",
    "finite": "no NaN and no infinity in the fields that the source supplies",
    "positive": "prices are above zero",
    "ordered": "the high is the highest and the low the lowest price of its bar",
    "unit_jump": "no price is off by a factor of 100 (pence for pounds), corroborated by the bars around it",
    "unapplied_split": "no price jumps by a split ratio without a recorded split, corroborated by the market",
}
WARNING_DATA_RULES = {
    "outlier": "returns lie within 8 MADs of 60 sessions or within 8 %",
    "stale": "no identical consecutive bars",
    "spike_and_back": "no bar leaves the price level and returns to it a session later",
    "zero_volume": "every bar has volume where the source supplies it",
    "large_dividend": "no dividend exceeds 20 % of the price",
}
WINDOW_RULES = {
    "finite": "no NaN and no infinity in the window's prices",
    "positive": "the window's prices are above zero",
    "complete": "every session of the calendar is there once",
    "enough_sessions": "the window is long enough to be fitted on",
    "varying": "no symbol's price is constant over the window",
}
WINDOW_WARNINGS = {"outlier": "the newest returns lie within the outlier bounds"}
MODEL_RULES: dict[str, dict[str, tuple[str, bool]]] = {}


def universe_checks(lane: Lane) -> list[dg.AssetChecksDefinition]:
    """The checks of the assets that both horizons share."""
    rules = _specified(BLOCKING_DATA_RULES, True) | _specified(WARNING_DATA_RULES, False)
    return [_checks(lane, "raw_prices", rules, _judge_bars)]


def horizon_checks(lane: Lane) -> list[dg.AssetChecksDefinition]:
    """The checks of one horizon's assets."""
    window = _specified(WINDOW_RULES, True) | _specified(WINDOW_WARNINGS, False)
    models = [_checks(lane, kind, rules, _recorded(kind)) for kind, rules in MODEL_RULES.items()]
    return [_checks(lane, "validated_window", window, _judge_window), *models]


def _checks(lane: Lane, asset: str, rules: dict[str, tuple[str, bool]], evaluate: Evaluate) -> dg.AssetChecksDefinition:
    key = lane.key(asset)
    specs = [
        dg.AssetCheckSpec(
            name, asset=key, description=description, blocking=blocking, partitions_def=lane.partitions
        )
        for name, (description, blocking) in rules.items()
    ]

    @dg.multi_asset_check(specs=specs, name=lane.op_name(f"{asset}_checks"))
    def check(context: dg.AssetCheckExecutionContext, data: DataHome) -> Iterable[dg.AssetCheckResult]:
        chain = data.chain(lane.universe)
        by_session = {session: evaluate(chain, lane, session) for session in sessions_of(context)}
        for name, (_, blocking) in rules.items():
            yield _result(key, name, blocking, by_session)

    return check


def _result(
    key: dg.AssetKey, name: str, blocking: bool, by_session: dict[date, Sequence[RuleOutcome]]
) -> dg.AssetCheckResult:
    """One rule over all sessions of the run: it passes when it does on each; the newest session's figures plot."""
    found = {s: o for s, outcomes in by_session.items() for o in outcomes if o.rule == name}
    failed = {session: outcome for session, outcome in found.items() if not outcome.passed}
    metadata: dict[str, dg.MetadataValue] = {}
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
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=None if found else "not measured for this session",
    )


def _judge_bars(chain: Chain, lane: Lane, session: date) -> Sequence[RuleOutcome]:
    from regime_assets.library.pipeline.ingestion import judge_stored_bars

    return judge_stored_bars(chain, session)


def _judge_window(chain: Chain, lane: Lane, session: date) -> Sequence[RuleOutcome]:
    from regime_assets.library.pipeline.ingestion import judge_window

    return judge_window(chain, lane.horizon, session)


def _recorded(kind: str) -> Evaluate:
    def evaluate(chain: Chain, lane: Lane, session: date) -> Sequence[RuleOutcome]:
        return chain.lineage(lane.horizon).outcomes(kind, session)

    return evaluate


def _specified(rules: dict[str, str], blocking: bool) -> dict[str, tuple[str, bool]]:
    return {name: (description, blocking) for name, description in rules.items()}
