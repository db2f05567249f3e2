"""What the two horizons count in the daily signal."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from regime_assets.library.universe.sections import MisplacedError, Section


class HorizonShares(Section):
    """Shares that stay what they are."""

    short: float = Field(ge=0, le=1, description="of the rolling window")
    long: float = Field(ge=0, le=1, description="of the expanding window")

    @model_validator(mode="after")
    def _add_up(self) -> HorizonShares:
        if abs(self.short + self.long - 1.0) > 1e-9:
            raise MisplacedError(f"{self.short:g} and {self.long:g} do not add up to 1", "short")
        return self


class SignalChoice(Section):
    """How the horizons' answers become one."""

    horizons: Literal["equal", "evidence"] | HorizonShares = Field(
        "equal", description="equal, evidence (of both out-of-sample records), or {short: 0.2, long: 0.8}"
    )
