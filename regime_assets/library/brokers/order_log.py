"""What was ordered, what was filled and what was held, by session: tables of the project's database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd

from regime_assets.library.brokers.broker import Account, Fill, Sent
from regime_assets.library.database import Database

ORDERS, FILLS, HOLDINGS = "orders", "fills", "holdings"


class OrderLog:
    """Orders, fills and holdings of one universe. What is stored again for a session replaces what was."""

    def __init__(self, database: Database, universe: str) -> None:
        self._database = database
        self._universe = universe

    def record_orders(self, session: date, broker: str, sent: Sequence[Sent], at: datetime) -> None:
        """What was sent on the signal of a session, and the broker's answers."""
        rows = [
            {
                "client_reference": one.client_reference,
                "reference": one.reference,
                "symbol": one.order.symbol,
                "side": one.order.side,
                "shares": one.order.shares,
                "price": one.order.price,
                "expected_cost": one.order.cost,
                "refusal": one.refusal,
                "broker": broker,
                "sent_at": at,
            }
            for one in sent
        ]
        if rows:
            self._database.replace_partition(ORDERS, self._key(session), pd.DataFrame(rows))

    def record_fills(self, session: date, fills: Sequence[Fill]) -> None:
        """What became of the orders of a session."""
        columns = ["client_reference", "symbol", "side", "status", "shares", "price", "filled_at"]
        rows = pd.DataFrame([{name: getattr(fill, name) for name in columns} for fill in fills], columns=columns)
        if not rows.empty:
            rows["price"] = rows["price"].astype("float64")
            rows["filled_at"] = pd.to_datetime(rows["filled_at"], utc=True)
            self._database.replace_partition(FILLS, self._key(session), rows)

    def record_holdings(self, session: date, account: Account) -> None:
        """What the account held when the orders of a session were made; cash is the row without a symbol."""
        rows = [{"symbol": symbol, "shares": shares} for symbol, shares in sorted(account.holdings.items())]
        frame = pd.DataFrame([*rows, {"symbol": "", "shares": 0.0}]).assign(capital=account.capital)
        self._database.replace_partition(HOLDINGS, self._key(session), frame)

    def sent_references(self, session: date) -> list[str]:
        """Our references of the orders that the broker took on the signal of a session."""
        rows = self._database.read_partition(ORDERS, self._key(session), order_by="client_reference")
        return [] if rows.empty else [str(name) for name in rows.loc[rows["refusal"] == "", "client_reference"]]

    def sessions_sent(self) -> list[date]:
        """The sessions on whose signal orders were sent, ascending."""
        if not self._database.has_table(ORDERS):
            return []
        sql = f"SELECT DISTINCT session FROM {ORDERS} WHERE universe = ? ORDER BY session"
        return [pd.Timestamp(day).date() for day in self._database.query(sql, [self._universe])["session"]]

    def fills(self) -> pd.DataFrame:
        """Every fill with shares, by the session of its signal; with the capital of that session."""
        if not self._database.has_table(FILLS):
            return pd.DataFrame(columns=["session", "symbol", "side", "shares", "price", "capital"])
        sql = f"""
            SELECT f.session, f.symbol, f.side, f.shares, f.price, h.capital
            FROM {FILLS} f JOIN (SELECT DISTINCT universe, session, capital FROM {HOLDINGS}) h
            USING (universe, session)
            WHERE f.universe = ? AND f.shares > 0 ORDER BY f.session, f.symbol"""
        return self._database.query(sql, [self._universe])

    def _key(self, session: date) -> dict[str, object]:
        return {"universe": self._universe, "session": session}
