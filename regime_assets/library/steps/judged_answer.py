"""What of a source's answer is stored: the symbol and the field that decide are refused, the rest goes on.

A watched symbol whose bar is missing or wrong is held back for that session, up to the share that the universe allows.
A traded symbol blocks, and so does what concerns all. What somebody has accepted or corrected is stored as decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import pandas as pd

from regime_assets.library.market.calendar_rules import disagreements, holiday_copies
from regime_assets.library.market.decisions import Decision
from regime_assets.library.market.findings import FROM_HERE_ON, WHOLE_ANSWER, Finding, found
from regime_assets.library.market.held_back import HeldBack
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.steps.last_prices import decided
from regime_assets.library.steps.requested_bars import Request
from regime_assets.library.universe import Universe
from regime_assets.library.universe.exceptions import Accepted
from regime_assets.library.workspace import Workspace

UNKNOWN = "known_symbol"
"""A symbol that never had a bar is a mistake in the file, and nothing that a session could wait for."""

LONGEST_DOUBT_SESSIONS = 20
"""A doubt about more sessions than these is one of history, and is settled before the symbol is used."""

LONGEST_GAP_SESSIONS = 20
"""After more sessions than these without a bar it is asked whether the ticker still is the same listing."""


@dataclass(frozen=True)
class Judged:
    """What of an answer may be stored.

    Attributes:
        fetched: the answer without what is held back.
        errors: what blocks all of it.
        warnings: what asks for a look, what was held back and what was accepted among it.
        held: what windows go without.
        refused: the findings that hold something back.
    """

    fetched: Fetched
    errors: list[Finding]
    warnings: list[Finding]
    held: list[HeldBack]
    refused: list[Finding]


def without_known_exceptions(fetched: Fetched, universe: Universe) -> Fetched:
    """The answer without bars of days that are accepted as closed, and of symbols that are no members then."""
    closed = fetched.bars["session"].isin(pd.to_datetime(list(universe.closed)))
    return replace(fetched, bars=universe.membership.of(fetched.bars[~closed]).reset_index(drop=True))


def judge(workspace: Workspace, fetched: Fetched, request: Request, findings: Sequence[Finding]) -> Judged:
    """Sort the findings of an answer into what blocks, what is held back and what only asks for a look.

    Args:
        workspace: the universe.
        fetched: the answer.
        request: what was asked for.
        findings: everything that was found in it.
    """
    universe = workspace.universe
    sessions = workspace.calendar.sessions(request.first, request.last)
    copied = holiday_copies(fetched.bars, sessions)
    shared = disagreements(
        findings, request.symbols, sessions, universe.membership, of=len(universe.instruments), copied=copied
    )
    taken_for_right = decided(workspace)
    answered = [as_accepted(finding, taken_for_right) for finding in shared]
    warnings = [finding for finding in answered if finding.severity == "warn"]
    errors = [finding for finding in answered if finding.severity == "error"]
    off = [finding for finding in errors if finding.rule == "complete" and finding.session not in set(sessions)]
    warnings += [replace(finding, severity="warn") for finding in off]
    errors = [finding for finding in errors if finding not in off]
    can_wait = [f for f in errors if f.symbol in universe.symbols and f.rule != UNKNOWN]
    watched = [f for f in can_wait if f.symbol not in universe.held]
    held = [one for symbol in sorted({f.symbol for f in watched}) for one in _held(symbol, watched, request, sessions)]
    refused = [f for f in watched if any(one.symbol == f.symbol for one in held)]
    asked = _asked_about(held, fetched, sessions)
    errors = [finding for finding in errors if finding not in refused] + asked
    new = _new(workspace, held, request.last)
    errors += _too_many(workspace, held, new, sessions)
    stored = _kept(fetched, held, sessions)
    warnings += [_told(one) for one in new]
    return Judged(stored, errors, warnings, new, [f for f in refused if any(_is_about(f, one) for one in new)])


def as_accepted(finding: Finding, decisions: Sequence[Accepted | Decision]) -> Finding:
    """The finding, as a warning that names the decision where somebody has accepted it."""
    for decision in decisions:
        if finding.severity == "error" and decision.covers(finding.rule, finding.symbol, finding.session):
            return replace(finding, severity="warn", message=f"{finding.message}; accepted: {decision.told}")
    return finding


def held_back_findings(workspace: Workspace, sessions: Sequence[date]) -> list[Finding]:
    """A warning for each stretch within `sessions`, ascending, that the last of them goes without."""
    absences = workspace.held_back.absences(sessions[-1], workspace.market, workspace.calendar)
    return [_told(one) for one in absences if one.last >= sessions[0]]


def _held(symbol: str, findings: Sequence[Finding], request: Request, sessions: Sequence[date]) -> list[HeldBack]:
    """The stretches of sessions on which `symbol` is held back; none when a doubt is too long to leave it open."""
    days: dict[date, Finding] = {}
    doubted = 0
    for finding in (f for f in findings if f.symbol == symbol):
        if finding.rule in WHOLE_ANSWER:
            doubted = max(doubted, len(sessions))
            days |= dict.fromkeys(sessions, finding)
        elif finding.rule in FROM_HERE_ON or finding.field in ("split", "dividend"):
            later = [day for day in sessions if finding.session is None or day >= finding.session]
            doubted = max(doubted, len(later))
            days |= {day: days.get(day, finding) for day in later}
        else:
            days.setdefault(finding.session or request.last, finding)
    if doubted > LONGEST_DOUBT_SESSIONS:
        return []
    stretches: list[HeldBack] = []
    position = {day: number for number, day in enumerate(sessions)}
    for day in sorted(days):
        finding = days[day]
        last = stretches[-1] if stretches else None
        if last and last.rule == finding.rule and position.get(day, -9) == position.get(last.last, -9) + 1:
            stretches[-1] = last._replace(last=day)
        else:
            stretches.append(HeldBack(symbol, day, day, finding.rule, finding.message))
    return stretches


def _asked_about(held: Sequence[HeldBack], fetched: Fetched, sessions: Sequence[date]) -> list[Finding]:
    """Rule `one_listing`: bars on both sides of a long gap may be two companies under one ticker."""
    asked: list[Finding] = []
    for one in held:
        gap = [day for day in sessions if one.first <= day <= one.last]
        own = fetched.bars[fetched.bars["symbol"] == one.symbol]["session"]
        before, after = own[own < pd.Timestamp(one.first)], own[own > pd.Timestamp(one.last)]
        if one.rule == "complete" and len(gap) > LONGEST_GAP_SESSIONS and len(before) and len(after):
            resumed = after.min().date()
            detail = f"no bar from {one.first} to {one.last}, {len(gap)} sessions: is it the same company behind them?"
            asked.append(
                found("one_listing", "error", one.symbol, resumed, bound="one company under a ticker", detail=detail)
            )
    return asked


def _new(workspace: Workspace, held: Sequence[HeldBack], last: date) -> list[HeldBack]:
    """What is not held back already."""
    known = workspace.held_back.absences(last, workspace.market, workspace.calendar)
    new: list[HeldBack] = []
    for one in held:
        for session in workspace.calendar.sessions(one.first, one.last):
            if any(k.symbol == one.symbol and k.first <= session <= k.last for k in known):
                continue
            follows = new and new[-1].symbol == one.symbol and new[-1].rule == one.rule
            if follows and workspace.calendar.next(new[-1].last) == session:
                new[-1] = new[-1]._replace(last=session)
            else:
                new.append(one._replace(first=session, last=session))
    return new


def _too_many(
    workspace: Workspace, held: Sequence[HeldBack], new: Sequence[HeldBack], sessions: Sequence[date]
) -> list[Finding]:
    """Rule `held_back`: no more than a share of the watched symbols is missing in the cross-section of a session.

    A symbol whose history begins later is no exception of single sessions, and does not count.
    """
    universe = workspace.universe
    known = workspace.held_back.absences(sessions[-1], workspace.market, workspace.calendar)
    begin = workspace.calendar.sessions(universe.history_start, sessions[-1])[0]
    late = {one.symbol for one in [*known, *held] if one.first <= begin}
    findings: list[Finding] = []
    for session in sorted({day for one in new for day in workspace.calendar.sessions(one.first, one.last)}):
        members = [symbol for symbol in universe.members(session) if symbol not in late]
        absent = {one.symbol for one in [*known, *held] if one.first <= session <= one.last} & set(members)
        allowed = max(1, int(universe.quality.held_back_share * len(members)))
        if len(absent) > allowed:
            detail = f"{', '.join(sorted(absent))} cannot be used"
            bound = f"at most {allowed} of {len(members)} watched symbols held back"
            findings.append(
                found("held_back", "error", "", session, value=float(len(absent)), bound=bound, detail=detail)
            )
    return findings


def _kept(fetched: Fetched, held: Sequence[HeldBack], sessions: Sequence[date]) -> Fetched:
    bars, actions = fetched.bars, fetched.actions
    on_session = bars["session"].isin(pd.to_datetime(list(sessions)))
    bars = bars[on_session].drop_duplicates()
    for one in held:
        first, last = pd.Timestamp(one.first), pd.Timestamp(one.last)
        bars = bars[(bars["symbol"] != one.symbol) | (bars["session"] < first) | (bars["session"] > last)]
        if one.rule in (*FROM_HERE_ON, *WHOLE_ANSWER, "positive"):
            beyond = (actions["ex_session"] < first) | (actions["ex_session"] > last)
            actions = actions[(actions["symbol"] != one.symbol) | beyond]
    return replace(fetched, bars=bars.reset_index(drop=True), actions=actions.reset_index(drop=True))


def _told(one: HeldBack) -> Finding:
    until = "" if one.first == one.last else f" to {one.last}"
    detail = f"held back{until}, the cross-section goes without it: {one.reason}"
    return found(
        "held_back", "warn", one.symbol, one.first, bound="a usable bar of every watched symbol", detail=detail
    )


def _is_about(finding: Finding, one: HeldBack) -> bool:
    if finding.symbol != one.symbol:
        return False
    beyond_its_session = finding.rule in (*FROM_HERE_ON, *WHOLE_ANSWER)
    return finding.session is None or beyond_its_session or one.first <= finding.session <= one.last
