"""The last price of a delisted instrument, where the universe's file states one: vendors often lack that bar."""

from __future__ import annotations

from datetime import date

import pandas as pd

from regime_assets.library.market.decisions import Decision, corrected
from regime_assets.library.market.findings import FROM_HERE_ON, Finding, found
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.steps.requested_bars import Request
from regime_assets.library.universe.exceptions import Accepted
from regime_assets.library.universe.sections import Watched
from regime_assets.library.workspace import Workspace

SAME_PRICE = 1e-6


def decided(workspace: Workspace) -> list[Accepted | Decision]:
    """All that somebody takes for right: in the file, by command, and the last prices that the file states."""
    stated = [
        Decision("accept", entry.symbol, day, "last price", "the file", rule)
        for entry in workspace.universe.watched
        if (day := _last_day(workspace, entry)) is not None
        for rule in FROM_HERE_ON
    ]
    return [*workspace.universe.accept, *workspace.decisions.standing(), *stated]


def with_last_prices(workspace: Workspace, fetched: Fetched, request: Request) -> tuple[Fetched, list[Finding]]:
    """The answer with the stated closes of the last sessions that were asked for, and a warning for each.

    What the vendor has there is told beside it. A bar that already has this close stays as it is.
    """
    universe, stated, findings = workspace.universe, list[Decision](), list[Finding]()
    for entry in universe.watched:
        day = _last_day(workspace, entry)
        if day is None or entry.last_price is None or entry.symbol not in request.symbols:
            continue
        bars = fetched.bars
        own = bars[(bars["symbol"] == entry.symbol) & (bars["session"] == pd.Timestamp(day))]["close"]
        if (
            not request.first <= day <= request.last
            or (own.sub(entry.last_price).abs() <= SAME_PRICE * entry.last_price).any()
        ):
            continue
        stated.append(Decision("correct", entry.symbol, day, "last price", "the file", bar={"close": entry.last_price}))
        has = f"the source has {own.iloc[0]:.6g}" if len(own) else "the source has no bar"
        bound = "the close on the last session of membership that the universe's file states"
        findings.append(
            found(
                "last_price", "warn", entry.symbol, day, field="close", value=entry.last_price, bound=bound, detail=has
            )
        )
    return corrected(fetched, tuple(stated), request.first, request.last), findings


def _last_day(workspace: Workspace, entry: Watched) -> date | None:
    """The last session of an instrument whose last price is stated."""
    if entry.last is None or entry.last_price is None:
        return None
    return workspace.calendar.sessions(workspace.universe.history_start, entry.last)[-1]
