"""From target weights to share orders: what to buy and sell of an account that holds something already.

Shares are rounded towards zero to whole lots, so that rounding never spends more than there is. Sells come first, and
buys are cut where the money does not reach. Whatever is not ordered is listed with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Side = Literal["buy", "sell"]


class OrderError(ValueError):
    """Holdings, prices or capital from which no orders can be made."""


@dataclass(frozen=True)
class OrderSettings:
    """How targets become orders.

    Attributes:
        lot: shares are multiples of it; 1 for whole shares, 0.001 where a broker takes fractions.
        smallest_order: notional below which an order is not worth sending, in the account's currency.
        no_trade_band: difference to the target weight that is left alone, a fraction of capital. A position that is to
            be closed is closed whatever the band.
        cost: one way, a fraction of traded notional.
        costs: of the symbols that cost something else.
        borrowed: what buys may borrow, a fraction of capital.
    """

    lot: float = 1.0
    smallest_order: float = 0.0
    no_trade_band: float = 0.0
    cost: float = 0.0010
    costs: Mapping[str, float] = field(default_factory=dict)
    borrowed: float = 0.0

    def __post_init__(self) -> None:
        if self.lot <= 0:
            raise OrderError(f"lot is {self.lot}, must be positive")
        for name in ("smallest_order", "no_trade_band", "cost", "borrowed"):
            if getattr(self, name) < 0:
                raise OrderError(f"{name} is {getattr(self, name)}, must not be negative")

    def cost_of(self, symbol: str) -> float:
        """What trading a symbol costs, one way."""
        return self.costs.get(symbol, self.cost)


@dataclass(frozen=True)
class Order:
    """One order at the market.

    Attributes:
        shares: positive.
        price: the close that it was computed from.
        cost: expected, in the account's currency.
    """

    symbol: str
    side: Side
    shares: float
    price: float
    cost: float

    @property
    def notional(self) -> float:
        """What is traded, in the account's currency."""
        return self.shares * self.price

    @property
    def change(self) -> float:
        """Shares that the position changes by, negative for a sell."""
        return self.shares if self.side == "buy" else -self.shares


@dataclass(frozen=True)
class Untraded:
    """A difference to the target that is not ordered, in shares, and why."""

    symbol: str
    shares: float
    reason: str


@dataclass(frozen=True)
class OrderPlan:
    """The orders of one session.

    Attributes:
        orders: sells first, then buys, each by symbol.
        untraded: what could not or shall not be traded.
        capital: value of the account before, in its currency.
        cash: what is left uninvested when every order is filled at its price, after costs.
        positions: shares by symbol after the orders.
    """

    orders: tuple[Order, ...]
    untraded: tuple[Untraded, ...]
    capital: float
    cash: float
    positions: Mapping[str, float]

    @property
    def turnover(self) -> float:
        """Traded notional as a fraction of capital."""
        return sum(order.notional for order in self.orders) / self.capital

    @property
    def cost(self) -> float:
        """Expected cost of all orders."""
        return sum(order.cost for order in self.orders)

    def to_document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "capital": self.capital,
            "cash": self.cash,
            "turnover": self.turnover,
            "cost": self.cost,
            "orders": [
                {
                    "symbol": order.symbol,
                    "side": order.side,
                    "shares": order.shares,
                    "price": order.price,
                    "notional": order.notional,
                    "cost": order.cost,
                }
                for order in self.orders
            ],
            "untraded": [{"symbol": one.symbol, "shares": one.shares, "reason": one.reason} for one in self.untraded],
            "positions": dict(self.positions),
        }


def plan_orders(
    weights: Mapping[str, float],
    holdings: Mapping[str, float],
    prices: Mapping[str, float],
    capital: float,
    settings: OrderSettings = OrderSettings(),
    cash: float | None = None,
) -> OrderPlan:
    """The orders that bring an account to its target weights.

    Args:
        weights: target of each traded symbol, a fraction of capital; the rest is cash.
        holdings: shares held now, negative for a short position; other symbols than those of `weights` are left alone.
        prices: as traded, of one share; a symbol without one cannot be traded.
        capital: value of the whole account, holdings and cash.
        settings: rounding, bounds and costs.
        cash: what of the capital is not invested; None: the capital without the holdings.

    Raises:
        OrderError: capital is not positive, a number is not finite, a price is not positive, the holdings whose
            price is known are worth more than the capital says and no short position explains it, or cash is not given
            and a holding has no price.
    """
    _check(weights, holdings, prices, capital)
    cash = _cash(holdings, prices, capital) if cash is None else cash
    positions = {symbol: shares for symbol, shares in holdings.items() if shares}
    untraded: list[Untraded] = [
        Untraded(symbol, shares, "held, but the universe does not trade it: left alone")
        for symbol, shares in sorted(positions.items())
        if symbol not in weights
    ]
    wanted: dict[str, float] = {}
    for symbol in sorted(weights):
        change, reason = _wanted(symbol, weights[symbol], positions.get(symbol, 0.0), prices, capital, settings)
        if reason:
            untraded.append(Untraded(symbol, change, reason))
        elif change:
            wanted[symbol] = change
    sold = [_order(symbol, change, prices, settings) for symbol, change in sorted(wanted.items()) if change < 0]
    money = cash - sum(map(_paid, sold)) + settings.borrowed * capital
    buys = {symbol: change for symbol, change in sorted(wanted.items()) if change > 0}
    filled = _affordable(buys, prices, max(money, 0.0), settings)
    untraded += [
        Untraded(symbol, round(buys[symbol] - shares, 9), "the cash does not reach")
        for symbol, shares in filled.items()
        if shares < buys[symbol]
    ]
    orders = [*sold, *(_order(symbol, shares, prices, settings) for symbol, shares in filled.items() if shares)]
    for order in orders:
        cash -= _paid(order)
        positions[order.symbol] = positions.get(order.symbol, 0.0) + order.change
    held = {symbol: shares for symbol, shares in sorted(positions.items()) if shares}
    return OrderPlan(tuple(orders), tuple(sorted(untraded, key=lambda one: one.symbol)), capital, cash, held)


def _order(symbol: str, change: float, prices: Mapping[str, float], settings: OrderSettings) -> Order:
    shares, price = abs(change), prices[symbol]
    return Order(symbol, "buy" if change > 0 else "sell", shares, price, settings.cost_of(symbol) * shares * price)


def _paid(order: Order) -> float:
    """What an order takes from the cash; negative for a sell."""
    return order.change * order.price + order.cost


def _affordable(
    buys: Mapping[str, float], prices: Mapping[str, float], money: float, settings: OrderSettings
) -> dict[str, float]:
    """Shares to buy where the money does not reach for all: of each the same part, what rounding leaves by lots.

    A lot more goes to the symbol of which the largest part is missing, as long as one can be paid.
    """
    each = {symbol: prices[symbol] * (1.0 + settings.cost_of(symbol)) for symbol in buys}
    total = sum(shares * each[symbol] for symbol, shares in buys.items())
    if total <= money:
        return dict(buys)
    filled = {symbol: _lots(shares * money / total, settings.lot) for symbol, shares in buys.items()}
    while True:
        left = money - sum(shares * each[symbol] for symbol, shares in filled.items())
        missing = {
            symbol: 1.0 - filled[symbol] / shares
            for symbol, shares in buys.items()
            if filled[symbol] < shares and each[symbol] * settings.lot <= left
        }
        if not missing:
            return filled
        symbol = max(missing, key=lambda one: missing[one])
        filled[symbol] = round(filled[symbol] + settings.lot, 9)


def _cash(holdings: Mapping[str, float], prices: Mapping[str, float], capital: float) -> float:
    """What the holdings leave of the capital; a holding of unknown worth would be spent a second time."""
    unknown = sorted(symbol for symbol, shares in holdings.items() if shares and symbol not in prices)
    if unknown:
        raise OrderError(
            f"{', '.join(unknown)}: held, and no price of that session is stored, so that nobody can tell what of the "
            "capital is cash: leave it out of the holdings, and its worth out of the capital"
        )
    return capital - sum(shares * prices[symbol] for symbol, shares in holdings.items() if shares)


def _wanted(
    symbol: str, weight: float, held: float, prices: Mapping[str, float], capital: float, settings: OrderSettings
) -> tuple[float, str]:
    """Shares to trade, and why they are not traded; the reason is empty when they are."""
    if symbol not in prices:
        return 0.0, "no price is known"
    price = prices[symbol]
    change = _lots(weight * capital / price, settings.lot) - held
    if change == 0.0:
        return 0.0, "" if held or not weight else "its target is less than one lot"
    closes = weight == 0.0
    if not closes and abs(weight * capital - held * price) <= settings.no_trade_band * capital:
        return change, f"within the no-trade band of {settings.no_trade_band:.1%} of capital"
    if abs(change) * price < settings.smallest_order:
        return (
            change,
            f"worth {abs(change) * price:,.2f}, less than the smallest order of {settings.smallest_order:,.2f}",
        )
    return change, ""


def _lots(shares: float, lot: float) -> float:
    """Whole lots, rounded towards zero; a hair below a lot, as division leaves it, is that lot."""
    lots = math.trunc(shares / lot + math.copysign(1e-9, shares))
    return round(lots * lot, 9)


def _check(
    weights: Mapping[str, float], holdings: Mapping[str, float], prices: Mapping[str, float], capital: float
) -> None:
    if not (math.isfinite(capital) and capital > 0):
        raise OrderError(f"capital is {capital}: give the value of the whole account, holdings and cash")
    for what, numbers in (("weight", weights), ("holding", holdings), ("price", prices)):
        for symbol, value in numbers.items():
            if not math.isfinite(value) or (what == "price" and value <= 0):
                raise OrderError(f"the {what} of {symbol} is {value}")
    known = {symbol: shares * prices[symbol] for symbol, shares in holdings.items() if symbol in prices}
    if all(value >= 0 for value in known.values()) and sum(known.values()) > capital * 1.0001:
        raise OrderError(
            f"the holdings are worth {sum(known.values()):,.2f} at the newest closes, more than the capital of "
            f"{capital:,.2f}: give the value of the whole account, holdings and cash"
        )
