"""The sections of a universe file, each with its settings and their defaults."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from regime_assets.library.components import CLASS_PATH, Slot, registered

SYMBOL_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9.^=_&-]{0,31}$"


def _as_written(value: object) -> object:
    """Refuse what YAML took for something else than the letters of a ticker."""
    if isinstance(value, bool | int | float):
        raise ValueError(
            f"YAML reads this ticker as {value!r}: write it in quotes, as in 'ON' or '0700' (it takes ON, NO and YES "
            "for booleans, digits for numbers)"
        )
    return value


Symbol = Annotated[str, BeforeValidator(_as_written), StringConstraints(pattern=SYMBOL_PATTERN)]
Fact = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+:[A-Za-z0-9]+ [A-Za-z0-9/_-]+$")]
Horizon = Literal["short", "long"]
HORIZONS: tuple[Horizon, ...] = ("short", "long")


class MisplacedError(ValueError):
    """A setting that contradicts another one, with the place of it in the file."""

    def __init__(self, message: str, *location: int | str) -> None:
        super().__init__(message)
        self.location = location


class Section(BaseModel):
    """What all sections share: unknown settings are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Watched(Section):
    """An instrument of the cross-section, with the days on which it joins and leaves, if it does."""

    symbol: Symbol
    first: date | None = Field(None, alias="from", description="first day on which it is a member")
    last: date | None = Field(None, alias="to", description="last day on which it is a member")
    last_price: float | None = Field(None, gt=0, description="its close on that day, as traded, where it was delisted")

    @model_validator(mode="after")
    def _joins_before_it_leaves(self) -> Watched:
        if self.last_price is not None and self.last is None:
            raise MisplacedError(f"{self.symbol} has a last price but no last day: write to: as well", "last_price")
        if self.first is not None and self.last is not None and self.last < self.first:
            raise MisplacedError(f"{self.symbol} leaves before it joins", "to")
        return self


def as_entry(value: object) -> object:
    """A bare symbol is an instrument that always is a member."""
    return value if isinstance(value, dict | Watched) else {"symbol": value}


def _price_source(kind: str) -> str:
    return _known_source(kind, ("sample", "yahoo", "files", "alpha_vantage"), "sources")


def _facts_source(kind: str) -> str:
    return _known_source(kind, ("fred", "sec"), "facts")


def _known_source(kind: str, built_in: tuple[str, ...], slot: Slot) -> str:
    """A built-in name, a class path, or a name that an installed package registers."""
    if kind in built_in or CLASS_PATH.fullmatch(kind):
        return kind
    others = sorted(registered(slot))
    if kind not in others:
        names = ", ".join((*built_in, *others))
        raise ValueError(f"{kind!r} is no source; there are {names}, or name your own as package.module:Class")
    return kind


SOURCE_OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sample": ((), ()),
    "files": (("folder",), ("fields", "adjusted")),
    "yahoo": ((), ("base_url", "pause", "timeout", "attempts", "backoff", "ready_minutes", "settled_hours")),
    "alpha_vantage": ((), ("api_key_env", "base_url", "pause", "timeout", "attempts", "backoff")),
}
"""Built-in source of prices → the options that it needs, and those that it takes besides.

Written here because a universe is loaded without importing a vendor's client; a test holds them to the classes.
"""


class SourceChoice(Section):
    """Where prices come from. Nothing ever falls back to another source."""

    kind: Annotated[str, AfterValidator(_price_source)] = Field(
        description="sample (embedded, no network), yahoo, files, alpha_vantage; or your own, as package.module:Class"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of that source; never a secret")

    def require_options(self) -> None:
        """Raise a MisplacedError for an option that a built-in source does not take, or lacks."""
        if self.kind not in SOURCE_OPTIONS:
            return
        needed, others = SOURCE_OPTIONS[self.kind]
        takes = ", ".join((*needed, *others)) or "none"
        for name in self.options:
            if name not in (*needed, *others):
                raise MisplacedError(
                    f"{name} is no option of {self.kind}, which takes {takes}", "source", "options", name
                )
        for name in needed:
            if name not in self.options:
                place = ("source", "options") if self.options else ("source",)
                raise MisplacedError(f"{self.kind} needs options: {{{name}: ...}}", *place)


def _refuse_repeated(features: tuple[str, ...]) -> None:
    for place, name in enumerate(features):
        if name in features[:place]:
            raise MisplacedError(f"{name} is named more than once", "features", place)


class MacroChoice(Section):
    """Macro series, stored by vintage."""

    kind: Annotated[str, AfterValidator(_facts_source)] = Field(
        description="fred: every vintage of FRED's archive; needs FRED_API_KEY; or your own, as package.module:Class"
    )
    series: tuple[Symbol, ...] = Field(min_length=1, description="series ids such as UNRATE")
    features: tuple[Symbol, ...] = Field((), description="those of the series that models read; none by default")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of that source; never a secret")

    @model_validator(mode="after")
    def _features_are_fetched(self) -> MacroChoice:
        _refuse_repeated(self.features)
        for place, name in enumerate(self.features):
            if name not in self.series:
                raise MisplacedError(f"{name} is none of the series", "features", place)
        return self


class FundamentalsChoice(Section):
    """Company facts, stored by filing date."""

    kind: Annotated[str, AfterValidator(_facts_source)] = Field(
        description="sec: the SEC's XBRL archive; needs SEC_CONTACT; or your own, as package.module:Class"
    )
    symbols: tuple[Symbol, ...] = Field((), description="companies by ticker; the watched symbols when empty")
    features: tuple[Fact, ...] = Field((), description="facts that models read, such as 'us-gaap:Assets USD'")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of that source, such as concepts")

    @model_validator(mode="after")
    def _features_are_named_once(self) -> FundamentalsChoice:
        _refuse_repeated(self.features)
        return self


class KafkaChoice(Section):
    """A topic whose messages are bars."""

    bootstrap_servers: Annotated[str, StringConstraints(pattern=r"^[\w.\[\]:-]+:\d+(,[\w.\[\]:-]+:\d+)*$")] = Field(
        description="host:port of one or more brokers, separated by commas"
    )
    topic: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    security: Literal["plaintext", "ssl", "sasl_ssl"] = Field(
        "plaintext", description="sasl_ssl takes its user from KAFKA_USERNAME and KAFKA_PASSWORD"
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="how sasl_ssl proves the password"
    )


class StreamChoice(Section):
    """Where bars arrive between two daily runs: in a folder, in a topic, or in both."""

    folder: Path | None = Field(
        None, description="each new or changed .csv or .parquet file in it is one batch of bars"
    )
    kafka: KafkaChoice | None = Field(None, description="each message of a topic is one bar; needs the extra `kafka`")

    @model_validator(mode="after")
    def _somewhere(self) -> StreamChoice:
        if self.folder is None and self.kafka is None:
            raise ValueError("a stream needs a folder, a kafka topic, or both")
        return self


class WindowChoice(Section):
    """The two training windows that run side by side."""

    short_calendar_days: int = Field(365, ge=200, description="rolling window, calendar days")
    long_half_life_sessions: int = Field(504, ge=20, description="recency half-life of the expanding window, sessions")


class Cadence(Section):
    """How often the models of each horizon are refitted, on the last session of each such period."""

    short: Literal["daily", "weekly", "monthly"] = Field("daily", description="of the rolling window")
    long: Literal["daily", "weekly", "monthly"] = Field("daily", description="of the expanding window")

    def of(self, horizon: Horizon) -> str:
        """The cadence of one horizon."""
        return self.short if horizon == "short" else self.long


def as_cadence(value: object) -> object:
    """A bare word is the cadence of both horizons."""
    return {"short": value, "long": value} if isinstance(value, str) else value


class RefitChoice(Section):
    """How often models are refitted, and how often from scratch instead of from their last accepted state."""

    every: Annotated[Cadence, BeforeValidator(as_cadence)] = Field(
        Cadence(),  # pyright: ignore[reportCallIssue]
        description="daily, weekly or monthly, of both horizons or of each",
    )
    full_retrain: Literal["weekly", "monthly", "quarterly", "never"] = Field(
        "monthly", description="a full retrain at the first refit of each such period"
    )
    policy_updates: Literal["episodes", "online"] = Field(
        "episodes", description="between full retrains: fine-tunes over episodes, or updates by the newest session"
    )
    backfill_sessions_per_run: int = Field(21, ge=1, description="partitions that one run of a backfill covers")


class WalkForwardChoice(Section):
    """The out-of-sample record that the first materialized session is given by replaying history."""

    sessions: int = Field(504, ge=60, description="sessions replayed before the first materialized one")
    refit_every: int = Field(63, ge=1, description="sessions between two refits of the replay")


class ScheduleChoice(Section):
    """When a session's partition is materialized, in the exchange's time zone."""

    at: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = Field(
        "00:30", description="on the day after the session, when its partition exists"
    )
    retries: int = Field(2, ge=0, le=10, description="run retries of a scheduled or drift-triggered run")
    catch_up_sessions: int = Field(21, ge=1, description="how many missed sessions are made up for, newest ones")


class ReportChoice(Section):
    """Which reports are written. A session's run writes its own; materialize a session by itself to have one later."""

    backfill: Literal["last", "every"] = Field(
        "last", description="of a run over several sessions: reports and pictures of its last session, or of every one"
    )
    evidently_tables: Literal["on_alarm", "every"] = Field(
        "on_alarm", description="Evidently's tables of drift: on sessions that are not calm, or on every one reported"
    )


class QualityChoice(Section):
    """Thresholds of the data checks that a universe may set."""

    outlier_mads: float = Field(8.0, gt=0, description="warn beyond this many MADs of 60 sessions")
    outlier_minimum: float = Field(0.08, gt=0, description="and beyond this absolute return")
    held_back_share: float = Field(
        0.2, ge=0, le=0.5, description="share of the watched symbols that may be held back on a session; one always may"
    )
    revision: float = Field(0.001, gt=0, description="warn of a stored price that changes by more than this, relative")
