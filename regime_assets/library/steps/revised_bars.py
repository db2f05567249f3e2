"""Stored prices that a source gives otherwise later on: in its answer, and between two decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd

from regime_assets.library.market.findings import Finding, QualitySettings
from regime_assets.library.market.revision_rules import COLUMNS, revised_prices, revisions
from regime_assets.library.market.sources import create_source
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.workspace import Workspace

LOOK_BACK_SESSIONS = 80


def revised_in_answer(
    workspace: Workspace, fetched: Fetched, symbols: Sequence[str], sessions: Sequence[date], fetched_at: datetime
) -> list[Finding]:
    """Where an answer differs from what is stored of sessions that were decided; younger bars were provisional."""
    decided = [day for day in sessions if workspace.calendar.decision_time(day) < fetched_at]
    if not decided:
        return []
    newest_version = workspace.calendar.all_sessions[-1]
    stored = workspace.market.bars(newest_version, decided[0], decided[-1], workspace.calendar, symbols)
    return list(
        revisions(revised_prices(stored, fetched.bars, _fields(workspace), _settings(workspace)), _settings(workspace))
    )


def revised_since_last_decision(workspace: Workspace, session: date) -> pd.DataFrame:
    """Prices of earlier sessions that differ from what was known as of the session before.

    Each revision belongs to one session: the first whose decision it reaches.

    Returns:
        Columns symbol, session, field, before, now.
    """
    *earlier, _ = workspace.calendar.sessions(workspace.universe.history_start, session)[-LOOK_BACK_SESSIONS - 1 :]
    if not earlier:
        return pd.DataFrame(columns=list(COLUMNS))
    before, now = (
        workspace.universe.membership.of(
            workspace.market.bars(
                as_of, earlier[0], earlier[-1], workspace.calendar, workspace.universe.instruments_on(session)
            )
        )
        for as_of in (earlier[-1], session)
    )
    return revised_prices(before, now, _fields(workspace), _settings(workspace))


def judge_revisions(workspace: Workspace, session: date) -> list[Finding]:
    """The findings of rule `revisions` for one session."""
    return list(revisions(revised_since_last_decision(workspace, session), _settings(workspace)))


def _fields(workspace: Workspace) -> tuple[str, ...]:
    return create_source(workspace.universe.source.kind, workspace.universe.source.options).fields


def _settings(workspace: Workspace) -> QualitySettings:
    return QualitySettings(revision=workspace.universe.quality.revision)
