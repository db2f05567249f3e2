"""The orders of a session: its signal, an account, the newest closes; planned, and sent where the universe says so."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from regime_assets.library.brokers.broker import (
    Account,
    Broker,
    BrokerError,
    Fill,
    SendLimits,
    Sent,
    check_limits,
)
from regime_assets.library.brokers.order_log import OrderLog
from regime_assets.library.clock import clock
from regime_assets.library.steps.daily_signal import TABLE as SIGNALS
from regime_assets.library.trading.orders import OrderError, OrderPlan, OrderSettings, plan_orders
from regime_assets.library.universe import Universe
from regime_assets.library.workspace import NotMaterializedError, Workspace


@dataclass(frozen=True)
class SessionOrders:
    """What follows from the signal of a session for one account.

    Attributes:
        session: whose signal it is.
        newest_session: the newest session that is over; a signal of an earlier one is stale.
        account: before the orders.
        plan: the orders and what is not ordered.
    """

    session: date
    newest_session: date
    account: Account
    plan: OrderPlan

    @property
    def stale(self) -> bool:
        """Whether a session ended after the one that the signal is of."""
        return self.session < self.newest_session

    def to_document(self, universe: str) -> dict[str, Any]:
        """The orders as JSON values."""
        return {
            "universe": universe,
            "session": self.session.isoformat(),
            "stale": self.stale,
            "holdings": dict(sorted(self.account.holdings.items())),
            **self.plan.to_document(),
        }


def plan_session(workspace: Workspace, account: Account, session: date | None = None) -> SessionOrders:
    """Plan the orders of a session's signal; of the newest one when `session` is None.

    Raises:
        NotMaterializedError: there is no such signal.
        OrderError: the account cannot be right.
    """
    universe = workspace.universe
    session, weights = _signal(workspace, session)
    symbols = sorted({*weights, *account.holdings})
    bars = workspace.market.bars(session, session, session, workspace.calendar, symbols)
    bars = bars.dropna(subset=["close"])
    closes = {str(symbol): float(close) for symbol, close in zip(bars["symbol"], bars["close"], strict=True)}
    settings = order_settings(universe)
    plan = plan_orders(weights, account.holdings, closes, account.capital, settings, account.cash)
    return SessionOrders(session, _newest_over(workspace), account, plan)


def order_settings(universe: Universe) -> OrderSettings:
    """Rounding and bounds of `orders:`, with the costs, the band and the credit of `portfolio:` where there is one."""
    choice, portfolio = universe.orders, universe.portfolio
    band = choice.no_trade_band
    if portfolio is not None and "no_trade_band" not in choice.model_fields_set:
        band = portfolio.no_trade_band
    costs = {one.symbol: one.cost_bp / 10_000 for one in universe.holdings if one.cost_bp is not None}
    borrowed = portfolio.borrowing.most - 1.0 if portfolio and portfolio.borrowing else 0.0
    return OrderSettings(choice.lot, choice.smallest_order, band, universe.cost, costs, borrowed)


def open_broker(workspace: Workspace) -> Broker:
    """The broker that the universe names.

    Raises:
        BrokerError: it names none, or the broker cannot be opened.
    """
    choice = workspace.universe.orders
    if choice.broker is None:
        raise BrokerError(
            f"{workspace.universe.name} names no broker, so nothing was sent: `orders: {{broker: alpaca_paper, "
            "largest_order: ..., largest_turnover: ...}` in its file turns one on"
        )
    from regime_assets.library.brokers.alpaca_paper import AlpacaPaper

    return AlpacaPaper(choice.address)


def send(workspace: Workspace, broker: Broker, planned: SessionOrders) -> tuple[Sent, ...]:
    """Check every limit, then send the orders one by one and store them with the account and the broker's answers.

    Raises:
        LimitError: a limit forbids one of them; none was sent.
        BrokerError: the broker did not answer; what it had taken before is stored, and sending again repeats nothing.
    """
    choice = workspace.universe.orders
    assert choice.largest_order is not None, "a broker has limits"
    assert choice.largest_turnover is not None, "a broker has limits"
    limits = SendLimits(choice.largest_order, choice.largest_turnover)
    check_limits(planned.plan, planned.session, planned.newest_session, limits)
    log = OrderLog(workspace.database, workspace.universe.name)
    log.record_holdings(planned.session, planned.account)
    sent: list[Sent] = []
    try:
        for order in planned.plan.orders:
            reference = f"{workspace.universe.name}-{planned.session:%Y%m%d}-{order.side}-{order.symbol}"
            sent.append(broker.send(order, reference))
    finally:
        log.record_orders(planned.session, broker.name, sent, clock.now())
    return tuple(sent)


def fetch_fills(workspace: Workspace, broker: Broker, session: date | None = None) -> tuple[Fill, ...]:
    """Ask what became of the orders of a session, the newest one when None, and store it.

    Raises:
        BrokerError: nothing was sent for that session, or the broker did not answer.
    """
    log = OrderLog(workspace.database, workspace.universe.name)
    session = session or max(log.sessions_sent(), default=None)
    references = [] if session is None else log.sent_references(session)
    if session is None or not references:
        raise BrokerError(f"no order of {workspace.universe.name} was taken by the broker: there are no fills to fetch")
    fills = tuple(broker.fills(references))
    log.record_fills(session, fills)
    return fills


def read_holdings(path: Path) -> dict[str, float]:
    """Shares by symbol from a CSV file with the columns symbol and shares.

    Raises:
        OrderError: it is no such file; the message names the line.
    """
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
            columns = list(rows[0]) if rows else []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OrderError(f"{path}: cannot be read: {error}") from error
    if rows and not {"symbol", "shares"} <= set(columns):
        raise OrderError(f"{path}: has the columns {', '.join(map(str, columns))}; it needs symbol and shares")
    holdings: dict[str, float] = {}
    for line, row in enumerate(rows, start=2):
        symbol, shares = (row["symbol"] or "").strip(), (row["shares"] or "").strip()
        if not symbol or symbol in holdings:
            raise OrderError(f"{path}, line {line}: {f'{symbol} stands there twice' if symbol else 'no symbol'}")
        try:
            holdings[symbol] = float(shares)
        except ValueError:
            raise OrderError(f"{path}, line {line}: the shares of {symbol} are {shares!r}, not a number") from None
    return holdings


def _signal(workspace: Workspace, session: date | None) -> tuple[date, dict[str, float]]:
    """The session and the target weights of a stored signal."""
    name, rows = workspace.universe.name, pd.DataFrame()
    if workspace.database.has_table(SIGNALS):
        sql = f"""
            SELECT as_of, symbol, weight FROM {SIGNALS}
            WHERE universe = ? AND as_of = (SELECT max(as_of) FROM {SIGNALS} WHERE universe = ? AND as_of <= ?)"""
        rows = workspace.database.query(sql, [name, name, session or date.max])
    if rows.empty or (session and pd.Timestamp(rows["as_of"].iloc[0]).date() != session):
        which = f"of {session}" if session else "yet"
        raise NotMaterializedError(f"daily_signal of {name} has no signal {which}: materialize it first")
    weights = {str(symbol): float(weight) for symbol, weight in zip(rows["symbol"], rows["weight"], strict=True)}
    return pd.Timestamp(rows["as_of"].iloc[0]).date(), weights


def _newest_over(workspace: Workspace) -> date:
    """The newest session whose decision is due by now."""
    now, calendar = clock.now(), workspace.calendar
    over = [day for day in calendar.sessions(workspace.universe.history_start, now.date()) if day < now.date()]
    return next(day for day in reversed(over) if calendar.decision_time(day) <= now)
