"""Micro-batches: bars that arrive between two daily runs, validated and stored in the same table as those.

A batch may be partial, some symbols of some sessions. It continues what the daily run loaded and never replaces it:
history, corporate actions and completeness stay the daily run's. What cannot be used of it is refused bar by bar, each
with its way out, and the others are stored. What a window goes without is the daily run's question too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from regime_assets.library.market.decisions import as_corrected
from regime_assets.library.market.findings import FROM_HERE_ON, found
from regime_assets.library.market.quality import Finding, blocking, check_bars, findings_frame
from regime_assets.library.market.quarantine import Refusal
from regime_assets.library.market.sources import create_source
from regime_assets.library.market.sources.base import BAR_COLUMNS, Fetched, History, assemble, no_actions
from regime_assets.library.market.store import IngestReport
from regime_assets.library.market.ways_out import ways_out_frame, with_ways_out
from regime_assets.library.steps.judged_answer import as_accepted
from regime_assets.library.steps.last_prices import decided
from regime_assets.library.steps.raw_prices import (
    HISTORY_SESSIONS,
    RejectedDataError,
    quality_settings,
    store_accepted,
)
from regime_assets.library.steps.requested_bars import OVERLAP_SESSIONS, last_sessions
from regime_assets.library.workspace import Workspace

MAX_FILE_BYTES = 64 * 1024 * 1024
AGAIN = "What is accepted or corrected is stored when it is delivered again."

Key = tuple[str, date]
"""Symbol and session of a bar."""


class StreamError(Exception):
    """A batch that is no table of this universe's bars; nothing of it was stored."""


@dataclass(frozen=True)
class Appended:
    """What one batch wrote.

    Attributes:
        sessions: the sessions of the stored bars, ascending.
        report: new and revised bars.
        warnings: findings that do not block, one a row.
        refused: what was refused, one finding a row, with the column way_out; empty when all was stored.
    """

    sessions: tuple[date, ...]
    report: IngestReport
    warnings: pd.DataFrame
    refused: pd.DataFrame


def append_bars(workspace: Workspace, frame: pd.DataFrame, source: str, at: datetime) -> Appended:
    """Validate a batch of streamed bars and store what is new or differs, as known from `at` on.

    Args:
        workspace: the universe; its history was loaded by `raw_prices`.
        frame: columns symbol, session (days; text as ISO dates) and the price fields that the universe's source
            supplies, as traded. A bar of a running session is provisional: the next one that differs revises it.
        source: who delivered it, kept with each row.
        at: when it was received, with a time zone.

    Returns:
        What was stored and what was refused: the bars that a blocking rule names, those of a symbol that is not of this
        universe or has no history yet, and those of a session that is none of the calendar, lies ahead of `at`, or
        leaves a gap behind the stored bars. They are kept in quarantine with their findings.

    Raises:
        StreamError: a column is missing or unreadable.
        RejectedDataError: all bars were refused.
        StoreError: a differing version of a bar became known at or after `at`.
    """
    fields = supplied_fields(workspace)
    given = _as_bars(frame, fields)
    left = as_corrected(given, workspace.decisions.standing())
    errors, findings = list(foreign_bars(workspace, left, at).values()), list[Finding]()
    left = _without(left, {_key(one) for one in errors})
    while len(left):
        findings = judge(workspace, left)
        named = named_bars(blocking(findings), _keys(left))
        if not named:
            break
        errors += [error for of_bar in named.values() for error in of_bar if error not in errors]
        left = _without(left, set(named))
    newest = max(given["session"]).date()
    if errors:
        workspace.quarantine.refuse(Refusal(source, newest, findings_frame(errors), given), at)
    if left.empty:
        raise RejectedDataError(
            f"{workspace.universe.name}: a batch up to {newest} from {source} was refused, nothing of it was stored:\n"
            f"{with_ways_out(errors[:10], workspace.universe)}\n{AGAIN}",
            ways_out_frame(errors, workspace.universe),
        )
    report = store_accepted(workspace, as_answer(left), source, at)
    refused = ways_out_frame(errors, workspace.universe) if errors else findings_frame([]).assign(way_out="")
    return Appended(tuple(sorted(set(left["session"].dt.date))), report, findings_frame(findings), refused)


def read_batch(path: Path) -> pd.DataFrame:
    """The bars of one CSV or Parquet file, as `append_bars` takes them.

    Raises:
        StreamError: the file is missing, too large for a batch, or unreadable.
    """
    import pyarrow

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise StreamError(f"{path.name}: larger than {MAX_FILE_BYTES >> 20} MB, no batch of bars")
        if path.suffix == ".parquet":
            return pd.read_parquet(path, engine="pyarrow")
        return pd.read_csv(path, dtype={"symbol": str, "session": str})
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise StreamError(f"{path.name}: unreadable ({error})") from error


def _as_bars(frame: pd.DataFrame, fields: tuple[str, ...]) -> pd.DataFrame:
    missing = [name for name in ("symbol", "session", *fields) if name not in frame.columns]
    if missing:
        raise StreamError(f"no column {', '.join(missing)}")
    if frame.empty:
        raise StreamError("a batch without bars")
    try:
        bars = frame[["symbol", "session", *fields]].astype({"symbol": str, **dict.fromkeys(fields, "float64")})
        if pd.api.types.is_string_dtype(bars["session"]) or bars["session"].dtype == object:
            bars["session"] = pd.to_datetime(bars["session"].astype(str), format="%Y-%m-%d")
        bars["session"] = bars["session"].astype("datetime64[ns]")
    except (TypeError, ValueError) as error:
        raise StreamError(f"unreadable bars: {error}") from error
    if bars["session"].isna().any() or (bars["session"] != bars["session"].dt.normalize()).any():
        raise StreamError("column session has entries that are no days")
    return bars.reindex(columns=list(BAR_COLUMNS)).drop_duplicates(ignore_index=True)


def supplied_fields(workspace: Workspace) -> tuple[str, ...]:
    """The price fields that a streamed bar must have: those that the universe's source supplies."""
    return create_source(workspace.universe.source.kind, workspace.universe.source.options).fields


def foreign_bars(workspace: Workspace, bars: pd.DataFrame, at: datetime) -> dict[Key, Finding]:
    """Which bars do not belong here, and why: not of this universe, no session, ahead of time, behind a gap.

    Args:
        workspace: the universe.
        bars: columns symbol and session (days).
        at: when they were received, with a time zone.

    Returns:
        (symbol, session) → the finding.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    newest = workspace.market.newest_sessions()
    foreign: dict[Key, Finding] = {}
    for name, rows in bars.groupby("symbol"):
        symbol = str(name)
        reached = newest.get(symbol)
        for day in sorted({moment.date() for moment in rows["session"]}):
            reason = _foreign(workspace, symbol, day, reached, at)
            if reason:
                bound = "a bar that continues the stored ones"
                foreign[symbol, day] = found("expected", "error", symbol, day, bound=bound, detail=reason)
            elif reached is not None:
                reached = max(reached, day)
    return foreign


def judge(workspace: Workspace, bars: pd.DataFrame) -> list[Finding]:
    """What the rules say to the bars that are there; which others should be there is the daily run's question.

    Bars of sessions that lie far apart, such as today's and a correction of last year's, are judged separately, each
    against the stored sessions before it. What somebody has accepted is a warning.
    """
    days = sorted({moment.date() for moment in bars["session"]})
    groups = [[days[0]]]
    for day in days[1:]:
        if len(workspace.calendar.sessions(groups[-1][-1], day)) - 2 > OVERLAP_SESSIONS:
            groups.append([])
        groups[-1].append(day)
    findings: list[Finding] = []
    for group in groups:
        within = bars["session"].between(pd.Timestamp(group[0]), pd.Timestamp(group[-1]))
        findings += _judge_together(workspace, bars[within], workspace.calendar.sessions(group[0], group[-1]))
    taken_for_right = decided(workspace)
    return [as_accepted(finding, taken_for_right) for finding in findings]


def named_bars(errors: Sequence[Finding], keys: Sequence[Key]) -> dict[Key, list[Finding]]:
    """The bars that errors name; all of them when the errors name none, since nothing may be stored then.

    A doubt about the level of a price is one about the later bars of the symbol too.
    """
    if not errors:
        return {}
    named = {key: [error for error in errors if _is_about(error, key)] for key in keys}
    return {key: of_bar for key, of_bar in named.items() if of_bar} or {key: list(errors) for key in keys}


def _is_about(error: Finding, key: Key) -> bool:
    symbol, session = key
    if error.symbol not in ("", symbol):
        return False
    if error.session is None or error.session == session:
        return True
    return error.rule in FROM_HERE_ON and error.session < session


def as_answer(bars: pd.DataFrame) -> Fetched:
    """Streamed bars as the store takes them: an answer without corporate actions."""
    by_symbol = {
        str(symbol): History(rows.set_index("session").drop(columns="symbol"), no_actions())
        for symbol, rows in bars.groupby("symbol")
    }
    return assemble(by_symbol, {})


def _foreign(workspace: Workspace, symbol: str, day: date, reached: date | None, at: datetime) -> str | None:
    """Why a bar cannot follow those up to `reached`, the newest of its symbol, and what to do."""
    universe, calendar = workspace.universe, workspace.calendar
    if symbol not in universe.instruments:
        return f"{symbol} is no instrument of {universe.name}: name it under symbols:, or leave it out of the stream"
    if not calendar.is_session(day):
        line = f"- {{session: {day}, rule: unknown_session, reason: ..., by: ...}}"
        return f"no session of {calendar.name}; if it was one, add under accept: `{line}`"
    if symbol not in universe.instruments_on(day):
        return f"it is no member of {universe.name} then: see its from:, to: and suspended:"
    if day > at.astimezone(ZoneInfo(calendar.timezone)).date():
        return f"it lies ahead of {at:%Y-%m-%d %H:%M %Z}: see the clock and the time zone of who sends it"
    first = "materialize raw_prices first"
    between = len(calendar.sessions(reached, day)) - 2 if reached else 0
    if between > OVERLAP_SESSIONS:
        return f"{between} sessions are missing after {reached}; the daily run would not fetch them any more: {first}"
    return None if reached else f"{symbol} has no history yet: {first}"


def _key(finding: Finding) -> Key:
    assert finding.session is not None
    return finding.symbol, finding.session


def _keys(bars: pd.DataFrame) -> list[Key]:
    return list(dict.fromkeys(zip(bars["symbol"].astype(str), bars["session"].dt.date, strict=True)))


def _without(bars: pd.DataFrame, refused: set[Key]) -> pd.DataFrame:
    keys = zip(bars["symbol"], bars["session"].dt.date, strict=True)
    return bars[[key not in refused for key in keys]].reset_index(drop=True)


def _judge_together(workspace: Workspace, bars: pd.DataFrame, sessions: tuple[date, ...]) -> list[Finding]:
    before = last_sessions(workspace, sessions[0], HISTORY_SESSIONS)[0]
    calendar, instruments = workspace.calendar, workspace.universe.instruments
    findings = check_bars(
        bars,
        instruments,
        sessions,
        supplied_fields(workspace),
        quality_settings(workspace.universe),
        history=workspace.universe.membership.of(
            workspace.market.bars(sessions[-1], before, sessions[0], calendar, instruments)
        ),
        actions=workspace.market.actions(sessions[-1], before, sessions[-1], calendar),
    )
    return [finding for finding in findings if finding.rule != "complete"]
