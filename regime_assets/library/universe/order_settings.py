"""How signals become orders, and whether orders are sent anywhere: by default nowhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


class OrderChoice(BaseModel):
    """Rounding, bounds and broker of `regime-assets orders`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lot: float = Field(1.0, gt=0, description="shares are multiples of it; 1 for whole shares")
    smallest_order: float = Field(0.0, ge=0, description="notional below which nothing is ordered")
    no_trade_band: float = Field(
        0.0, ge=0, lt=1, description="difference to a target weight that is left alone; of portfolio when out"
    )
    broker: Literal["alpaca_paper"] | None = Field(None, description="who orders can be sent to; nobody without it")
    address: Annotated[str, StringConstraints(pattern=r"^http://(127\.0\.0\.1|localhost):\d+$")] | None = Field(
        None, description="a server on this machine that speaks the broker's format"
    )
    largest_order: float | None = Field(None, gt=0, description="notional of one order; needed with a broker")
    largest_turnover: float | None = Field(None, gt=0, description="of a session, a fraction of capital; likewise")

    @model_validator(mode="after")
    def _a_broker_has_limits(self) -> OrderChoice:
        if self.broker is not None and (self.largest_order is None or self.largest_turnover is None):
            raise ValueError("a broker needs largest_order and largest_turnover: what may be sent at most")
        return self
