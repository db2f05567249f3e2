"""What somebody decides about a single bar: accepted as it came, corrected, or taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.market.decisions import Decision
from regime_assets.library.market.held_back import HeldBack
from regime_assets.library.market.sources.base import PRICE_FIELDS
from regime_assets.library.universe.exceptions import ACCEPTABLE, CALENDAR_RULES
from regime_assets.library.workspace import Workspace

AGAIN = "it is stored by the next run of raw_prices"


class DecisionError(Exception):
    """A decision that cannot be taken; the message says why and what can be done."""


def accept(workspace: Workspace, symbol: str, session: date, rule: str, reason: str, by: str) -> str:
    """Take a finding for right, so that the bar is stored as it comes.

    Raises:
        DecisionError: there is no such finding in quarantine, or the rule cannot be accepted.
    """
    _refuse_foreign(workspace, symbol, session)
    if rule in CALENDAR_RULES or rule not in ACCEPTABLE:
        raise DecisionError(
            f"{rule} is not accepted for a single bar: days of the calendar go into the universe's file under accept:, "
            f"the other rules are {', '.join(name for name in ACCEPTABLE if name not in CALENDAR_RULES)}"
        )
    history = workspace.quarantine.history(symbol, [session])
    if rule not in set(history["rule"]):
        found = ", ".join(sorted(set(history["rule"]))) or "nothing"
        raise DecisionError(f"the quarantine holds no {rule} of {symbol} on {session}; it holds {found}")
    workspace.decisions.record(Decision("accept", symbol, session, reason, by, rule), clock.now())
    return f"{symbol} {session}: {rule} is accepted; {AGAIN}"


def correct(workspace: Workspace, symbol: str, session: date, bar: Mapping[str, float], reason: str, by: str) -> str:
    """State the right values of a bar. The vendor's are kept as an earlier version, and stand for the same bar later.

    Raises:
        DecisionError: no close, a price that is none, or prices out of order.
    """
    _refuse_foreign(workspace, symbol, session)
    if "close" not in bar:
        raise DecisionError("state the close: it is what windows read (--close)")
    wrong = {name: value for name, value in bar.items() if not (np.isfinite(value) and value > 0.0)}
    if wrong:
        raise DecisionError(f"a price is a number above zero, not {wrong}")
    prices = [value for name, value in bar.items() if name != "volume"]
    if bar.get("high", max(prices)) < max(prices) or bar.get("low", min(prices)) > min(prices):
        raise DecisionError("the high is the highest price of a bar, the low the lowest")
    refused = _vendor_bar(workspace, symbol, session)
    workspace.decisions.record(
        Decision("correct", symbol, session, reason, by, bar=dict(bar), refused=refused), clock.now()
    )
    return f"{symbol} {session}: corrected to {', '.join(f'{k} {v:.6g}' for k, v in bar.items())}; {AGAIN}"


def retract(workspace: Workspace, symbol: str, session: date, reason: str, by: str) -> str:
    """Take a stored bar back, with what was decided about it; a watched symbol is held back on that session.

    Raises:
        DecisionError: nothing is stored or decided about it, or it is traded and could not be replaced.
    """
    _refuse_foreign(workspace, symbol, session)
    if symbol in workspace.universe.held:
        raise DecisionError(f"{symbol} is traded and needs a price on every session: correct it instead")
    at = clock.now()
    decided = [one for one in workspace.decisions.standing() if (one.symbol, one.session) == (symbol, session)]
    stored = session in workspace.market.stored_sessions(symbol)
    if not stored and not decided:
        raise DecisionError(f"no bar of {symbol} on {session} is stored, and nothing was decided about it")
    workspace.decisions.record(Decision("retract", symbol, session, reason, by), at)
    if stored:
        workspace.market.retract(symbol, session, at, f"{reason} ({by})")
        with workspace.database.transaction() as connection:
            held = HeldBack(symbol, session, session, "retracted", f"{symbol} {session}: retracted: {reason} ({by})")
            workspace.held_back.record_now(connection, held, at)
    return f"{symbol} {session}: taken back; windows go without it until another bar comes"


def _refuse_foreign(workspace: Workspace, symbol: str, session: date) -> None:
    if symbol not in workspace.universe.instruments:
        raise DecisionError(f"{symbol} is no instrument of {workspace.universe.name}")
    if not workspace.calendar.is_session(session):
        raise DecisionError(f"{session} is no session of {workspace.universe.name}")


def _vendor_bar(workspace: Workspace, symbol: str, session: date) -> dict[str, float]:
    """The newest values that the vendor gave: refused ones, or those that are stored."""
    kept = workspace.quarantine.history(symbol, [session]).dropna(subset=["close"])
    if kept.empty:
        kept = workspace.market.versions(symbol, session)
    if kept.empty:
        return {}
    row = pd.Series(kept.iloc[-1])
    return {name: float(row[name]) for name in PRICE_FIELDS if pd.notna(row[name])}
