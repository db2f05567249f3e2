"""Commands from signal to orders: orders, fills."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.cli.arguments import add_json, session
from regime_assets.cli.printing import say, say_json, say_table
from regime_assets.cli.workspaces import open_workspace

if TYPE_CHECKING:
    from regime_assets.library.steps.orders import SessionOrders

EPILOG = """\
Without --send nothing leaves this machine: orders are computed from --holdings and --capital and printed. With --send
holdings and capital are the broker's, and the orders go to the broker that the universe names under `orders:`, after
every limit was checked.
"""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """orders, fills."""
    orders = commands.add_parser("orders", help="turn the newest signal into share orders", epilog=EPILOG)
    orders.add_argument("universe")
    orders.add_argument("--holdings", type=Path, help="CSV with the columns symbol and shares; nothing when left out")
    orders.add_argument("--capital", type=float, help="value of the whole account, holdings and cash")
    orders.add_argument("--session", type=session, help="another session's signal than the newest one's")
    orders.add_argument("--csv", type=Path, help="write the orders to this file too")
    orders.add_argument("--send", action="store_true", help="send them to the universe's broker")
    add_json(orders)
    orders.set_defaults(command=_orders)

    fills = commands.add_parser("fills", help="ask the broker what became of the orders that were sent, and store it")
    fills.add_argument("universe")
    fills.add_argument("--session", type=session, help="whose orders; the newest ones when left out")
    add_json(fills)
    fills.set_defaults(command=_fills)


def _orders(options: argparse.Namespace) -> int:
    from regime_assets.library.brokers.broker import Account
    from regime_assets.library.steps.orders import open_broker, plan_session, read_holdings, send
    from regime_assets.library.trading.orders import OrderError

    workspace = open_workspace(options.universe)
    if not options.send:
        if options.capital is None:
            raise OrderError("give --capital, the value of the whole account, holdings and cash")
        holdings = {} if options.holdings is None else read_holdings(options.holdings)
        _show(options, plan_session(workspace, Account(options.capital, holdings), options.session))
        return 0
    if options.holdings is not None or options.capital is not None:
        raise OrderError("--send takes holdings and capital from the broker: leave --holdings and --capital out")
    broker = open_broker(workspace)
    planned = plan_session(workspace, broker.account(), options.session)
    _show(options, planned)
    sent = send(workspace, broker, planned)
    refused = [one for one in sent if one.refusal]
    say(f"{len(sent) - len(refused)} of {len(sent)} orders taken by {broker.name}")
    for one in refused:
        say(f"refused: {one.order.side} {one.order.shares:g} {one.order.symbol}: {one.refusal}")
    return 1 if refused else 0


def _show(options: argparse.Namespace, planned: SessionOrders) -> None:
    import pandas as pd

    plan, document = planned.plan, planned.to_document(options.universe)
    columns = ["symbol", "side", "shares", "price", "notional", "cost"]
    table = pd.DataFrame(document["orders"], columns=columns)
    if options.csv is not None:
        table.to_csv(options.csv, index=False)
    if options.json:
        say_json(document)
        return
    rounded = table.round({"shares": 6, "price": 4, "notional": 2, "cost": 2})
    say_table(rounded, f"{options.universe}: orders on the signal of {planned.session}, at its closes")
    say(
        f"turnover {plan.turnover:.1%} of {plan.capital:,.2f}, expected costs {plan.cost:,.2f}, "
        f"cash afterwards {plan.cash:,.2f}"
    )
    for one in plan.untraded:
        say(f"not ordered: {one.symbol}, {one.shares:+g} shares: {one.reason}")
    if planned.stale:
        say(f"The signal is stale: the session of {planned.newest_session} is over.")


def _fills(options: argparse.Namespace) -> int:
    import pandas as pd

    from regime_assets.library.steps.orders import fetch_fills, open_broker

    workspace = open_workspace(options.universe)
    fills = fetch_fills(workspace, open_broker(workspace), options.session)
    shown = ("symbol", "side", "status", "shares", "price")
    rows = [{name: getattr(fill, name) for name in shown} for fill in fills]
    if options.json:
        say_json(rows)
    else:
        say_table(pd.DataFrame(rows), f"{options.universe}: what became of the orders")
    return 0
