"""What a run asks its source for: which symbols, from which session, and how far back their actions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from regime_assets.library.market.findings import FROM_HERE_ON, WHOLE_ANSWER
from regime_assets.library.market.held_back import HeldBack
from regime_assets.library.universe.exceptions import ALL
from regime_assets.library.universe.membership import Membership
from regime_assets.library.workspace import Workspace

OVERLAP_SESSIONS = 5
"""Sessions before the run's own whose bars are fetched again, for what came late or was corrected."""

LATE_SESSIONS = 30
"""Sessions over which a watched symbol's missing bar is asked for again."""

ACTIONS_DAYS = 365
"""Days back to which actions are asked for again: vendors report some of them weeks late."""

SYMBOLS_AT_ONCE = 25
"""Symbols that a first load fetches, judges and stores together; between two parts it says how far it is."""


class Request(NamedTuple):
    """One request to the source.

    Attributes:
        symbols: what to ask for.
        first: first session whose bars are judged and stored.
        last: last session.
        since: first day that is asked for, for actions and for what tells a rescaled history.
    """

    symbols: tuple[str, ...]
    first: date
    last: date
    since: date


def requests(workspace: Workspace, first: date, last: date) -> list[Request]:
    """What to fetch for the sessions [first, last].

    A symbol that has no bar yet is asked for from where it joined, or from the history's start. Of the others, first
    what is missing (an earlier start of the history, sessions that another calendar knows), then the overlap before
    `first`.

    No session is asked for on which a symbol is no member. One that left before `first` is still read by windows that
    reach back to it, so it is asked for as long as its newest bar is missing.
    """
    stored = workspace.market.newest_sessions()
    asked: list[Request] = []
    for (begin, end), symbols in _spans(workspace, last):
        newest = {symbol: stored[symbol] for symbol in symbols if symbol in stored and stored[symbol] >= begin}
        unknown = tuple(symbol for symbol in symbols if symbol not in newest)
        asked += [Request(part, begin, end, begin) for part in _parts(unknown)]
        asked += _missing(workspace, newest, begin, end)
        known = tuple(symbol for symbol in newest if end >= first or newest[symbol] < end)
        if known:
            start = min(*(newest[symbol] for symbol in known), first)
            overlap = max(begin, last_sessions(workspace, start, OVERLAP_SESSIONS + 1)[0])
            since = max(begin, min(overlap, last - timedelta(days=ACTIONS_DAYS)))
            asked.append(Request(known, overlap, end, since))
    return asked


def first_requests(workspace: Workspace, last: date) -> list[Request]:
    """What to fetch for a whole history up to `last`, as if nothing was stored."""
    by_span = _spans(workspace, last)
    return [Request(part, begin, end, begin) for (begin, end), symbols in by_span for part in _parts(symbols)]


def last_sessions(workspace: Workspace, last: date, count: int) -> tuple[date, ...]:
    """The `count` sessions that end with `last`, or fewer where the history starts."""
    return workspace.calendar.sessions(workspace.universe.history_start, last)[-count:]


def _spans(workspace: Workspace, last: date) -> list[tuple[tuple[date, date], list[str]]]:
    """First and last session up to `last` on which symbols are members, those that stay longest first."""
    universe = workspace.universe
    by_span: dict[tuple[date, date], list[str]] = {}
    for symbol in universe.instruments:
        joins, leaves = universe.membership.span(symbol)
        sessions = workspace.calendar.sessions(max(joins, universe.history_start), min(leaves, last))
        if sessions:
            by_span.setdefault((sessions[0], sessions[-1]), []).append(symbol)
    return sorted(by_span.items(), key=lambda item: item[0][1], reverse=True)


def _missing(workspace: Workspace, newest: dict[str, date], begin: date, end: date) -> list[Request]:
    """Requests for the sessions up to the newest bar of each symbol that are not stored."""
    by_gap: dict[tuple[date, date], list[str]] = {}
    members = _asked_members(workspace, end)
    counts = workspace.market.stored_counts(list(newest), workspace.calendar.sessions(begin, end))
    for symbol, until in newest.items():
        within = workspace.calendar.sessions(begin, min(end, until))
        if counts[symbol] >= len(within):
            continue
        expected = [day for day in within if members.members((symbol,), day, day)]
        present = workspace.market.stored_sessions(symbol)
        missing = [session for session in expected if session not in present]
        if missing:
            by_gap.setdefault((missing[0], missing[-1]), []).append(symbol)
    return [Request(part, *gap, gap[0]) for gap, symbols in sorted(by_gap.items()) for part in _parts(tuple(symbols))]


def _asked_members(workspace: Workspace, last: date) -> Membership:
    """The sessions whose bars are asked for again: not those of halts, nor all that was held back.

    A bar that was missing is asked for over some weeks, since some come late. What was doubted is asked for again when
    somebody has decided about it, in the file or by command; a doubt about a level is one about the sessions after it.
    """
    absences = workspace.held_back.absences(last, workspace.market, workspace.calendar)
    if not absences:
        return workspace.universe.membership
    decided = [*workspace.universe.accept, *workspace.decisions.standing()]
    recent = last_sessions(workspace, last, LATE_SESSIONS)[0]

    def is_asked(one: HeldBack) -> bool:
        if one.rule == "complete" and one.last >= recent:
            return True
        doubt = one.rule in (*FROM_HERE_ON, *WHOLE_ANSWER)
        return any(
            entry.symbol in (ALL, one.symbol) and entry.span[0] <= one.last and (doubt or entry.span[1] >= one.first)
            for entry in decided
        )

    return workspace.universe.membership.without(
        (one.symbol, one.first, one.last) for one in absences if not is_asked(one)
    )


def _parts(symbols: Sequence[str]) -> list[tuple[str, ...]]:
    """Parts of at most `SYMBOLS_AT_ONCE`, of equal size: a symbol alone could not be judged against others."""
    count = -(-len(symbols) // SYMBOLS_AT_ONCE)
    return [tuple(symbols[len(symbols) * n // count : len(symbols) * (n + 1) // count]) for n in range(count)]
