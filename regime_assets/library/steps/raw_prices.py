"""From a source's answer to stored bars: fetched with an overlap, validated, stored or held back as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.clock import clock
from regime_assets.library.market.quality import (
    Finding,
    QualitySettings,
    blocking,
    check_bars,
    check_window,
    findings_frame,
)
from regime_assets.library.market.quarantine import Refusal
from regime_assets.library.market.sources import create_source
from regime_assets.library.market.sources.base import Fetched, Source
from regime_assets.library.market.store import IngestReport
from regime_assets.library.steps.revised_bars import judge_revisions, revised_in_answer
from regime_assets.library.universe import Horizon, Universe
from regime_assets.library.workspace import Workspace

OVERLAP_SESSIONS = 5
HISTORY_SESSIONS = 80
COVERAGE_SESSIONS = 60

SYMBOLS_AT_ONCE = 25
"""Symbols that a first load fetches, judges and stores together; between two parts it says how far it is."""

Log = Callable[[str], None]


class RejectedDataError(Exception):
    """A source's answer broke a blocking rule; nothing of it was stored."""

    def __init__(self, message: str, findings: pd.DataFrame) -> None:
        super().__init__(message)
        self.findings = findings


@dataclass(frozen=True)
class Coverage:
    """What is stored for one session: figures, warnings, and which symbols have a bar on the newest sessions."""

    figures: dict[str, float]
    warnings: pd.DataFrame
    present: pd.DataFrame


@dataclass(frozen=True)
class Ingested:
    """The outcome of one ingestion over one or more sessions."""

    workspace: Workspace
    sessions: tuple[date, ...]
    report: IngestReport
    warnings: pd.DataFrame

    def coverage(self, session: date) -> Coverage:
        """What is stored as of one session."""
        universe, calendar = self.workspace.universe, self.workspace.calendar
        sessions = last_sessions(self.workspace, session, COVERAGE_SESSIONS)
        instruments = universe.instruments_on(session)
        bars = self.workspace.market.bars(session, sessions[0], session, calendar, instruments)
        index = pd.DatetimeIndex(pd.to_datetime(list(sessions)), name="session")
        closes = bars.pivot(index="session", columns="symbol", values="close")
        present = closes.reindex(index=index, columns=list(instruments)).notna()
        days, shown = pd.to_datetime(self.warnings["session"]), pd.Timestamp(session)
        # What the overlap brought of sessions before the run belongs to the run's last session.
        overlap = (days < pd.Timestamp(self.sessions[0])) & (session == self.sessions[-1])
        warned = self.warnings[(days == shown) | overlap]
        figures = {
            "symbols_with_a_bar": int(present.iloc[-1].sum()),
            "new_bars": self.report.new_bars,
            "revised_bars": self.report.revised_bars,
            "new_actions": self.report.new_actions,
            "warning_count": len(warned),
        }
        return Coverage({name: float(value) for name, value in figures.items()}, warned, present)


def ingest(workspace: Workspace, sessions: Sequence[date], log: Log) -> Ingested:
    """Fetch, validate and store the bars of `sessions` (ascending), with what is missing before them.

    A symbol that has no bar yet is loaded from where it joined, or from the history's start; the others from a few
    sessions before the first of `sessions`, or from where their bars end if that is earlier. One that has left is asked
    for until its bars are there.

    Symbols are loaded for the first time in parts: each is validated and stored on its own, so that a load of years
    that breaks off, or a part that is refused, costs the others nothing, and the next run goes on there.

    Raises:
        RejectedDataError: a symbol failed at the source, or an answer broke a blocking rule. Nothing of that answer is
            stored; findings and bars are kept in quarantine.
        SourceError: the source as a whole failed; the parts before it are stored.
    """
    source = create_source(workspace.universe.source.kind, workspace.universe.source.options)
    total, warnings, refused = IngestReport(0, 0, 0, 0), list[Finding](), list[RejectedDataError]()
    wanted = _wanted(workspace, sessions[0], sessions[-1])
    count, asked = sum(len(symbols) for symbols, _, _ in wanted), 0
    for symbols, first, last in wanted:
        asked += len(symbols)
        log(f"{source.name}: {asked} of {count} symbols, {first} to {last}: fetching {', '.join(symbols)}")
        fetched_at = clock.now()
        fetched = source.fetch(symbols, first, last)
        try:
            found = _validated(workspace, source, fetched, symbols, first, last, fetched_at)
        except RejectedDataError as rejected:
            log(f"{source.name}: {asked} of {count} symbols: refused")
            refused.append(rejected)
            continue
        warnings += found
        report = store_accepted(workspace, fetched, source.name, fetched_at)
        total = IngestReport(*(a + b for a, b in zip(total, report, strict=True)))
        log(
            f"{source.name}: {asked} of {count} symbols: stored {report.new_bars} new and {report.revised_bars} "
            f"revised bars, {len(found)} warnings"
        )
    if refused:
        findings = pd.concat([rejected.findings for rejected in refused], ignore_index=True)
        raise RejectedDataError("\n".join(map(str, refused)), findings)
    return Ingested(workspace, tuple(sessions), total, findings_frame(warnings))


def store_accepted(workspace: Workspace, fetched: Fetched, source: str, fetched_at: datetime) -> IngestReport:
    """Store a validated answer, and note of what was refused before that it was accepted; one transaction."""
    with workspace.database.transaction() as connection:
        report = workspace.market.append(connection, fetched, source, fetched_at, workspace.calendar)
        workspace.quarantine.accept(connection, fetched.bars, source, fetched_at)
    return report


def known_actions(workspace: Workspace, session: date) -> pd.DataFrame:
    """Splits and dividends going ex within the short window up to `session`, as known as of it.

    Returns:
        Columns symbol, ex_session (ISO text), kind and value; ordered by ex session.
    """
    first = session - timedelta(days=workspace.universe.windows.short_calendar_days)
    actions = workspace.market.actions(session, first, session, workspace.calendar)
    actions["ex_session"] = actions["ex_session"].dt.strftime("%Y-%m-%d")
    return actions


def judge_stored_bars(workspace: Workspace, session: date, rules: Sequence[str]) -> tuple[RuleOutcome, ...]:
    """The rules for bars, over the newest sessions as they are stored."""
    source = create_source(workspace.universe.source.kind, workspace.universe.source.options)
    sessions = last_sessions(workspace, session, OVERLAP_SESSIONS)
    before = last_sessions(workspace, session, HISTORY_SESSIONS)
    instruments = workspace.universe.instruments_on(session)
    stored = workspace.market.bars(session, before[0], session, workspace.calendar, instruments)
    bars = workspace.universe.membership.of(stored)
    recent = bars["session"] >= pd.Timestamp(sessions[0])
    findings = check_bars(
        bars[recent],
        instruments,
        sessions,
        source.fields,
        quality_settings(workspace.universe),
        history=bars[~recent],
        actions=workspace.market.actions(session, before[0], session, workspace.calendar),
        membership=workspace.universe.membership,
    )
    findings += judge_revisions(workspace, session)
    return _as_outcomes(findings, rules)


def judge_window(
    workspace: Workspace, horizon: Horizon, session: date, rules: Sequence[str]
) -> tuple[RuleOutcome, ...]:
    """The rules for windows, over the window as it reads today; warnings about old sessions were given before."""
    window = workspace.read_window(horizon, session)
    first = window.prices.index[0].date()
    sessions = workspace.calendar.sessions(first, session)
    newest = sessions[-OVERLAP_SESSIONS]
    findings = [
        finding
        for finding in check_window(
            window, quality_settings(workspace.universe), sessions, workspace.universe.membership
        )
        if finding.severity == "error" or finding.session is None or finding.session >= newest
    ]
    return _as_outcomes(findings, rules)


def quality_settings(universe: Universe) -> QualitySettings:
    """The thresholds, with those that the universe sets."""
    return QualitySettings(outlier_mad=universe.quality.outlier_mads, outlier_floor=universe.quality.outlier_minimum)


def last_sessions(workspace: Workspace, last: date, count: int) -> tuple[date, ...]:
    """The `count` sessions that end with `last`, or fewer where the history starts."""
    return workspace.calendar.sessions(workspace.universe.history_start, last)[-count:]


def _wanted(workspace: Workspace, first: date, last: date) -> list[tuple[tuple[str, ...], date, date]]:
    """What to fetch for the sessions [first, last]: symbols that belong together, and from which session to which.

    No session is asked for on which a symbol is no member. One that left before `first` is still read by windows that
    reach back to it, so it is asked for as long as its newest bar is missing.
    """
    universe, stored = workspace.universe, workspace.market.newest_sessions()
    by_span: dict[tuple[date, date], list[str]] = {}
    for symbol in universe.instruments:
        joins, leaves = universe.membership.span(symbol)
        sessions = workspace.calendar.sessions(max(joins, universe.history_start), min(leaves, last))
        if sessions:
            by_span.setdefault((sessions[0], sessions[-1]), []).append(symbol)
    groups: list[tuple[tuple[str, ...], date, date]] = []
    for (begin, end), symbols in sorted(by_span.items(), key=lambda item: item[0][1], reverse=True):
        newest = {symbol: stored[symbol] for symbol in symbols if symbol in stored and stored[symbol] >= begin}
        unknown = tuple(symbol for symbol in symbols if symbol not in newest)
        groups += [(part, begin, end) for part in _parts(unknown)]
        known = tuple(symbol for symbol in newest if end >= first or newest[symbol] < end)
        if known:
            start = min(*(newest[symbol] for symbol in known), first)
            groups.append((known, max(begin, last_sessions(workspace, start, OVERLAP_SESSIONS + 1)[0]), end))
    return groups


def _parts(symbols: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Parts of at most `SYMBOLS_AT_ONCE`, of equal size: a symbol alone could not be judged against others."""
    count = -(-len(symbols) // SYMBOLS_AT_ONCE)
    return [symbols[len(symbols) * n // count : len(symbols) * (n + 1) // count] for n in range(count)]


def _validated(
    workspace: Workspace,
    source: Source,
    fetched: Fetched,
    symbols: Sequence[str],
    first: date,
    last: date,
    fetched_at: datetime,
) -> list[Finding]:
    """The warnings of an answer that may be stored."""
    sessions = workspace.calendar.sessions(first, last)
    history_first = last_sessions(workspace, sessions[0], HISTORY_SESSIONS)[0]
    stored = workspace.market.bars(last, history_first, sessions[0], workspace.calendar, symbols)
    history = workspace.universe.membership.of(stored)
    findings = check_bars(
        fetched.bars,
        [symbol for symbol in symbols if symbol not in fetched.failures],
        sessions,
        source.fields,
        quality_settings(workspace.universe),
        history=history,
        actions=fetched.actions,
    )
    failures = [
        Finding(
            "complete", "error", symbol, last, "close", None, "a bar a session", f"{symbol}: {source.name}: {reason}"
        )
        for symbol, reason in fetched.failures.items()
    ]
    errors = failures + blocking(findings)
    if errors:
        frame = findings_frame(errors)
        workspace.quarantine.refuse(Refusal(source.name, last, frame, fetched.bars), fetched_at)
        shown = "; ".join(error.message for error in errors[:10])
        more = f"; and {len(errors) - 10} more" if len(errors) > 10 else ""
        raise RejectedDataError(
            f"{workspace.universe.name}: data up to {last} from {source.name} was refused, nothing of it was stored: "
            f"{shown}{more}",
            frame,
        )
    warnings = [finding for finding in findings if finding.severity == "warn"]
    return warnings + revised_in_answer(workspace, fetched, symbols, sessions, fetched_at)


def _as_outcomes(findings: Sequence[Finding], rules: Sequence[str]) -> tuple[RuleOutcome, ...]:
    outcomes: list[RuleOutcome] = []
    for rule in rules:
        found = [finding for finding in findings if finding.rule == rule]
        detail = "; ".join(finding.message for finding in found[:5])
        is_blocking = any(finding.severity == "error" for finding in found)
        outcomes.append(RuleOutcome(rule, float(len(found)), "0 findings", not found, is_blocking, detail))
    return tuple(outcomes)
