"""Checks of market data: what blocks, what blocks when corroborated, what asks for a look."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regime_assets.library.market import action_rules, bar_rules, move_rules
from regime_assets.library.market.findings import Finding, QualitySettings, blocking, findings_frame, found
from regime_assets.library.market.panel import make_panel
from regime_assets.library.universe.membership import Membership

if TYPE_CHECKING:
    from regime_assets.library.market.window import Window

__all__ = ["RULES", "Finding", "QualitySettings", "blocking", "check_bars", "check_window", "findings_frame"]

RULES = {
    "complete": "a bar for each symbol and session, none besides",
    "unknown_closing": "nearly all symbols have a bar on a session of the calendar",
    "unknown_session": "nearly no symbol has a bar on a day off",
    "held_back": "every watched symbol has a usable bar; the cross-section of a session goes without those held back",
    "known_symbol": "the source knows the symbol",
    "one_listing": "a ticker is one company; asked about after more than 20 sessions without a bar",
    "unique": "one bar for each symbol and session",
    "finite": "every supplied value is a finite number; blocks in a field that windows read",
    "positive": "prices, split ratios and dividends above zero, volume not below; blocks in a field that windows read",
    "ordered": "high not below, low not above the bar's other prices; blocks when the close is beyond by 1 %",
    "stale_session": "a session is not a copy of the one before",
    "unit_jump": "no jump by the factor of a unit",
    "largest_move": "no session multiplies a price by 5 or leaves a fifteenth of it",
    "unapplied_split": "no move that an unreported split explains better than news; blocks from even odds on",
    "unpaid_dividend": "a price gives up the dividend that goes ex; blocks from odds of 2 to 1 that it did not",
    "stale": "bars do not repeat",
    "outlier": "returns within 8 median absolute deviations of 60 sessions, or 8 %",
    "spike_and_back": "a large move is not undone by the next session",
    "zero_volume": "something was traded",
    "large_dividend": "dividends of at most 20 % of the price",
    "dividend_unit": "a dividend is not a hundred times, or a hundredth of, those before it",
    "rescaled": "a history comes again at its stored prices; one factor on all of it needs an action that explains it",
    "currency": "prices stay in the unit in which they are stored",
    "last_price": "a delisted instrument ends at the price that the universe's file states",
    "revisions": "a price that was stored does not change by more than 0.1 %",
    "enough_sessions": "a window holds enough sessions",
    "constant": "no price stands still for a whole window",
    "weights": "sample weights are finite, positive and of mean 1",
}
"""Rule → what it demands."""

NO_ACTIONS = pd.DataFrame(
    {
        "symbol": pd.Series(dtype="object"),
        "ex_session": pd.Series(dtype="datetime64[ns]"),
        "kind": pd.Series(dtype="object"),
        "value": pd.Series(dtype="float64"),
    }
)


def check_bars(
    bars: pd.DataFrame,
    symbols: Sequence[str],
    sessions: Sequence[date],
    fields: Sequence[str],
    settings: QualitySettings | None = None,
    *,
    history: pd.DataFrame | None = None,
    actions: pd.DataFrame | None = None,
    membership: Membership | None = None,
) -> list[Finding]:
    """Check bars as traded before they are used.

    Args:
        bars: columns symbol, session, open, high, low, close, volume.
        symbols: the symbols that there should be.
        sessions: the sessions that there should be.
        fields: the columns that the source supplies; the others are not looked at. "close" is among them.
        settings: the thresholds; the defaults when not given.
        history: bars of earlier sessions, which moves and volumes are compared with; bars of `sessions` in it are
            ignored. 60 sessions are enough.
        actions: columns symbol, ex_session, kind, value; what is known of splits and dividends.
        membership: on which sessions a symbol's bars are asked for; on all of them when not given.

    Returns:
        All findings, errors and warnings.

    Raises:
        ValueError: "close" is not among `fields`.
    """
    if "close" not in fields:
        raise ValueError(f"bars without a close cannot be checked: {', '.join(fields)}")
    thresholds = settings or QualitySettings()
    known = NO_ACTIONS if actions is None else actions
    dated = bars.assign(session=pd.to_datetime(bars["session"]))
    panel = make_panel(dated, symbols, sessions, fields, history=history, actions=known)
    return [
        *bar_rules.complete(dated, symbols, sessions, membership or Membership()),
        *bar_rules.unique(dated),
        *bar_rules.finite(dated, fields, thresholds),
        *bar_rules.positive(dated, fields, thresholds),
        *bar_rules.ordered(dated, fields, thresholds),
        *bar_rules.action_values(known),
        *move_rules.impossible_moves(panel, thresholds),
        *action_rules.unapplied_splits(panel, thresholds),
        *action_rules.unpaid_dividends(panel, thresholds),
        *action_rules.dividend_units(panel, thresholds),
        *move_rules.copies(panel, thresholds),
        *move_rules.outliers(panel, thresholds),
        *move_rules.zero_volumes(panel),
    ]


def check_window(
    window: Window,
    settings: QualitySettings | None = None,
    sessions: Sequence[date] | None = None,
    membership: Membership | None = None,
    moves_since: date | None = None,
) -> list[Finding]:
    """Check what a model is about to be fitted on.

    Args:
        window: the window.
        settings: the thresholds; the defaults when not given.
        sessions: the sessions that its prices should have, lookback included; not compared when not given.
        membership: on which sessions its symbols have prices; on all of them when not given.
        moves_since: the first session whose moves are looked at; all when not given.
    """
    members = membership or Membership()
    thresholds = settings or QualitySettings()
    prices = window.prices
    symbols = [str(symbol) for symbol in prices.columns]
    days = [moment.date() for moment in prices.index]
    long = prices.set_axis(symbols, axis=1).melt(ignore_index=False, var_name="symbol", value_name="close")
    bars = members.of(long.rename_axis("session").reset_index())
    panel = make_panel(bars, symbols, list(dict.fromkeys(days)), ("close",), history=None, actions=NO_ACTIONS)
    if moves_since is not None:
        panel = replace(panel, checked_from=bisect_left(panel.sessions, moves_since))
    findings = [
        *bar_rules.unique(bars, same="error"),
        *bar_rules.finite(bars, ("close",), thresholds),
        *bar_rules.positive(bars, ("close",), thresholds),
        *([] if sessions is None else bar_rules.complete(bars, symbols, sessions, members)),
        *move_rules.outliers(panel, thresholds),
    ]
    count = len(window.sessions)
    if count < thresholds.window_sessions:
        bound = f">= {thresholds.window_sessions}"
        findings.append(found("enough_sessions", "error", "", window.as_of, value=float(count), bound=bound))
    in_window = prices.iloc[-count:].to_numpy() if count else prices.to_numpy()
    for column, symbol in enumerate(symbols):
        own = in_window[np.isfinite(in_window[:, column]), column]
        # A symbol that has just joined may stand still for some sessions: no feature reads it yet.
        if count > 1 and len(own) >= min(count, thresholds.window_sessions) and np.ptp(own) == 0.0:
            value = float(own[0])
            findings.append(found("constant", "error", symbol, window.as_of, value=value, bound="a price that moves"))
    weight = window.sample_weight
    if len(weight) != count or not (np.isfinite(weight).all() and (weight > 0.0).all()):
        findings.append(found("weights", "error", "", window.as_of, bound="a finite positive weight per session"))
    elif count and abs(float(weight.mean()) - 1.0) > 1e-9:
        findings.append(found("weights", "error", "", window.as_of, value=float(weight.mean()), bound="mean 1"))
    return findings
