"""What a broker is asked for, and the limits that every order passes before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from regime_assets.library.trading.orders import Order, OrderPlan, Side


class BrokerError(Exception):
    """The broker refused or did not answer, or nothing may be sent to it."""


class LimitError(BrokerError):
    """A limit forbids to send anything of a plan."""


@dataclass(frozen=True)
class Account:
    """What an account is worth, in its currency, and the shares that it holds.

    Attributes:
        cash: as a broker says; None: the capital without the holdings.
    """

    capital: float
    holdings: dict[str, float]
    cash: float | None = None


@dataclass(frozen=True)
class Sent:
    """The broker's answer to one order.

    Attributes:
        reference: the broker's name of the order; empty when it was refused.
        client_reference: ours, so that an order is never placed twice.
        refusal: why it was refused; empty when it was taken.
    """

    order: Order
    client_reference: str
    reference: str
    refusal: str = ""


@dataclass(frozen=True)
class Fill:
    """What became of one order so far.

    Attributes:
        status: in the broker's words.
        shares: filled, positive.
        price: mean price of what was filled; None while nothing is.
    """

    client_reference: str
    symbol: str
    side: Side
    status: str
    shares: float
    price: float | None
    filled_at: datetime | None


class Broker(Protocol):
    """A place that holds an account and takes orders."""

    @property
    def name(self) -> str:
        """What the stored orders call it."""
        ...

    def account(self) -> Account:
        """The account as it is now."""
        ...

    def send(self, order: Order, client_reference: str) -> Sent:
        """Place one order for the close of the session that trades next; an order that it knows already is not
        placed again."""
        ...

    def fills(self, client_references: list[str]) -> list[Fill]:
        """What became of orders."""
        ...


@dataclass(frozen=True)
class SendLimits:
    """What may be sent.

    Attributes:
        largest_order: notional of one order, in the account's currency.
        largest_turnover: notional of all orders of a session, a fraction of capital.
    """

    largest_order: float
    largest_turnover: float


def check_limits(plan: OrderPlan, signal_session: date, newest_session: date, limits: SendLimits) -> None:
    """Refuse a plan as a whole when any limit forbids one of its orders.

    Args:
        plan: what would be sent.
        signal_session: the session whose signal it follows.
        newest_session: the newest session that is over.
        limits: the bounds.

    Raises:
        LimitError: the signal is stale, an order or the turnover is too large; nothing of the plan may be sent.
    """
    if signal_session < newest_session:
        raise LimitError(
            f"the newest signal is of {signal_session}, and the session of {newest_session} is over: nothing was sent. "
            "Materialize that session first"
        )
    for order in plan.orders:
        if order.notional > limits.largest_order:
            raise LimitError(
                f"the order to {order.side} {order.shares:g} {order.symbol} is worth {order.notional:,.2f}, more than "
                f"orders.largest_order, {limits.largest_order:,.2f}: nothing was sent"
            )
    if plan.turnover > limits.largest_turnover:
        raise LimitError(
            f"the orders trade {plan.turnover:.0%} of capital, more than orders.largest_turnover, "
            f"{limits.largest_turnover:.0%}: nothing was sent"
        )
