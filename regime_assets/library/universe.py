"""A universe of instruments as configuration: one YAML file, validated, with errors that point to the line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from regime_assets.library.alerts.settings import AlertChoice
from regime_assets.library.market.membership import Membership

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"
SYMBOL_PATTERN = r"^[A-Za-z0-9^][A-Za-z0-9.^=_-]{0,31}$"

CROSS_SECTION = 3
"""Symbols that features across the section need; with fewer they are other features, and another model."""

Symbol = Annotated[str, StringConstraints(pattern=SYMBOL_PATTERN)]
Horizon = Literal["short", "long"]
HORIZONS: tuple[Horizon, ...] = ("short", "long")


class UniverseError(Exception):
    """A universe file is not valid; the message names the file, the line and the rule."""


class _MisplacedError(ValueError):
    """A setting that contradicts another one, with the place of it in the file."""

    def __init__(self, message: str, *location: int | str) -> None:
        super().__init__(message)
        self.location = location


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Watched(_Section):
    """An instrument of the cross-section, with the days on which it joins and leaves, if it does."""

    symbol: Symbol
    first: date | None = Field(None, alias="from", description="first day on which it is a member")
    last: date | None = Field(None, alias="to", description="last day on which it is a member")

    @model_validator(mode="after")
    def _joins_before_it_leaves(self) -> Watched:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise _MisplacedError(f"{self.symbol} leaves before it joins", "to")
        return self


def _as_entry(value: object) -> object:
    """A bare symbol is an instrument that always is a member."""
    return value if isinstance(value, dict | Watched) else {"symbol": value}


class SourceChoice(_Section):
    """Where prices come from. Nothing ever falls back to another source."""

    kind: Literal["sample", "yahoo", "files", "alpha_vantage"] = Field(
        description="sample (embedded, no network), yahoo, files, alpha_vantage"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of that source; never a secret")


class MacroChoice(_Section):
    """Macro series, stored by vintage."""

    kind: Literal["fred"] = Field(description="fred: every vintage of FRED's archive; needs FRED_API_KEY")
    series: tuple[Symbol, ...] = Field(min_length=1, description="series ids such as UNRATE")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of that source; never a secret")


class FundamentalsChoice(_Section):
    """Company facts, stored by filing date."""

    kind: Literal["sec"] = Field(description="sec: the SEC's XBRL archive; needs SEC_CONTACT")
    symbols: tuple[Symbol, ...] = Field((), description="companies by ticker; the watched symbols when empty")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of that source, such as concepts")


class KafkaChoice(_Section):
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


class StreamChoice(_Section):
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


class WindowChoice(_Section):
    """The two training windows that run side by side."""

    short_calendar_days: int = Field(365, ge=200, description="rolling window, calendar days")
    long_half_life_sessions: int = Field(504, ge=20, description="recency half-life of the expanding window, sessions")


class RefitChoice(_Section):
    """How often the models start from scratch instead of from their last accepted state."""

    full_retrain: Literal["weekly", "monthly", "quarterly", "never"] = Field(
        "monthly", description="a full retrain on the first session of each such period"
    )
    backfill_sessions_per_run: int = Field(21, ge=1, description="partitions that one run of a backfill covers")


class WalkForwardChoice(_Section):
    """The out-of-sample record that the first materialized session is given by replaying history."""

    sessions: int = Field(504, ge=60, description="sessions replayed before the first materialized one")
    refit_every: int = Field(63, ge=1, description="sessions between two refits of the replay")


class ScheduleChoice(_Section):
    """When a session's partition is materialized, in the exchange's time zone."""

    at: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = Field(
        "00:30", description="on the day after the session, when its partition exists"
    )
    retries: int = Field(2, ge=0, le=10, description="run retries of a scheduled or drift-triggered run")
    catch_up_sessions: int = Field(21, ge=1, description="how many missed sessions are made up for, newest ones")


class QualityChoice(_Section):
    """Thresholds of the data checks that a universe may set."""

    outlier_mads: float = Field(8.0, gt=0, description="warn beyond this many MADs of 60 sessions")
    outlier_minimum: float = Field(0.08, gt=0, description="and beyond this absolute return")


class Universe(_Section):
    """One universe: what is watched, what is traded, and how its models are refitted."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    description: str = ""
    owners: tuple[str, ...] = ("team:quant",)
    source: SourceChoice
    calendar: str = "XNYS"
    history_start: date = Field(description="first session whose bars are fetched")
    first_partition: date = Field(description="first session that can be materialized")
    last_partition: date | None = Field(None, description="where the data ends; leave out for live data")
    watched: tuple[Annotated[Watched, BeforeValidator(_as_entry)], ...] = Field(
        alias="symbols", min_length=1, description="instruments whose cross-section is watched"
    )
    traded: tuple[Symbol, ...] = Field((), description="instruments held, in equal parts; the symbols when empty")
    macro: MacroChoice | None = Field(None, description="macro series; without it there is no asset for them")
    fundamentals: FundamentalsChoice | None = Field(None, description="company facts; likewise")
    stream: StreamChoice | None = Field(None, description="micro-batches; without it there is no job for them")
    cost_bp: float = Field(10.0, ge=0, le=1000, description="one-way cost of traded notional, basis points")
    sessions_per_year: float = Field(252.0, gt=0, description="365 for instruments that trade every day")
    windows: WindowChoice = WindowChoice()  # pyright: ignore[reportCallIssue]
    refit: RefitChoice = RefitChoice()  # pyright: ignore[reportCallIssue]
    walk_forward: WalkForwardChoice = WalkForwardChoice()  # pyright: ignore[reportCallIssue]
    schedule: ScheduleChoice = ScheduleChoice()  # pyright: ignore[reportCallIssue]
    quality: QualityChoice = QualityChoice()  # pyright: ignore[reportCallIssue]
    alerts: AlertChoice | None = Field(None, description="who hears of failures and decisions; nobody without it")

    @model_validator(mode="after")
    def _dates_in_order(self) -> Universe:
        if self.first_partition <= self.history_start:
            raise _MisplacedError("first_partition must lie after history_start", "first_partition")
        if self.last_partition is not None and self.last_partition < self.first_partition:
            raise _MisplacedError("last_partition must not lie before first_partition", "last_partition")
        for field in ("symbols", "traded"):
            repeated = sorted(_repeated(getattr(self, field)))
            if repeated:
                raise _MisplacedError(f"{field} names {', '.join(repeated)} more than once", field)
        return self

    @model_validator(mode="after")
    def _members_suffice(self) -> Universe:
        moving = [(place, entry) for place, entry in enumerate(self.watched) if entry.first or entry.last]
        for place, entry in moving:
            if entry.symbol in self.held:
                what = "join" if entry.first else "leave"
                raise _MisplacedError(
                    f"{entry.symbol} cannot {what}: what is traded is traded on every session", "symbols", place
                )
            if entry.last is not None and entry.last < self.history_start:
                raise _MisplacedError(
                    f"{entry.symbol} leaves before history_start and would never be read", "symbols", place, "to"
                )
            if entry.first is not None and self.last_partition is not None and entry.first > self.last_partition:
                raise _MisplacedError(
                    f"{entry.symbol} joins after last_partition and would never be read", "symbols", place, "from"
                )
        needed = min(CROSS_SECTION, len(self.watched))
        if len(self.watched) - len(moving) < needed:
            raise _MisplacedError(
                f"at least {needed} of the symbols must always be members: features need a cross-section", "symbols"
            )
        return self

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every instrument that is watched on some session."""
        return tuple(entry.symbol for entry in self.watched)

    @property
    def membership(self) -> Membership:
        """When the watched symbols that join or leave are members."""
        return Membership(
            {
                entry.symbol: (entry.first or date.min, entry.last or date.max)
                for entry in self.watched
                if entry.first or entry.last
            }
        )

    def members(self, session: date) -> tuple[str, ...]:
        """The instruments that are watched on a session."""
        return self.membership.members(self.symbols, session, session)

    @property
    def held(self) -> tuple[str, ...]:
        """The instruments that are traded."""
        return self.traded or self.symbols

    @property
    def instruments(self) -> tuple[str, ...]:
        """Every instrument whose bars are needed on some session, watched ones first."""
        return tuple(dict.fromkeys((*self.symbols, *self.traded)))

    def instruments_on(self, session: date) -> tuple[str, ...]:
        """The instruments whose bars are needed on a session, watched ones first."""
        return tuple(dict.fromkeys((*self.members(session), *self.traded)))

    @property
    def cost(self) -> float:
        """One-way cost as a fraction of traded notional."""
        return self.cost_bp / 10_000


def load_universe(path: Path) -> Universe:
    """Read and validate one universe file.

    Raises:
        UniverseError: the file is no YAML mapping or breaks a rule; every broken rule is listed with its line.
    """
    import yaml

    text = path.read_text()
    try:
        # libyaml's loader where PyYAML was built with it: every load of the code location reads every universe.
        values = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise UniverseError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise UniverseError(f"{path}: a universe file is a mapping of settings")
    try:
        return Universe.model_validate(values)
    except ValidationError as error:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        problems: list[str] = []
        for problem in error.errors():
            place = (*problem["loc"], *getattr(problem.get("ctx", {}).get("error"), "location", ()))
            name = ".".join(map(str, place)) or "universe"
            problems.append(f"{path}:{_line_of(root, place)}: {name}: {problem['msg']}")
        raise UniverseError("\n".join(problems)) from error


def load_universes(folders: Iterable[Path]) -> tuple[Universe, ...]:
    """All universes of `folders`, sorted by file name.

    Raises:
        UniverseError: a file is not valid, or two files give the same name.
    """
    universes: dict[str, Universe] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            universe = load_universe(path)
            if universe.name in universes:
                raise UniverseError(f"{path}: the name {universe.name} is already taken by another file")
            universes[universe.name] = universe
    return tuple(universes.values())


def _repeated(values: Sequence[str]) -> set[str]:
    return {value for value in values if list(values).count(value) > 1}


def _line_of(root: Any, location: Sequence[int | str]) -> int:
    """The line of the deepest YAML node on the way to `location` (a missing key has its parent's line)."""
    node, line = root, 1
    for step in location:
        children: list[Any] = node.value if isinstance(getattr(node, "value", None), list) else []
        if isinstance(step, int):
            found = children[step : step + 1]
        else:
            found = [value for key, value in children if key.value == step]
        if not found:
            return line
        node = found[0]
        line = node.start_mark.line + 1
    return line
