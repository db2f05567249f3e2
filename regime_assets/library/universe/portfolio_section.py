"""`traded:` and `portfolio:` of a universe file: what is held, at what cost and bounds, and how it is spread.

`traded: [SPY]` alone means equal parts, one cost, and cash that earns nothing. As soon as an instrument has settings of
its own, or there is a `portfolio:`, weights drift between decisions and everything below is accounted for.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from regime_assets.library.universe.sections import MisplacedError, Section, Symbol

Role = Literal["risk", "refuge"]
Allocation = Literal["equal_parts", "inverse_volatility", "minimum_variance", "risk_parity"]


class Traded(Section):
    """An instrument that is held: on its own settings, or on those of the universe where it is a bare symbol."""

    symbol: Symbol
    role: Role = Field("risk", description="risk: held in calm regimes; refuge: held instead when risk is off")
    cost_bp: float | None = Field(None, ge=0, le=1000, description="one way; `cost_bp` of the universe when left out")
    least: float = Field(0.0, ge=0, le=1, description="smallest share of what is held of its role")
    most: float = Field(1.0, gt=0, le=1, description="largest share of what is held of its role")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Traded:
        if self.least > self.most:
            raise MisplacedError(f"least {self.least} is above most {self.most}", "least")
        return self


def as_traded(value: object) -> object:
    """A bare symbol is an instrument of the risk role with the universe's cost."""
    return value if isinstance(value, dict | Traded) else {"symbol": value}


class CashChoice(Section):
    """What cash earns: a constant, or a series of `macro` in per cent a year."""

    rate: float | None = Field(None, gt=-0.1, lt=1, description="a year, as a fraction")
    series: Symbol | None = Field(None, description="series of `macro`, in per cent a year, as known on each session")

    @model_validator(mode="after")
    def _one_of_the_two(self) -> CashChoice:
        if (self.rate is None) == (self.series is None):
            raise ValueError("cash earns a rate or what a series says: name one of the two")
        return self


def as_cash(value: object) -> object:
    """A bare number is the rate."""
    return {"rate": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class BorrowingChoice(Section):
    """More than the whole capital may be invested, at a price."""

    most: float = Field(gt=1, le=5, description="largest sum of the weights")
    rate: float = Field(ge=0, lt=1, description="a year over cash, on what is borrowed")


class ShortingChoice(Section):
    """Instruments may be sold short, at a price."""

    most: float = Field(gt=0, le=2, description="largest sum of what is sold short, a fraction of capital")
    rate: float = Field(ge=0, lt=1, description="a year, on the notional that is sold short")


class PortfolioChoice(Section):
    """How what is traded is spread, and on what terms it is held."""

    allocation: Allocation = Field("equal_parts", description="of the risk instruments, and of the refuges")
    allocation_sessions: int = Field(252, ge=20, description="newest sessions of a window that the allocation reads")
    by_regime: bool = Field(False, description="risk is measured in the regime's own sessions")
    risk_on: float = Field(1.0, ge=0, le=5, description="held of the risk instruments in the calmest regime")
    risk_off: float = Field(0.0, ge=-2, le=1, description="held of them in the most turbulent one")
    no_trade_band: float = Field(0.0, ge=0, lt=1, description="drift of a weight up to which nothing is traded")
    cash: Annotated[CashChoice, BeforeValidator(as_cash)] | None = Field(None, description="it earns nothing without")
    borrowing: BorrowingChoice | None = Field(None, description="off without it")
    shorting: ShortingChoice | None = Field(None, description="off without it")

    @model_validator(mode="after")
    def _within_what_is_allowed(self) -> PortfolioChoice:
        if self.risk_off >= self.risk_on:
            raise MisplacedError(f"risk_off {self.risk_off} must be below risk_on {self.risk_on}", "risk_off")
        if self.risk_on > (self.borrowing.most if self.borrowing else 1.0):
            raise MisplacedError(f"risk_on {self.risk_on} needs borrowing: {{most: ..., rate: ...}}", "risk_on")
        if -self.risk_off > (self.shorting.most if self.shorting else 0.0):
            raise MisplacedError(f"risk_off {self.risk_off} needs shorting: {{most: ..., rate: ...}}", "risk_off")
        return self
