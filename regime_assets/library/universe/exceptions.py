"""What a universe's file says of single days: findings that are right after all, halts, renames.

Every entry is dated, says why, and is shown with what was made of it. Nothing is let through that is not written here
or was decided in the quarantine.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from regime_assets.library.universe.sections import MisplacedError, Section, Symbol

CLOSED = "unknown_closing"
OPEN = "unknown_session"
CALENDAR_RULES = (CLOSED, OPEN)
"""A day on which the market was closed, or open, whatever the calendar says."""

ACCEPTABLE = (
    "ordered",
    "stale_session",
    "unit_jump",
    "largest_move",
    "unapplied_split",
    "unpaid_dividend",
    "dividend_unit",
    "rescaled",
    "currency",
    *CALENDAR_RULES,
)
"""Rules whose findings can be right after all. A price that is missing, negative or no number is none to accept."""

ALL = "all"
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Accepted(Section):
    """A finding that somebody has looked at and takes for right."""

    symbol: Symbol = Field(ALL, description="whose finding; `all` for one about the whole session")
    session: date | None = Field(None, description="the session, or `from` and `to` instead")
    first: date | None = Field(None, alias="from", description="first session of a range")
    last: date | None = Field(None, alias="to", description="last session of a range")
    rule: str = Field(description="the rule that it breaks")
    reason: Words = Field(description="why it is right")
    by: Words = Field(description="who says so")

    @field_validator("rule")
    @classmethod
    def _can_be_accepted(cls, rule: str) -> str:
        if rule not in ACCEPTABLE:
            raise ValueError(f"{rule} is no rule that can be accepted; there are {', '.join(ACCEPTABLE)}")
        return rule

    @model_validator(mode="after")
    def _dated(self) -> Accepted:
        if (self.session is None) == (self.first is None or self.last is None):
            raise MisplacedError("say on which session, or from which to which: `session`, or `from` and `to`")
        if self.last is not None and self.first is not None and self.last < self.first:
            raise MisplacedError("ends before it begins", "to")
        if self.rule in CALENDAR_RULES and (self.symbol != ALL or self.session is None):
            raise MisplacedError(f"{self.rule} is about one session of all symbols", "symbol")
        return self

    @property
    def span(self) -> tuple[date, date]:
        """First and last session that it is about."""
        if self.session is not None:
            return self.session, self.session
        return self.first or date.min, self.last or date.max

    def covers(self, rule: str, symbol: str, session: date | None) -> bool:
        """Whether a finding is this one."""
        if session is None or rule != self.rule or self.symbol not in (ALL, symbol):
            return False
        return self.span[0] <= session <= self.span[1]

    @property
    def told(self) -> str:
        """The entry in one line."""
        first, last = self.span
        days = f"{first}" if first == last else f"{first} to {last}"
        return f"{self.symbol} {days}: {self.rule}: {self.reason} ({self.by})"


class Suspended(Section):
    """Sessions on which a watched instrument was not traded: no bar is asked for or read, nothing is filled in."""

    symbol: Symbol
    first: date = Field(alias="from", description="first session without trading")
    last: date | None = Field(None, alias="to", description="last one; leave out while it lasts")
    reason: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> Suspended:
        if self.last is not None and self.last < self.first:
            raise MisplacedError(f"{self.symbol} trades again before it is suspended", "to")
        return self


class Renamed(Section):
    """A listing that had another ticker: one history, stored under the ticker of each day."""

    symbol: Symbol = Field(description="the ticker today, as in symbols or traded")
    formerly: Symbol = Field(description="the ticker before")
    until: date = Field(description="last day of the former ticker")
