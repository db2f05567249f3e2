"""What a source of market data is: an interface, what it returns, how it fails.

Two kinds of failure are kept apart. What concerns one symbol (unknown, empty, unreadable) is reported in
`Fetched.failures` and leaves the other symbols' bars usable; what concerns the whole source (down, bad key, a request
that makes no sense) is a `SourceError`. No source ever fills a gap, and none falls back to another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd

PRICE_FIELDS = ("open", "high", "low", "close", "volume")
BAR_COLUMNS = ("symbol", "session", *PRICE_FIELDS)
ACTION_COLUMNS = ("symbol", "ex_session", "kind", "value")
FACT_COLUMNS = ("subject", "fact", "period", "value", "known_at")
SPLIT = "split"
DIVIDEND = "dividend"

PriceBasis = Literal["as traded", "adjusted by the vendor"]

_SYMBOL = re.compile(r"(?!.*&.*=)[A-Za-z0-9^][A-Za-z0-9.^=_&-]{0,31}", re.ASCII)


class SourceError(Exception):
    """The source as a whole cannot answer: it is down, refuses the key, or the request itself is wrong."""


class SymbolError(Exception):
    """The source works but has no usable data for this one symbol; asking again would not help."""


@dataclass(frozen=True)
class Fetched:
    """One answer of a source.

    Attributes:
        bars: columns `BAR_COLUMNS`, sorted by symbol and session; prices and volume as traded on that session,
            `session` tz-naive midnight. The close is a number; NaN elsewhere where the source gave none.
        actions: columns `ACTION_COLUMNS`; `kind` is "split" (`value` new shares per old share) or "dividend" (`value`
            cash per share as traded then). Bars from `ex_session` on trade without it.
        failures: symbol → why it has no bars here. A symbol is in `bars` or in `failures`, never in both.
        currencies: symbol → the unit of its prices as the vendor names it, such as USD, GBP, GBp; empty where it does
            not say.
    """

    bars: pd.DataFrame
    actions: pd.DataFrame
    failures: dict[str, str]
    currencies: Mapping[str, str] = field(default_factory=dict)

    def since(self, first: date) -> Fetched:
        """The answer with the bars from session `first` on, and all its actions."""
        return replace(self, bars=self.bars[self.bars["session"] >= pd.Timestamp(first)].reset_index(drop=True))


class Source(Protocol):
    """Daily bars and corporate actions of listed instruments.

    Attributes:
        name: the source's name in configuration and in the store.
        fields: the columns of `PRICE_FIELDS` that the source truly supplies.
        basis: whether its prices are those of the day, or rewritten by the vendor at each split and dividend.

    A source whose fresh bars still move has `settled_hours` besides: how many, after the end of a session's day.
    """

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    @property
    def basis(self) -> PriceBasis: ...

    def fetch(self, symbols: Sequence[str], first: date, last: date) -> Fetched:
        """Bars and actions of `symbols` from session `first` to session `last`, both included.

        Raises:
            SourceError: the whole source is unusable, or the request is malformed.
        """
        ...


@dataclass(frozen=True)
class FetchedFacts:
    """What a source of facts (macro series, company reports) answered.

    Attributes:
        facts: columns `FACT_COLUMNS`, sorted by subject, fact, period, known_at. `subject` is the symbol or series
            asked for, `fact` what is stated, `period` what it is stated about (an ISO day, or `first/last` for a flow),
            `known_at` (UTC) from when on it could be known. A revision is another row with the same subject, fact and
            period.
        failures: subject → why it has no facts here.
    """

    facts: pd.DataFrame
    failures: dict[str, str]


class FactsSource(Protocol):
    """Facts by the moment at which they became known."""

    @property
    def name(self) -> str: ...

    def fetch_facts(
        self, subjects: Sequence[str], first: date, last: date, since: Mapping[str, date] | None = None
    ) -> FetchedFacts:
        """All versions of the facts about periods that end from `first` to `last`.

        Args:
            subjects: series or companies.
            first: earliest end of a period.
            last: latest end of a period.
            since: subject → the day from which on versions were published that are asked for; what is older, and what
                only repeats it, is left out. Subjects that are not named are asked for whole.

        Raises:
            SourceError: the whole source is unusable, or the request is malformed.
        """
        ...


class History(NamedTuple):
    """One symbol's part of an answer, before it is put together.

    Attributes:
        bars: index `session` (tz-naive midnight), columns from `PRICE_FIELDS`.
        actions: columns `ex_session`, `kind`, `value`.
        currency: unit of the prices, where the vendor names it.
    """

    bars: pd.DataFrame
    actions: pd.DataFrame
    currency: str | None = None


def check_request(symbols: Sequence[str], first: date, last: date) -> tuple[str, ...]:
    """The requested symbols, after refusing what must never reach a URL or a path.

    Raises:
        SourceError: no symbols, a symbol twice, a symbol outside the allowed characters, or `first` after `last`.
    """
    if isinstance(symbols, str) or not symbols:
        raise SourceError("a fetch needs a list of at least one symbol")
    refused = [symbol for symbol in symbols if not _SYMBOL.fullmatch(symbol)]
    if refused:
        raise SourceError(
            f"refused symbols {refused!r}: a symbol is 1 to 32 letters, digits or .^=_&- (not both & and =) "
            "and starts with a letter, a digit or ^"
        )
    repeated = sorted({symbol for symbol in symbols if list(symbols).count(symbol) > 1})
    if repeated:
        raise SourceError(f"symbols requested twice: {repeated}")
    if first > last:
        raise SourceError(f"the first session {first} is after the last session {last}")
    return tuple(symbols)


def assemble(histories: Mapping[str, History], failures: Mapping[str, str]) -> Fetched:
    """Put the symbols' histories together into one answer with the columns and types that `Fetched` promises."""
    bars = [
        history.bars.reset_index(names="session").assign(symbol=symbol) for symbol, history in sorted(histories.items())
    ]
    actions = [
        history.actions.assign(symbol=symbol)
        for symbol, history in sorted(histories.items())
        if not history.actions.empty
    ]
    currencies = {symbol: history.currency for symbol, history in histories.items() if history.currency}
    return Fetched(_bar_frame(bars), _action_frame(actions), dict(failures), currencies)


def assemble_facts(
    facts: Mapping[str, pd.DataFrame], failures: Mapping[str, str], since: Mapping[str, date] | None = None
) -> FetchedFacts:
    """Put the subjects' facts together, keeping of each only the versions that changed its value.

    Args:
        facts: subject → columns fact, period, value, known_at; later rows win among those of one moment.
        failures: subject → reason.
        since: subject → the first day of publication that is wanted; versions from before it are only compared with.
    """
    parts = [frame.assign(subject=subject) for subject, frame in facts.items()]
    joined = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    frame = joined.reindex(columns=list(FACT_COLUMNS)).astype(
        {"subject": object, "fact": object, "period": object, "value": "float64", "known_at": "datetime64[ns, UTC]"}
    )
    key = ["subject", "fact", "period"]
    frame = frame.drop_duplicates([*key, "known_at"], keep="last").sort_values([*key, "known_at"])
    repeated = frame["value"] == frame.groupby(key)["value"].shift()
    days = {subject: day.isoformat() for subject, day in (since or {}).items()}
    wanted_from = end_of_day(frame["subject"].map(days).fillna("1900-01-01"))
    return FetchedFacts(frame[~repeated & (frame["known_at"] >= wanted_from)].reset_index(drop=True), dict(failures))


def end_of_day(days: pd.Series) -> pd.Series:
    """The moment in UTC at which each ISO day ends in New York, where these facts are published."""
    following = pd.to_datetime(days, format="%Y-%m-%d") + pd.Timedelta(days=1)
    return following.dt.tz_localize("America/New_York").dt.tz_convert("UTC")


def finite_numbers(values: pd.Series) -> pd.Series:
    """The values as float64.

    Raises:
        ValueError: one of them is no number, NaN or infinite.
    """
    numbers = values.astype("float64")
    if not np.isfinite(numbers).all():
        raise ValueError("a value that is NaN or infinite")
    return numbers


def no_actions() -> pd.DataFrame:
    """The actions of a symbol that had none."""
    return pd.DataFrame(
        {"ex_session": pd.DatetimeIndex([]), "kind": pd.Series(dtype=object), "value": pd.Series(dtype="float64")}
    )


def _bar_frame(parts: list[pd.DataFrame]) -> pd.DataFrame:
    joined = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    frame = joined.reindex(columns=list(BAR_COLUMNS))
    types = dict.fromkeys(PRICE_FIELDS, "float64")
    frame = frame.astype({"symbol": object, "session": "datetime64[ns]", **types})
    return frame.sort_values(["symbol", "session"], ignore_index=True)


def _action_frame(parts: list[pd.DataFrame]) -> pd.DataFrame:
    joined = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    frame = joined.reindex(columns=list(ACTION_COLUMNS))
    frame = frame.astype({"symbol": object, "ex_session": "datetime64[ns]", "kind": object, "value": "float64"})
    return frame.sort_values(["symbol", "ex_session", "kind"], ignore_index=True)
