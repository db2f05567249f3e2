"""From a source's answer to stored bars: fetched with an overlap, validated, stored or held back as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.clock import clock
from regime_assets.library.market.decisions import corrected
from regime_assets.library.market.findings import found
from regime_assets.library.market.held_back import HeldBack
from regime_assets.library.market.price_basis import AskedWith, changed_currencies
from regime_assets.library.market.quality import (
    Finding,
    QualitySettings,
    check_bars,
    check_window,
    findings_frame,
)
from regime_assets.library.market.quarantine import Refusal
from regime_assets.library.market.settling import settling_time
from regime_assets.library.market.sources import create_source
from regime_assets.library.market.sources.base import Fetched, Source
from regime_assets.library.market.store import IngestReport
from regime_assets.library.market.ways_out import ways_out_frame, with_ways_out
from regime_assets.library.steps.asked_with import asked_with, refuse_another_basis
from regime_assets.library.steps.judged_answer import (
    Judged,
    as_accepted,
    held_back_findings,
    judge,
    without_known_exceptions,
)
from regime_assets.library.steps.last_prices import decided, with_last_prices
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

if TYPE_CHECKING:
    import duckdb

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
            "provisional_bars": self.workspace.settling.provisional().get(session, 0),
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
    with workspace.database.at_once():
        before = workspace.price_basis.newest()
        wanted = requests(workspace, sessions[0], sessions[-1])
    refuse_another_basis(workspace, source, before)
    currencies = dict(before.currencies) if before else dict[str, str]()
    now = asked_with(workspace, source, currencies)
    changes = now.changes_since(before) if before else []
    calendar_warning = workspace.calendar.warning(clock.today())
    if calendar_warning:
        changes = [*changes, calendar_warning]
    for change in changes:
        log(f"{workspace.universe.name}: changed since the last run: {change}")
    total, warnings, refused = IngestReport(0, 0, 0, 0), list[Finding](), list[RejectedDataError]()
    count, asked = sum(len(request.symbols) for request in wanted), 0
    for request in wanted:
        asked += len(request.symbols)
        progress = f"{source.name}: {asked} of {count} symbols"
        log(f"{progress}, {request.first} to {request.last}: fetching {', '.join(request.symbols)}")
        fetched_at = clock.now()
        fetched = source.fetch(request.symbols, request.since, request.last)
        try:
            judged = _validated(workspace, source, fetched, request, currencies, fetched_at)
        except RejectedDataError as rejected:
            log(f"{progress}: refused")
            refused.append(rejected)
            continue
        warnings += judged.warnings
        currencies |= fetched.currencies
        asks = asked_with(workspace, source, currencies)
        with workspace.database.held():
            report = store_accepted(workspace, judged.fetched, source.name, fetched_at, asks, judged.held)
            with workspace.database.transaction() as connection:
                settling = settling_time(source)
                workspace.settling.note(connection, judged.fetched.bars, fetched_at, workspace.calendar, settling)
        total = IngestReport(*(a + b for a, b in zip(total, report, strict=True)))
        counts = f"{report.new_bars} new and {report.revised_bars} revised bars, {len(judged.warnings)} warnings"
        log(f"{progress}: stored {counts}")
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
    answers, held, fetched_at = list[Fetched](), list[HeldBack](), clock.now()
    for request in first_requests(workspace, last):
        log(f"{source.name}: {request.first} to {request.last}: fetching {', '.join(request.symbols)}")
        fetched = source.fetch(request.symbols, request.since, request.last)
        fetched = without_known_exceptions(fetched, workspace.universe)
        fetched, last_prices = with_last_prices(workspace, fetched, request)
        judged = _judge(workspace, source, fetched, request, None, last_prices, fetched_at)
        answers.append(judged.fetched)
        held += judged.held
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
        workspace.held_back.record(connection, held, fetched_at, workspace.calendar)
        workspace.price_basis.append(connection, asked_with(workspace, source, whole.currencies), fetched_at)
    return report


def store_accepted(
    workspace: Workspace,
    fetched: Fetched,
    source: str,
    fetched_at: datetime,
    asked: AskedWith | None = None,
    held: Sequence[HeldBack] = (),
) -> IngestReport:
    """Store what of an answer may be, what it was asked for with, and what was refused before and is accepted with it.

    Args:
        workspace: the universe.
        fetched: the bars and actions to store.
        source: who answered.
        fetched_at: when it was received.
        asked: what it was asked for with.
        held: what is held back of it.
    """
    answered = workspace.held_back.all()
    with workspace.database.transaction() as connection:
        report = store_in(connection, workspace, fetched, source, fetched_at, answered)
        workspace.held_back.record(connection, held, fetched_at, workspace.calendar)
        if asked is not None and asked != workspace.price_basis.newest_in(connection):
            workspace.price_basis.append(connection, asked, fetched_at)
    return report


def store_in(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    fetched: Fetched,
    source: str,
    fetched_at: datetime,
    answered: Sequence[HeldBack],
) -> IngestReport:
    """Store bars and actions inside the caller's transaction; what was refused before is accepted with them.

    Args:
        connection: inside a transaction.
        workspace: the universe.
        fetched: the bars and actions to store.
        source: who answered.
        fetched_at: when it was received.
        answered: sessions that answers were given without: their bars are known from `fetched_at` on.
    """
    report = workspace.market.append(connection, fetched, source, fetched_at, workspace.calendar, answered)
    for one in workspace.decisions.standing_in(connection):
        if one.kind == "correct":
            workspace.market.keep_refused(connection, one.symbol, one.session, one.refused, source, one.told)
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
    membership = workspace.membership(session)
    bars = membership.of(stored)
    recent = bars["session"] >= pd.Timestamp(sessions[0])
    findings = check_bars(
        bars[recent],
        instruments,
        sessions,
        source.fields,
        quality_settings(workspace.universe),
        history=bars[~recent],
        actions=workspace.market.actions(session, before[0], session, workspace.calendar),
        membership=membership,
    )
    taken_for_right = decided(workspace)
    findings = [as_accepted(finding, taken_for_right) for finding in findings]
    findings += judge_revisions(workspace, session)
    findings += held_back_findings(workspace, sessions)
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
            window, quality_settings(workspace.universe), sessions, workspace.membership(session), moves_since=newest
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
) -> Judged:
    """What of an answer may be stored, and its warnings.

    A history that the vendor has rescaled is brought back to the prices as traded, when it is known why.
    """
    fetched = corrected(fetched, workspace.decisions.standing(), request.first, request.last)
    fetched = without_known_exceptions(fetched, workspace.universe)
    fetched, last_prices = with_last_prices(workspace, fetched, request)
    adjusted = source.basis == "adjusted by the vendor"
    fetched, rescaled = undo_rescaling(workspace, fetched, request, adjusted=adjusted)
    rescaled += last_prices
    rescaled += changed_currencies(currencies, fetched.currencies, request.last)
    fetched = fetched.since(request.first)
    sessions = workspace.calendar.sessions(request.first, request.last)
    history_first = last_sessions(workspace, sessions[0], HISTORY_SESSIONS)[0]
    before = workspace.market.bars(request.last, history_first, sessions[0], workspace.calendar, request.symbols)
    stored = workspace.universe.membership.of(before)
    judged = _judge(workspace, source, fetched, request, stored, rescaled, fetched_at)
    revised = revised_in_answer(workspace, judged.fetched, request.symbols, sessions, fetched_at)
    return replace(judged, warnings=judged.warnings + revised)


def _judge(
    workspace: Workspace,
    source: Source,
    fetched: Fetched,
    request: Request,
    stored: pd.DataFrame | None,
    others: Sequence[Finding],
    fetched_at: datetime,
) -> Judged:
    """What of an answer may be stored; what is held back or refused is put into quarantine.

    Args:
        workspace: the universe.
        source: who answered.
        fetched: the answer.
        request: what was asked for.
        stored: stored bars before the request.
        others: what was found already.
        fetched_at: when it was received.

    Raises:
        RejectedDataError: something in it blocks; answer and findings are in quarantine.
    """
    universe = workspace.universe
    sessions = workspace.calendar.sessions(request.first, request.last)
    findings = check_bars(
        fetched.bars,
        [symbol for symbol in request.symbols if symbol not in fetched.failures],
        sessions,
        source.fields,
        quality_settings(universe),
        history=stored,
        actions=fetched.actions,
        membership=universe.membership,
    )
    failures = _unanswered(workspace, source, fetched, sessions)
    judged = judge(workspace, fetched, request, [*failures, *others, *findings])
    if judged.errors:
        frame = findings_frame(judged.errors)
        workspace.quarantine.refuse(Refusal(source.name, request.last, frame, fetched.bars), fetched_at)
        shown = with_ways_out(judged.errors[:10], universe)
        more = f"\nand {len(judged.errors) - 10} more" if len(judged.errors) > 10 else ""
        raise RejectedDataError(
            f"{universe.name}: data up to {request.last} from {source.name} was refused, nothing of it was "
            f"stored:\n{shown}{more}",
            ways_out_frame(judged.errors, universe),
        )
    if judged.refused:
        refusal = Refusal(source.name, request.last, findings_frame(judged.refused), fetched.bars)
        workspace.quarantine.refuse(refusal, fetched_at)
    return judged


def _unanswered(workspace: Workspace, source: Source, fetched: Fetched, sessions: Sequence[date]) -> list[Finding]:
    """Symbols without an answer: unknown ones, and known ones that lack the sessions that were asked for."""
    newest, findings = workspace.market.newest_sessions(), list[Finding]()
    for symbol, reason in fetched.failures.items():
        if symbol not in newest:
            bound = "a symbol that the source knows and can read"
            findings.append(
                found("known_symbol", "error", symbol, sessions[-1], bound=bound, detail=f"{source.name}: {reason}")
            )
            continue
        stored = workspace.market.stored_sessions(symbol)
        for session in (day for day in sessions if day not in stored):
            detail = f"{source.name}: {reason}"
            findings.append(found("complete", "error", symbol, session, bound="a bar on each session", detail=detail))
    return findings


def _as_outcomes(findings: Sequence[Finding], rules: Sequence[str]) -> tuple[RuleOutcome, ...]:
    outcomes: list[RuleOutcome] = []
    for rule in rules:
        found = [finding for finding in findings if finding.rule == rule]
        detail = "; ".join(finding.message for finding in found[:5])
        is_blocking = any(finding.severity == "error" for finding in found)
        outcomes.append(RuleOutcome(rule, float(len(found)), "0 findings", not found, is_blocking, detail))
    return tuple(outcomes)
