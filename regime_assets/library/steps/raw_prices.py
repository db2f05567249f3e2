"""From a source's answer to stored bars: fetched with an overlap, validated, stored or held back as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.clock import clock
from regime_assets.library.market.price_basis import AskedWith, changed_currencies
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
from regime_assets.library.steps.asked_with import asked_with, refuse_another_basis
from regime_assets.library.steps.requested_bars import (
    OVERLAP_SESSIONS,
    Request,
    first_requests,
    last_sessions,
    requests,
)
from regime_assets.library.steps.rescaled_history import undo_rescaling
from regime_assets.library.steps.revised_bars import judge_revisions, revised_in_answer
from regime_assets.library.universe import Horizon, Universe
from regime_assets.library.workspace import Workspace

HISTORY_SESSIONS = 80
COVERAGE_SESSIONS = 60

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
    changes: tuple[str, ...] = ()

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
    before = workspace.price_basis.newest()
    refuse_another_basis(workspace, source, before)
    currencies = dict(before.currencies) if before else dict[str, str]()
    now = asked_with(workspace, source, currencies)
    changes = now.changes_since(before) if before else []
    for change in changes:
        log(f"{workspace.universe.name}: changed since the last run: {change}")
    total, warnings, refused = IngestReport(0, 0, 0, 0), list[Finding](), list[RejectedDataError]()
    wanted = requests(workspace, sessions[0], sessions[-1])
    count, asked = sum(len(request.symbols) for request in wanted), 0
    for request in wanted:
        asked += len(request.symbols)
        progress = f"{source.name}: {asked} of {count} symbols"
        log(f"{progress}, {request.first} to {request.last}: fetching {', '.join(request.symbols)}")
        fetched_at = clock.now()
        fetched = source.fetch(request.symbols, request.since, request.last)
        try:
            fetched, found = _validated(workspace, source, fetched, request, currencies, fetched_at)
        except RejectedDataError as rejected:
            log(f"{progress}: refused")
            refused.append(rejected)
            continue
        warnings += found
        currencies |= fetched.currencies
        report = store_accepted(workspace, fetched, source.name, fetched_at, asked_with(workspace, source, currencies))
        total = IngestReport(*(a + b for a, b in zip(total, report, strict=True)))
        log(f"{progress}: stored {report.new_bars} new and {report.revised_bars} revised bars, {len(found)} warnings")
    if refused:
        findings = pd.concat([rejected.findings for rejected in refused], ignore_index=True)
        raise RejectedDataError("\n".join(map(str, refused)), findings)
    return Ingested(workspace, tuple(sessions), total, findings_frame(warnings), tuple(changes))


def reload_history(workspace: Workspace, last: date, log: Log) -> IngestReport:
    """Load the whole history up to `last` anew from the universe's source, and put it in the place of the stored one.

    All of it is fetched and judged before anything is stored, in one transaction. Answers as of earlier sessions stay
    what they were: the new history is known from now on.

    Raises:
        RejectedDataError: an answer broke a blocking rule; nothing was stored.
    """
    source = create_source(workspace.universe.source.kind, workspace.universe.source.options)
    answers, fetched_at = list[Fetched](), clock.now()
    for request in first_requests(workspace, last):
        log(f"{source.name}: {request.first} to {request.last}: fetching {', '.join(request.symbols)}")
        fetched = source.fetch(request.symbols, request.since, request.last)
        _judge(workspace, source, fetched, request, None, [], fetched_at)
        answers.append(fetched)
    whole = Fetched(
        pd.concat([one.bars for one in answers], ignore_index=True),
        pd.concat([one.actions for one in answers], ignore_index=True),
        {},
        {symbol: unit for one in answers for symbol, unit in one.currencies.items()},
    )
    with workspace.database.transaction() as connection:
        report = workspace.market.replace_history(
            connection, whole, source.name, fetched_at, workspace.calendar, f"history loaded anew from {source.name}"
        )
        workspace.quarantine.accept(connection, whole.bars, source.name, fetched_at)
        workspace.price_basis.append(connection, asked_with(workspace, source, whole.currencies), fetched_at)
    return report


def store_accepted(
    workspace: Workspace, fetched: Fetched, source: str, fetched_at: datetime, asked: AskedWith | None = None
) -> IngestReport:
    """Store a validated answer, what it was asked for with, and what was refused before and is accepted with it."""
    with workspace.database.transaction() as connection:
        report = workspace.market.append(connection, fetched, source, fetched_at, workspace.calendar)
        workspace.quarantine.accept(connection, fetched.bars, source, fetched_at)
        if asked is not None and asked != workspace.price_basis.newest_in(connection):
            workspace.price_basis.append(connection, asked, fetched_at)
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


def _validated(
    workspace: Workspace,
    source: Source,
    fetched: Fetched,
    request: Request,
    currencies: Mapping[str, str],
    fetched_at: datetime,
) -> tuple[Fetched, list[Finding]]:
    """What of an answer may be stored, and its warnings.

    A history that the vendor has rescaled is brought back to the prices as traded, when it is known why.
    """
    adjusted = source.basis == "adjusted by the vendor"
    fetched, rescaled = undo_rescaling(workspace, fetched, request, adjusted=adjusted)
    rescaled += changed_currencies(currencies, fetched.currencies, request.last)
    fetched = fetched.since(request.first)
    sessions = workspace.calendar.sessions(request.first, request.last)
    history_first = last_sessions(workspace, sessions[0], HISTORY_SESSIONS)[0]
    before = workspace.market.bars(request.last, history_first, sessions[0], workspace.calendar, request.symbols)
    stored = workspace.universe.membership.of(before)
    warnings = _judge(workspace, source, fetched, request, stored, rescaled, fetched_at)
    return fetched, warnings + revised_in_answer(workspace, fetched, request.symbols, sessions, fetched_at)


def _judge(
    workspace: Workspace,
    source: Source,
    fetched: Fetched,
    request: Request,
    stored: pd.DataFrame | None,
    others: Sequence[Finding],
    fetched_at: datetime,
) -> list[Finding]:
    """The warnings of an answer that may be stored, `others` included.

    Args:
        workspace: the universe.
        source: who answered.
        fetched: the answer.
        request: what was asked for.
        stored: stored bars before the request.
        others: what was found already.
        fetched_at: when it was received.

    Raises:
        RejectedDataError: there is an error among them; answer and findings are in quarantine.
    """
    sessions = workspace.calendar.sessions(request.first, request.last)
    findings = check_bars(
        fetched.bars,
        [symbol for symbol in request.symbols if symbol not in fetched.failures],
        sessions,
        source.fields,
        quality_settings(workspace.universe),
        history=stored,
        actions=fetched.actions,
    )
    failures = [
        Finding(
            "complete",
            "error",
            symbol,
            request.last,
            "close",
            None,
            "a bar a session",
            f"{symbol}: {source.name}: {reason}",
        )
        for symbol, reason in fetched.failures.items()
    ]
    errors = failures + blocking([*others, *findings])
    if errors:
        frame = findings_frame(errors)
        workspace.quarantine.refuse(Refusal(source.name, request.last, frame, fetched.bars), fetched_at)
        shown = "; ".join(error.message for error in errors[:10])
        more = f"; and {len(errors) - 10} more" if len(errors) > 10 else ""
        raise RejectedDataError(
            f"{workspace.universe.name}: data up to {request.last} from {source.name} was refused, nothing of it was "
            f"stored: {shown}{more}",
            frame,
        )
    return [finding for finding in [*others, *findings] if finding.severity == "warn"]


def _as_outcomes(findings: Sequence[Finding], rules: Sequence[str]) -> tuple[RuleOutcome, ...]:
    outcomes: list[RuleOutcome] = []
    for rule in rules:
        found = [finding for finding in findings if finding.rule == rule]
        detail = "; ".join(finding.message for finding in found[:5])
        is_blocking = any(finding.severity == "error" for finding in found)
        outcomes.append(RuleOutcome(rule, float(len(found)), "0 findings", not found, is_blocking, detail))
    return tuple(outcomes)
