"""What a session's backtest measured, stored for the promotion that judges it: who would serve, and on what record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import date

import pandas as pd

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.evaluation.bootstrap import Interval
from regime_assets.library.evaluation.gate import ServingChoice
from regime_assets.library.evaluation.paired_test import PairedTest
from regime_assets.library.production.manifest import Serves
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import NotMaterializedError, Workspace

TABLE = "backtests"


@dataclass(frozen=True)
class BacktestRecord:
    """One session's record.

    Attributes:
        serves: whether the learned policy or the regime rule would decide.
        rules: by which the policy may serve, and of how much the models have seen; failing them blocks nothing.
        gain: of the policy over its rule, paired; None before there are enough sessions.
        interval: of the Sharpe ratio of what would serve; None where it has none.
        figures: out of sample, by flat names.
    """

    serves: Serves
    rules: tuple[RuleOutcome, ...]
    gain: PairedTest | None
    interval: Interval | None
    figures: dict[str, float | None]

    @classmethod
    def of(
        cls,
        serving: ServingChoice,
        interval: Interval | None,
        figures: dict[str, float | None],
        experience: RuleOutcome,
    ) -> BacktestRecord:
        """The record of a choice, with the rule of how much the history has held."""
        rules = tuple(replace(rule, rule=f"policy_{rule.rule}", blocking=False) for rule in serving.rules)
        return cls(serving.serves, (*rules, experience), serving.gain, interval, figures)


def store_record(workspace: Workspace, horizon: Horizon, session: date, record: BacktestRecord) -> None:
    """Store one session's record."""
    row = {"serves": record.serves, "document": json.dumps(asdict(record), sort_keys=True)}
    workspace.database.replace_partition(TABLE, workspace.lane_key(horizon, session), pd.DataFrame([row]))


def read_record(workspace: Workspace, horizon: Horizon, session: date) -> BacktestRecord:
    """The stored record.

    Raises:
        NotMaterializedError: the session's backtest report was not materialized.
    """
    rows = workspace.database.read_partition(TABLE, workspace.lane_key(horizon, session))
    if rows.empty:
        raise NotMaterializedError(
            f"backtest_report of {workspace.universe.name}/{horizon}, {session} was not materialized"
        )
    document = json.loads(str(rows["document"].iloc[0]))
    gain, interval = document["gain"], document["interval"]
    return BacktestRecord(
        serves=document["serves"],
        rules=tuple(RuleOutcome(**rule) for rule in document["rules"]),
        gain=PairedTest(**gain) if gain else None,
        interval=Interval(**interval) if interval else None,
        figures=document["figures"],
    )
