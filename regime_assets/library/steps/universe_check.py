"""A universe's file against its source: what lives how long, what is missing, and from when on windows hold.

It stores nothing. What it proposes are lines for the file, each with the reason that the data gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.market.calendar_fit import MOST_EXCEPTIONS, better_calendar
from regime_assets.library.market.calendar_rules import disagreements, holiday_copies
from regime_assets.library.market.findings import Finding, blocking, found
from regime_assets.library.market.quality import check_bars
from regime_assets.library.market.sources import create_source
from regime_assets.library.market.sources.base import Fetched, Source
from regime_assets.library.market.ways_out import way_out
from regime_assets.library.steps.first_partition import first_possible_partition
from regime_assets.library.steps.last_prices import with_last_prices
from regime_assets.library.steps.requested_bars import first_requests
from regime_assets.library.universe.exceptions import CALENDAR_RULES
from regime_assets.library.workspace import Workspace

MOST_OUTSIDE = 0.2
"""Share of a symbol's bars with a close outside high and low from which on that is no error of single bars."""

HALT_SESSIONS = 5
"""Sessions without a bar from which on a symbol counts as halted, or as ended when none follows."""

Section = Literal["symbols", "suspended", "accept", "first_partition"]


@dataclass(frozen=True)
class Proposal:
    """A line for the universe's file.

    Attributes:
        section: where it belongs.
        line: what to write; the entry of a list, or the value of a setting.
        symbol: whose entry it takes the place of, in `symbols`.
        why: what the data shows.
    """

    section: Section
    line: str
    symbol: str
    why: str


@dataclass
class Checked:
    """What was found.

    Attributes:
        asked: symbols and sessions that were asked for, as a sentence.
        problems: what blocks or would block, a sentence each.
        notes: what is worth knowing.
        proposals: lines for the file.
        first_possible: first session that can be fitted; None when none can up to today.
    """

    asked: str
    problems: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    proposals: list[Proposal] = field(default_factory=list[Proposal])
    first_possible: date | None = None


def check_universe(workspace: Workspace, log: Callable[[str], None]) -> Checked:
    """Ask the source for every symbol's history, and hold it against the file.

    Raises:
        SourceError: the source as a whole failed.
    """
    universe, calendar = workspace.universe, workspace.calendar
    source = create_source(universe.source.kind, universe.source.options)
    over = date.fromordinal(clock.today(calendar.timezone).toordinal() - 1)
    last = calendar.sessions(universe.history_start, min(universe.last_partition or over, over))[-1]
    checked = Checked(f"{len(universe.instruments)} symbols, {universe.history_start} to {last}, from {source.name}")
    warning = calendar.warning(clock.today(calendar.timezone))
    checked.notes += [warning] if warning else []
    days: set[date] = set()
    for request in first_requests(workspace, last):
        log(f"{source.name}: asking for {', '.join(request.symbols)}")
        fetched = source.fetch(request.symbols, request.first, request.last)
        fetched, _ = with_last_prices(workspace, fetched, request)
        sessions = calendar.sessions(request.first, request.last)
        days |= {day.date() for day in fetched.bars["session"]}
        _check_answer(workspace, source, fetched, request.symbols, sessions, checked)
    measured = workspace.settling.measured(calendar)
    if measured.evening_bars:
        latest = (
            "" if measured.hours_to_last is None else f", the last one {measured.hours_to_last:.1f} h after its day"
        )
        checked.notes.append(f"of {measured.evening_bars} evening bars {measured.revised} were revised{latest}")
    _check_calendar(workspace, days, checked)
    checked.first_possible = first_possible_partition(workspace, last)
    _check_first_partition(workspace, checked)
    return checked


def _check_calendar(workspace: Workspace, days: set[date], checked: Checked) -> None:
    """Many exceptions are no exceptions: another calendar is named instead of a line for each of them."""
    excepted = [one for one in checked.proposals if one.section == "accept"]
    if len(excepted) <= MOST_EXCEPTIONS:
        return
    name = workspace.universe.calendar
    best = better_calendar(name, days, workspace.home.calendars)
    advice = f"{best} fits: write calendar: {best}" if best else "name the calendar of the exchange, or see the lines"
    checked.problems.append(f"the calendar {name} and the data differ on {len(excepted)} days. {advice}")
    if best:
        checked.proposals = [one for one in checked.proposals if one.section != "accept"]


def _check_first_partition(workspace: Workspace, checked: Checked) -> None:
    stated, possible = workspace.universe.first_partition, checked.first_possible
    if possible is None:
        checked.problems.append("the history is too short to fit anything yet: begin it earlier (history_start)")
    elif stated < possible:
        why = f"{workspace.design.memory_sessions} sessions of memory and a whole window must lie before it"
        checked.problems.append(f"first_partition {stated} is too early: the first possible one is {possible}; {why}")
        checked.proposals.append(Proposal("first_partition", possible.isoformat(), "", why))
    else:
        checked.notes.append(f"partitions can be fitted from {possible} on; the first one is {stated}")


def _check_answer(
    workspace: Workspace,
    source: Source,
    fetched: Fetched,
    symbols: Sequence[str],
    sessions: Sequence[date],
    checked: Checked,
) -> None:
    universe = workspace.universe
    for symbol, reason in fetched.failures.items():
        checked.problems.append(f"{symbol}: {reason}")
    answered = [symbol for symbol in symbols if symbol not in fetched.failures]
    missing = {
        symbol: _missing(fetched.bars, symbol, [day for day in sessions if _is_member(workspace, symbol, day)])
        for symbol in answered
    }
    asked = [
        found("complete", "error", symbol, day, bound="a bar on each session")
        for symbol, days in missing.items()
        for day in days
    ]
    extra = _off_calendar(fetched.bars, sessions)
    copied = holiday_copies(fetched.bars, sessions)
    for finding in disagreements(
        [*asked, *extra], answered, sessions, universe.membership, of=len(universe.instruments), copied=copied
    ):
        if finding.rule not in CALENDAR_RULES or finding.session is None:
            continue
        if finding.severity == "warn":
            checked.notes.append(finding.message)
        elif finding.session == sessions[-1]:
            checked.notes.append(f"{finding.message}; ask again later")
        else:
            entry = f'{{session: {finding.session}, rule: {finding.rule}, reason: "{{why}}", by: regime-assets check}}'
            why = finding.message.partition("(")[2].partition(":")[0]
            checked.proposals.append(Proposal("accept", entry.replace("{why}", why), "", finding.message))
    shared = {one.line.partition("session: ")[2][:10] for one in checked.proposals if one.section == "accept"}
    for symbol, days in missing.items():
        traded = [day for day in sessions if day.isoformat() not in shared]
        _check_life(workspace, symbol, [day for day in days if day in traded], traded, checked)
    findings = check_bars(fetched.bars, answered, sessions, source.fields, actions=fetched.actions)
    refused: dict[tuple[str, str], list[Finding]] = {}
    for finding in blocking([one for one in findings if one.rule != "complete"]):
        if not any(entry.covers(finding.rule, finding.symbol, finding.session) for entry in universe.accept):
            refused.setdefault((finding.rule, finding.symbol), []).append(finding)
    for (rule, symbol), each in refused.items():
        adjusted = _adjusted_already(source, fetched, rule, symbol, each)
        checked.problems.append(f"{each[0].message}{_more(each)}. Way out: {adjusted or way_out(each[0], universe)}")


def _more(findings: Sequence[Finding]) -> str:
    """How many more there are of the same rule and symbol, of which the first is told."""
    if len(findings) == 1:
        return ""
    return f", and {len(findings) - 1} more of its bars break the same rule, up to {findings[-1].session}"


def _adjusted_already(
    source: Source, fetched: Fetched, rule: str, symbol: str, findings: Sequence[Finding]
) -> str | None:
    """What to do where a file's prices were adjusted before they came, which its other columns deny; else None."""
    if source.name != "files" or source.basis != "as traded":
        return None
    bars, actions = fetched.bars, fetched.actions
    ex_days = set(actions.loc[actions["symbol"] == symbol, "ex_session"].dt.date)
    declared = rule == "unapplied_split" and any(one.session in ex_days for one in findings)
    outside = rule == "ordered" and len(findings) > MOST_OUTSIDE * int((bars["symbol"] == symbol).sum())
    if not declared and not outside:
        return None
    seen = "declares a split that its prices are adjusted for already" if declared else "has a close of another basis"
    return (
        f"{symbol}'s file {seen}. Write closes as they were traded; or, for closes adjusted by their vendor, keep the "
        "columns session and close only and write source: {kind: files, options: {folder: ..., fields: [close], "
        "adjusted: true}}"
    )


def _check_life(
    workspace: Workspace, symbol: str, missing: Sequence[date], sessions: Sequence[date], checked: Checked
) -> None:
    """What the stretches without a bar say of one symbol's life: it begins later, was halted, or has ended."""
    universe = workspace.universe
    members = [day for day in sessions if _is_member(workspace, symbol, day)]
    stretches, first, last = _stretches(missing, members), None, None
    for begin, end in stretches:
        length = sum(begin <= day <= end for day in members)
        if begin == members[0] and end < members[-1]:
            first = members[members.index(end) + 1]
        elif end == members[-1] and length >= HALT_SESSIONS:
            last = members[members.index(begin) - 1]
        elif symbol in universe.held:
            checked.problems.append(
                f"{symbol} is traded and has no bar {_span(begin, end)}: add what is missing, state its last price "
                f"with `regime-assets quarantine correct {universe.name} --symbol {symbol} --session {begin} --close "
                "...`, or trade another"
            )
        elif length >= HALT_SESSIONS:
            why = f"no bar on {length} sessions; if another company has the ticker since, write from: instead"
            line = f'{{symbol: {symbol}, from: {begin}, to: {end}, reason: "no bar of the source"}}'
            checked.proposals.append(Proposal("suspended", line, symbol, why))
        else:
            checked.notes.append(f"{symbol} has no bar {_span(begin, end)}: it is held back on these sessions")
    if (first or last) and symbol in universe.held:
        checked.problems.append(
            f"{symbol} is traded but has bars from {first or members[0]} to {last or members[-1]} only: begin the "
            "history later (history_start), or trade another"
        )
    elif first or last:
        entry = next(one for one in universe.watched if one.symbol == symbol)
        begin, end = first or entry.first, last or entry.last
        span = (f", from: {begin}" if begin else "") + (f", to: {end}" if end else "")
        why = " and ".join([*(["its history begins later"] if first else []), *(["it has ended"] if last else [])])
        checked.proposals.append(Proposal("symbols", f"{{symbol: {symbol}{span}}}", symbol, why))


def _span(begin: date, end: date) -> str:
    return f"on {begin}" if begin == end else f"from {begin} to {end}"


def _is_member(workspace: Workspace, symbol: str, day: date) -> bool:
    return bool(workspace.universe.membership.members((symbol,), day, day))


def _missing(bars: pd.DataFrame, symbol: str, expected: Sequence[date]) -> list[date]:
    present = {day.date() for day in bars.loc[bars["symbol"] == symbol, "session"]}
    return [day for day in expected if day not in present]


def _off_calendar(bars: pd.DataFrame, sessions: Sequence[date]) -> list[Finding]:
    off = bars[~bars["session"].isin(pd.to_datetime(list(sessions)))]
    return [
        found("complete", "error", str(symbol), day.date(), bound="no bar on a day off")
        for symbol, day in zip(off["symbol"], off["session"], strict=True)
    ]


def _stretches(days: Sequence[date], sessions: Sequence[date]) -> list[tuple[date, date]]:
    position = {day: number for number, day in enumerate(sessions)}
    stretches: list[tuple[date, date]] = []
    for day in days:
        if stretches and position[day] == position[stretches[-1][1]] + 1:
            stretches[-1] = (stretches[-1][0], day)
        else:
            stretches.append((day, day))
    return stretches
