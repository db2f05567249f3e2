"""A vendor that rescales its history, told from news: every bar before a session comes again times one factor.

Vendors do so at a spin-off, for which they report neither a split nor a dividend, and at a split whose report comes
later. The bars that are stored were traded at their prices and keep them; what is learned is the action. Taking the
rescaled overlap as revisions would plant a seam where it begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd

from regime_assets.library.market.bar_rules import PRICES
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.market.findings import Finding, found
from regime_assets.library.market.sources.base import BAR_COLUMNS, PRICE_FIELDS, SPLIT, Fetched

FEWEST_BARS = 3
SAME_FACTOR = 5e-4
"""Relative distance from the common factor that the rounding of a price explains."""

SESSIONS_APART = 5
"""Sessions by which the date of an action and the session from which prices are rescaled may differ."""


class Rescaling(NamedTuple):
    """One symbol's history, given otherwise than it is stored.

    Attributes:
        symbol: the listing.
        factor: what the stored bars before `ex_session` were multiplied by.
        ex_session: the first session whose price is not.
        bars: how many stored bars came again.
        explained_by: the split or dividend that explains it; empty when none does.
    """

    symbol: str
    factor: float
    ex_session: date
    bars: int
    explained_by: str


def find_rescalings(
    stored: pd.DataFrame, fetched: Fetched, calendar: TradingCalendar, smallest: float
) -> list[Rescaling]:
    """The symbols whose stored bars up to a session all come again times one factor.

    Args:
        stored: newest stored bars; columns symbol, session, close.
        fetched: an answer that repeats some of them.
        calendar: gives the session after the last one that is compared.
        smallest: relative change from which on a price was changed.
    """
    both = stored.merge(fetched.bars, on=["symbol", "session"], suffixes=("_before", "_now"))
    both = both[(both["close_before"] > 0.0) & (both["close_now"] > 0.0)].sort_values(["symbol", "session"])
    ratio = (both["close_now"] / both["close_before"]).to_numpy()
    changed = both.loc[np.abs(ratio - 1.0) > smallest, "symbol"].unique()
    rescalings: list[Rescaling] = []
    for symbol in changed:
        rows = (both["symbol"] == symbol).to_numpy()
        ratios, days, closes = ratio[rows], both.loc[rows, "session"], both.loc[rows, "close_before"].to_numpy()
        kept = np.abs(ratios - 1.0) <= smallest
        before = len(ratios) - int(np.argmin(kept[::-1]))  # rows before the sessions that came unchanged at the end
        factor = float(np.median(ratios[:before]))
        if before < FEWEST_BARS or (np.abs(ratios[:before] / factor - 1.0) > SAME_FACTOR).any():
            continue
        if before < len(ratios):
            ex_session = days.iloc[before].date()
        else:
            ex_session = next(day for day in calendar.all_sessions if day > days.iloc[-1].date())
        explained = _explanation(symbol, factor, ex_session, float(closes[before - 1]), fetched.actions, calendar)
        rescalings.append(Rescaling(symbol, factor, ex_session, before, explained))
    return rescalings


def as_traded(
    fetched: Fetched, stored: pd.DataFrame, rescalings: Sequence[Rescaling], learned: Sequence[Rescaling]
) -> Fetched:
    """The answer without what the vendor rescaled: stored bars as they are stored, others back at their prices.

    Args:
        fetched: the answer.
        stored: the bars that are stored; columns symbol, session, open, high, low, close, volume.
        rescalings: what was found in it.
        learned: those of them whose factor is to be kept as a split, since no action says it.
    """
    key = ["symbol", "session"]
    bars = fetched.bars.set_index(key)
    symbols, sessions = bars.index.get_level_values(0), bars.index.get_level_values(1)
    known = stored.set_index(key)[list(PRICE_FIELDS)]
    actions = [fetched.actions]
    for one in rescalings:
        rescaled = (symbols == one.symbol) & (sessions < pd.Timestamp(one.ex_session))
        bars.loc[rescaled, list(PRICES)] /= one.factor
        repeated = bars.index[rescaled & bars.index.isin(known.index)]
        bars.loc[repeated, list(PRICE_FIELDS)] = known.loc[repeated].to_numpy()
        if one in learned:
            row = {"symbol": one.symbol, "ex_session": pd.Timestamp(one.ex_session), "kind": SPLIT}
            actions.append(pd.DataFrame([row | {"value": 1.0 / one.factor}]))
    filled = [frame for frame in actions if not frame.empty]
    joined = pd.concat(filled, ignore_index=True) if filled else fetched.actions
    return replace(fetched, bars=bars.reset_index()[list(BAR_COLUMNS)], actions=joined)


def rescaling_finding(one: Rescaling, *, adjusted: bool, accepted: bool) -> Finding:
    """Rule `rescaled`: blocks unless an action explains the factor, or somebody does."""
    resolved = adjusted or accepted or bool(one.explained_by)
    if adjusted:
        detail = "these prices are adjusted by their vendor: the factor is kept as an action, stored bars as they are"
    elif one.explained_by:
        detail = f"{one.explained_by} explains it: the stored bars keep their prices as traded"
    elif accepted:
        detail = f"accepted: it is kept as a split of {1.0 / one.factor:.6g}, the stored bars at their prices as traded"
    else:
        detail = (
            f"no split or dividend explains it, as when a company is spun off; if it is right, accept the rule "
            f"`rescaled` for {one.symbol} on {one.ex_session}: it is then kept as a split of {1.0 / one.factor:.6g}; "
            "files of prices that their vendor adjusts say so with `adjusted: true`"
        )
    return found(
        "rescaled",
        "warn" if resolved else "error",
        one.symbol,
        one.ex_session,
        value=one.factor,
        bound=f"the prices of before, and all {one.bars} stored bars before this session come again times this",
        detail=detail,
    )


def _explanation(
    symbol: str, factor: float, ex_session: date, close: float, actions: pd.DataFrame, calendar: TradingCalendar
) -> str:
    sessions = calendar.all_sessions
    place = sessions.index(ex_session)
    first = pd.Timestamp(sessions[max(0, place - SESSIONS_APART)])
    last = pd.Timestamp(sessions[min(len(sessions) - 1, place + SESSIONS_APART)])
    near = actions[(actions["symbol"] == symbol) & actions["ex_session"].between(first, last)]
    for moment, kind, value in near[["ex_session", "kind", "value"]].itertuples(index=False):
        factors = (1.0 / value, value) if kind == SPLIT else (1.0 - value / close, 1.0 / (1.0 + value / close))
        if any(abs(factor - expected) <= 0.15 * abs(1.0 - expected) + SAME_FACTOR for expected in factors):
            return f"the {kind} of {value:g} on {moment.date()}"
    return ""
