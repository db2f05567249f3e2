"""The gate's answer for one session, stored with every rule that it was reached by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

import pandas as pd

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.production.lineage import OUTCOMES_TABLE
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace

TABLE = "judgements"
SUBJECT = "promotion"


@dataclass(frozen=True)
class Judgement:
    """What the gate said of one session's models.

    Attributes:
        lane: first, refresh or challenge; none where there was nothing to judge.
        outcome: promote, hold or insufficient evidence.
        reason: why, in one line.
        serves: whether the learned policy or the regime rule decides.
        champion_version: the registry version that it was compared with; None when there was no champion.
        figures: out-of-sample figures.
        rules: every rule with value, bound and outcome.
    """

    lane: str
    outcome: str
    reason: str
    serves: str
    champion_version: int | None
    figures: dict[str, float | None]
    rules: tuple[RuleOutcome, ...]

    @property
    def promote(self) -> bool:
        """Whether the models may serve."""
        return self.outcome == "promote"


def store_judgement(workspace: Workspace, horizon: Horizon, session: date, judgement: Judgement) -> None:
    """Store the gate's answer and its rules."""
    row = {
        "lane": judgement.lane,
        "outcome": judgement.outcome,
        "reason": judgement.reason,
        "serves": judgement.serves,
        "champion_version": -1 if judgement.champion_version is None else judgement.champion_version,
        "figures": json.dumps(judgement.figures, sort_keys=True),
    }
    with workspace.database.one_transaction([OUTCOMES_TABLE, TABLE]):
        workspace.lineage(horizon).record_outcomes(SUBJECT, session, judgement.rules)
        workspace.database.replace_partition(TABLE, workspace.lane_key(horizon, session), pd.DataFrame([row]))


def find_judgement(workspace: Workspace, horizon: Horizon, session: date) -> Judgement | None:
    """The stored answer; None while there is none."""
    rows = workspace.database.read_partition(TABLE, workspace.lane_key(horizon, session))
    if rows.empty:
        return None
    row = {str(name): value for name, value in rows.iloc[0].to_dict().items()}
    version = int(row["champion_version"])
    return Judgement(
        lane=str(row["lane"]),
        outcome=str(row["outcome"]),
        reason=str(row["reason"]),
        serves=str(row["serves"]),
        champion_version=None if version < 0 else version,
        figures=json.loads(row["figures"]),
        rules=workspace.lineage(horizon).outcomes(SUBJECT, session),
    )
