"""Rules on a calendar against the data: what nearly all symbols agree on is no fault of any of them.

A session that nearly all symbols lack, or a day off on which nearly all have a bar, is a disagreement with the
calendar: one question about one day instead of a fault in every symbol. Bars of a day off that repeat the close before
are copies with which a vendor fills holidays: they are left out, and that is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date

import pandas as pd

from regime_assets.library.market.findings import Finding, found
from regime_assets.library.universe.exceptions import CLOSED, OPEN
from regime_assets.library.universe.membership import Membership

NEARLY_ALL = 0.9
"""Share of the symbols from which on a missing or an unexpected bar is the calendar's question."""

FEWEST_SYMBOLS = 3
"""Fewer of a larger universe can lack a session by chance."""


def holiday_copies(bars: pd.DataFrame, sessions: Sequence[date]) -> frozenset[date]:
    """The days off on which nearly all bars repeat the close that their symbol had before.

    Args:
        bars: columns symbol, session and close, days off included.
        sessions: the sessions that the calendar has.
    """
    if bars.empty:
        return frozenset()
    ordered = bars.sort_values(["symbol", "session"])
    copied = ordered["close"] == ordered.groupby("symbol")["close"].shift(1)
    off = ~ordered["session"].isin(pd.to_datetime(list(sessions)))
    share = copied[off].groupby(ordered.loc[off, "session"]).mean()
    return frozenset(day.date() for day in pd.DatetimeIndex(share[share >= NEARLY_ALL].index))


def disagreements(
    findings: Iterable[Finding],
    symbols: Sequence[str],
    sessions: Sequence[date],
    membership: Membership,
    *,
    of: int,
    copied: Collection[date] = (),
) -> list[Finding]:
    """The findings; those of rule `complete` that nearly all symbols share become one of the calendar's.

    Args:
        findings: of the checks of bars.
        symbols: the symbols that were asked for.
        sessions: the sessions that the calendar has.
        membership: on which sessions they are members.
        of: how many instruments the universe has; in one of fewer than three, all of them are nearly all.
        copied: days off whose bars repeat the close before.

    Returns:
        Findings of the rules `unknown_closing` and `unknown_session` in the place of what they explain.
    """
    kept: list[Finding] = []
    by_day: dict[date, list[Finding]] = {}
    for finding in findings:
        if finding.rule == "complete" and finding.session is not None and finding.symbol in symbols:
            by_day.setdefault(finding.session, []).append(finding)
        else:
            kept.append(finding)
    known = set(sessions)
    for day, of_day in sorted(by_day.items()):
        members = len(membership.members(symbols, day, day))
        if members < min(FEWEST_SYMBOLS, of) or len(of_day) < NEARLY_ALL * members:
            kept += of_day
        elif day in known:
            kept.append(_closing(day, len(of_day), members))
        elif day in copied:
            kept.append(_copy(day, len(of_day), members))
        else:
            kept.append(_extra(day, len(of_day), members))
    return kept


def _closing(day: date, missing: int, members: int) -> Finding:
    detail = f"{missing} of {members} symbols have none: the exchange was closed, or the source is late"
    return found(
        CLOSED, "error", "", day, value=float(missing), bound="bars on a session of the calendar", detail=detail
    )


def _extra(day: date, present: int, members: int) -> Finding:
    detail = f"{present} of {members} symbols have one with a price of its own: was the exchange open?"
    return found(OPEN, "error", "", day, value=float(present), bound="no bars on a day off", detail=detail)


def _copy(day: date, present: int, members: int) -> Finding:
    detail = f"{present} of {members} symbols have one that repeats the close before: left out, as on a holiday"
    return found(OPEN, "warn", "", day, value=float(present), bound="no bars on a day off", detail=detail)
