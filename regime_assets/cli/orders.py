"""Commands from signal to orders: orders, fills."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.cli.workspaces import open_workspace, print_table

if TYPE_CHECKING:
    from regime_assets.library.steps.orders import SessionOrders


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """orders, fills."""
    orders = commands.add_parser(
        "orders", help="turn the newest signal into share orders; nothing is sent without --send"
    )
    orders.add_argument("universe")
    orders.add_argument(
        "--holdings", type=Path, help="CSV with the columns symbol and shares; the broker's with --send"
    )
    orders.add_argument("--capital", type=float, help="value of the whole account, holdings and cash")
    orders.add_argument("--session", type=date.fromisoformat, help="another session's signal than the newest one's")
    orders.add_argument("--csv", type=Path, help="write the orders to this file")
    orders.add_argument("--json", type=Path, help="write orders, what was not ordered and positions to this file")
    orders.add_argument("--send", action="store_true", help="send them to the broker that the universe names")
    orders.set_defaults(command=_orders)

    fills = commands.add_parser("fills", help="ask the broker what became of the orders that were sent, and store it")
    fills.add_argument("universe")
    fills.add_argument("--session", type=date.fromisoformat, help="whose orders; the newest ones when left out")
    fills.set_defaults(command=_fills)


def _orders(options: argparse.Namespace) -> int:
    from regime_assets.library.brokers.broker import Account
    from regime_assets.library.steps.orders import open_broker, plan_session, read_holdings, send

    workspace = open_workspace(options.universe)
    if options.send:
        if options.holdings is not None or options.capital is not None:
            print("regime-assets: --send takes holdings and capital from the broker: leave them out", file=sys.stderr)
            return 2
        broker = open_broker(workspace)
        planned = plan_session(workspace, broker.account(), options.session)
        _show(options, planned)
        sent = send(workspace, broker, planned)
        taken = [one for one in sent if not one.refusal]
        print(f"{len(taken)} of {len(sent)} orders taken by {broker.name}")
        for one in sent:
            if one.refusal:
                print(f"refused: {one.order.side} {one.order.shares:g} {one.order.symbol}: {one.refusal}")
        return 0 if len(taken) == len(sent) else 1
    if options.capital is None:
        print("regime-assets: give --capital, the value of the whole account, holdings and cash", file=sys.stderr)
        return 2
    holdings = {} if options.holdings is None else read_holdings(options.holdings)
    _show(options, plan_session(workspace, Account(options.capital, holdings), options.session))
    return 0


def _show(options: argparse.Namespace, planned: SessionOrders) -> None:
    import pandas as pd
    from rich.console import Console

    plan, console = planned.plan, Console()
    columns = ["symbol", "side", "shares", "price", "notional", "cost"]
    document = planned.to_document(options.universe)
    table = pd.DataFrame(document["orders"], columns=columns)
    title = f"{options.universe}, orders on the signal of {planned.session}, at its closes"
    print_table(table.round({"shares": 6, "price": 4, "notional": 2, "cost": 2}), title, console)
    print(
        f"turnover {plan.turnover:.1%} of {plan.capital:,.2f}, expected costs {plan.cost:,.2f}, "
        f"cash afterwards {plan.cash:,.2f}"
    )
    for one in plan.untraded:
        print(f"not ordered: {one.symbol}, {one.shares:+g} shares: {one.reason}")
    if planned.stale:
        print(f"The signal is stale: the session of {planned.newest_session} is over.")
    if options.csv is not None:
        table.to_csv(options.csv, index=False)
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _fills(options: argparse.Namespace) -> int:
    import pandas as pd
    from rich.console import Console

    from regime_assets.library.steps.orders import fetch_fills, open_broker

    workspace = open_workspace(options.universe)
    fills = fetch_fills(workspace, open_broker(workspace), options.session)
    rows = pd.DataFrame(
        [{name: getattr(fill, name) for name in ("symbol", "side", "status", "shares", "price")} for fill in fills]
    )
    print_table(rows, f"{options.universe}: what became of the orders", Console())
    return 0
