"""Alpaca's paper account, through Alpaca's own client (the extra `alpaca`). Real money is out of its reach.

The key and its secret come from ALPACA_API_KEY and ALPACA_SECRET_KEY. Orders are market-on-close orders: they fill at
the close at which the backtest fills them.
"""

from __future__ import annotations

import json
import os
from typing import Any

from regime_assets.library.brokers.broker import Account, BrokerError, Fill, Sent
from regime_assets.library.trading.orders import Order, Side

KEY, SECRET = "ALPACA_API_KEY", "ALPACA_SECRET_KEY"


class AlpacaPaper:
    """A paper account at Alpaca."""

    name = "alpaca_paper"

    def __init__(self, address: str | None = None) -> None:
        """Open the account.

        Args:
            address: of a server on this machine that speaks Alpaca's format; Alpaca's paper API when None.

        Raises:
            BrokerError: the client is not installed, a key is missing, or the address is not on this machine.
        """
        try:
            from alpaca.trading.client import TradingClient
        except ImportError as error:
            raise BrokerError(
                "the broker alpaca_paper needs its client: pip install 'regime_assets[alpaca]'"
            ) from error
        if address is not None and not address.startswith(("http://127.0.0.1:", "http://localhost:")):
            raise BrokerError(f"{address} is not on this machine: leave the address out for Alpaca's paper API")
        missing = [name for name in (KEY, SECRET) if not os.environ.get(name)]
        if missing:
            raise BrokerError(f"the broker alpaca_paper needs {' and '.join(missing)} in the environment")
        self._client = TradingClient(
            os.environ[KEY], os.environ[SECRET], paper=True, raw_data=True, url_override=address
        )

    def account(self) -> Account:
        """Equity, positions and cash."""
        account: Any = self._asked(self._client.get_account)
        positions: Any = self._asked(self._client.get_all_positions)
        holdings = {one["symbol"]: float(one["qty"]) for one in positions}
        return Account(float(account["equity"]), holdings, float(account["cash"]))

    def send(self, order: Order, client_reference: str) -> Sent:
        """Place a market-on-close order, unless the account has one of that reference."""
        from alpaca.common.exceptions import APIError
        from alpaca.trading.enums import OrderSide, TimeInForce
        from alpaca.trading.requests import MarketOrderRequest

        request = MarketOrderRequest(
            symbol=order.symbol,
            qty=order.shares,
            side=OrderSide.BUY if order.side == "buy" else OrderSide.SELL,
            time_in_force=TimeInForce.CLS,
            client_order_id=client_reference,
        )
        try:
            placed: Any = self._client.submit_order(request)
        except APIError as error:
            if "client_order_id must be unique" in str(error):
                known: Any = self._asked(lambda: self._client.get_order_by_client_id(client_reference))
                return Sent(order, client_reference, str(known["id"]))
            return Sent(order, client_reference, "", _refusal(error))
        except OSError as error:
            raise BrokerError(f"Alpaca did not answer: {error}") from error
        return Sent(order, client_reference, str(placed["id"]))

    def fills(self, client_references: list[str]) -> list[Fill]:
        """Status and fills of orders."""
        return [self._fill(reference) for reference in client_references]

    def _fill(self, reference: str) -> Fill:
        from datetime import datetime

        found: Any = self._asked(lambda: self._client.get_order_by_client_id(reference))
        side: Side = "buy" if found["side"] == "buy" else "sell"
        price, filled_at = found.get("filled_avg_price"), found.get("filled_at")
        return Fill(
            client_reference=reference,
            symbol=found["symbol"],
            side=side,
            status=found["status"],
            shares=float(found.get("filled_qty") or 0.0),
            price=None if price is None else float(price),
            filled_at=None if filled_at is None else datetime.fromisoformat(filled_at),
        )

    def _asked(self, question: Any) -> Any:
        from alpaca.common.exceptions import APIError

        try:
            return question()
        except APIError as error:
            raise BrokerError(f"Alpaca refused: {_refusal(error)}") from error
        except OSError as error:
            raise BrokerError(f"Alpaca did not answer: {error}") from error


def _refusal(error: Exception) -> str:
    """Alpaca's message, which its client leaves in JSON."""
    try:
        return str(json.loads(str(error))["message"])
    except (ValueError, KeyError, TypeError):
        return str(error)
