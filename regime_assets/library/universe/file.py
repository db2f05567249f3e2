"""A universe of instruments as configuration: one YAML file, validated, with errors that point to the line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PrivateAttr, StringConstraints, ValidationError, model_validator

from regime_assets.library.clock import clock
from regime_assets.library.components import is_built_in
from regime_assets.library.universe.alert_settings import AlertChoice
from regime_assets.library.universe.design_section import (
    OWN_DESIGN,
    TAKEN,
    ChallengerChoice,
    DesignChoice,
    Name,
    require_components,
    written_design,
)
from regime_assets.library.universe.exceptions import CLOSED, OPEN, Accepted, Renamed, Suspended
from regime_assets.library.universe.gate_settings import GateSettings, StabilitySettings
from regime_assets.library.universe.membership import Membership
from regime_assets.library.universe.order_settings import OrderChoice
from regime_assets.library.universe.portfolio_section import PortfolioChoice, Traded, as_traded
from regime_assets.library.universe.sections import (
    FundamentalsChoice,
    MacroChoice,
    MisplacedError,
    QualityChoice,
    RefitChoice,
    ReportChoice,
    ScheduleChoice,
    Section,
    SourceChoice,
    StreamChoice,
    WalkForwardChoice,
    Watched,
    WindowChoice,
    as_entry,
)
from regime_assets.library.universe.signal_section import SignalChoice

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"

SESSIONS_PER_YEAR: Mapping[str, float] = {"24/7": 365.0, "24/5": 260.0}
"""Of the calendars that close on no holiday. An exchange counts 252, the field's convention, unless the file says."""

CROSS_SECTION = 3
"""Symbols that features across the section need; with fewer they are other features, and another model."""


class UniverseError(Exception):
    """A universe file is not valid; the message names the file, the line and the rule."""


class Universe(Section):
    """One universe: what is watched, what is traded, and how its models are refitted."""

    _file: Path | None = PrivateAttr(None)

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    description: str = ""
    owners: tuple[str, ...] = ("team:quant",)
    source: SourceChoice
    calendar: str = "XNYS"
    history_start: date = Field(description="first session whose bars are fetched")
    first_partition: date = Field(description="first session that can be materialized")
    last_partition: date | None = Field(None, description="where the data ends; leave out for live data")
    watched: tuple[Annotated[Watched, BeforeValidator(as_entry)], ...] = Field(
        alias="symbols", min_length=1, description="instruments whose cross-section is watched"
    )
    positions: tuple[Annotated[Traded, BeforeValidator(as_traded)], ...] = Field(
        (), alias="traded", description="instruments held, in equal parts; the symbols when empty"
    )
    spread: PortfolioChoice | None = Field(
        None, alias="portfolio", description="how what is traded is spread and held; equal parts without it"
    )
    macro: MacroChoice | None = Field(None, description="macro series; without it there is no asset for them")
    fundamentals: FundamentalsChoice | None = Field(None, description="company facts; likewise")
    stream: StreamChoice | None = Field(None, description="micro-batches; without it there is no job for them")
    cost_bp: float = Field(10.0, ge=0, le=1000, description="one-way cost of traded notional, basis points")
    sessions_per_year: float = Field(
        default_factory=lambda known: SESSIONS_PER_YEAR.get(str(known.get("calendar")), 252.0),
        gt=0,
        description="what figures are annualised by; that of the calendar when left out",
    )
    windows: WindowChoice = WindowChoice()  # pyright: ignore[reportCallIssue]
    refit: RefitChoice = RefitChoice()  # pyright: ignore[reportCallIssue]
    walk_forward: WalkForwardChoice = WalkForwardChoice()  # pyright: ignore[reportCallIssue]
    schedule: ScheduleChoice = ScheduleChoice()  # pyright: ignore[reportCallIssue]
    reports: ReportChoice = ReportChoice()  # pyright: ignore[reportCallIssue]
    quality: QualityChoice = QualityChoice()  # pyright: ignore[reportCallIssue]
    design: DesignChoice = Field(DesignChoice(), description="how models are fitted")  # pyright: ignore[reportCallIssue]
    challengers: dict[Name, ChallengerChoice] = Field(
        default_factory=dict, description="other designs by name, each by what it changes of `design`"
    )
    gate: GateSettings = Field(GateSettings(), description="bounds of the gate's rules")
    stability: StabilitySettings = Field(StabilitySettings(), description="bounds of a refit's regimes")
    accept: tuple[Accepted, ...] = Field((), description="findings in the data that are right after all, dated")
    suspended: tuple[Suspended, ...] = Field((), description="sessions on which watched symbols were not traded")
    renamed: tuple[Renamed, ...] = Field((), description="listings that had another ticker")
    signal: SignalChoice = SignalChoice()  # pyright: ignore[reportCallIssue]
    orders: OrderChoice = OrderChoice()  # pyright: ignore[reportCallIssue]
    alerts: AlertChoice | None = Field(None, description="who hears of failures and decisions; nobody without it")

    @model_validator(mode="after")
    def _dates_in_order(self) -> Universe:
        if self.first_partition <= self.history_start:
            raise MisplacedError(
                f"{self.first_partition} must lie after history_start {self.history_start}, and 300 sessions and a "
                f"window later than it: `regime-assets check {self.name}` names the first possible one",
                "first_partition",
            )
        if self.last_partition is not None and self.last_partition < self.first_partition:
            raise MisplacedError("last_partition must not lie before first_partition", "last_partition")
        if self.first_partition > clock.today() + timedelta(days=1):
            raise MisplacedError(
                f"{self.first_partition} has not come yet, so there is no session to materialize", "first_partition"
            )
        self.source.require_options()
        if "positions" in self.model_fields_set and not self.traded:
            raise MisplacedError("names nothing: say what is held, or leave the line out to hold the symbols", "traded")
        for field in ("symbols", "traded"):
            repeated = sorted(_repeated(getattr(self, field)))
            if repeated:
                raise MisplacedError(f"{field} names {', '.join(repeated)} more than once", field)
        spellings = sorted(_repeated([symbol.upper() for symbol in self.instruments]))
        if spellings:
            raise MisplacedError(f"{', '.join(spellings)} differ in upper and lower case only", "symbols")
        return self

    @model_validator(mode="after")
    def _a_portfolio_can_be_held(self) -> Universe:
        for role in ("risk", "refuge"):
            named = [(place, one) for place, one in enumerate(self.positions) if one.role == role]
            if named and sum(one.least for _, one in named) > 1 + 1e-9:
                raise MisplacedError(f"the least shares of role {role} add up to more than 1", "traded", named[0][0])
            if named and sum(one.most for _, one in named) < 1 - 1e-9:
                raise MisplacedError(f"the most shares of role {role} add up to less than 1", "traded", named[0][0])
        if self.positions and all(one.role == "refuge" for one in self.positions):
            raise MisplacedError("a refuge is held when risk is off: name what is held when it is on", "traded")
        most = self.spread.borrowing.most if self.spread and self.spread.borrowing else 1.0
        if most > self.gate.exposure_limit:
            raise MisplacedError(
                f"{most:g} is above gate.exposure_limit {self.gate.exposure_limit:g}, so that nothing that borrows is "
                "ever promoted: raise the limit as well",
                "portfolio",
                "borrowing",
                "most",
            )
        cash = self.spread.cash if self.spread else None
        if cash and cash.series and cash.series not in (self.macro.series if self.macro else ()):
            raise MisplacedError(f"{cash.series} is none of the series of macro", "portfolio", "cash", "series")
        return self

    @model_validator(mode="after")
    def _members_suffice(self) -> Universe:
        moving = [(place, entry) for place, entry in enumerate(self.watched) if entry.first or entry.last]
        for place, entry in moving:
            if entry.symbol in self.held:
                what = "join" if entry.first else "leave"
                raise MisplacedError(
                    f"{entry.symbol} cannot {what}: what is traded is traded on every session", "symbols", place
                )
            if entry.last is not None and entry.last < self.history_start:
                raise MisplacedError(
                    f"{entry.symbol} leaves before history_start and would never be read", "symbols", place, "to"
                )
            if entry.first is not None and self.last_partition is not None and entry.first > self.last_partition:
                raise MisplacedError(
                    f"{entry.symbol} joins after last_partition and would never be read", "symbols", place, "from"
                )
        needed = min(CROSS_SECTION, len(self.watched))
        if len(self.watched) - len(moving) < needed:
            raise MisplacedError(
                f"at least {needed} of the symbols must always be members: features need a cross-section", "symbols"
            )
        return self

    @model_validator(mode="after")
    def _exceptions_concern_this_universe(self) -> Universe:
        for place, halt in enumerate(self.suspended):
            if halt.symbol in self.held:
                raise MisplacedError(
                    f"{halt.symbol} cannot be suspended: what is traded has a price on every session (state its last "
                    "price with `regime-assets quarantine correct`, or take it out of traded)",
                    "suspended",
                    place,
                )
            if halt.symbol not in self.symbols:
                raise MisplacedError(f"{halt.symbol} is none of the symbols", "suspended", place, "symbol")
        for place, entry in enumerate(self.accept):
            if entry.symbol not in ("all", *self.instruments):
                raise MisplacedError(f"{entry.symbol} is none of the instruments", "accept", place, "symbol")
        for place, entry in enumerate(self.renamed):
            if entry.symbol not in self.instruments:
                raise MisplacedError(f"{entry.symbol} is none of the instruments", "renamed", place, "symbol")
            if entry.formerly in self.instruments:
                raise MisplacedError(
                    f"{entry.formerly} is an instrument of its own here: name the listing once, by today's ticker",
                    "renamed",
                    place,
                    "formerly",
                )
        return self

    @model_validator(mode="after")
    def _challengers_are_designs(self) -> Universe:
        if OWN_DESIGN in self.challengers:
            raise MisplacedError("`design` is the name of the universe's own design", "challengers", OWN_DESIGN)
        seen = {written_design(self.design): "`design`"}
        for name in self.challengers:
            if name in TAKEN or "__" in name:
                taken = "is what a horizon, an asset or a group is called"
                why = "holds two underscores in a row" if "__" in name else taken
                raise MisplacedError(f"{name} {why}: give the challenger another name", "challengers", name)
            require_components(self.challenger(name), ("challengers", name))
            written = written_design(self.challenger(name))
            if written in seen:
                raise MisplacedError(
                    f"{name} is the same design as {seen[written]}: change something of it, or take it out",
                    "challengers",
                    name,
                )
            seen[written] = name
        return self

    @property
    def opened(self) -> tuple[date, ...]:
        """Days that are sessions of this universe though its calendar knows none."""
        return tuple(entry.span[0] for entry in self.accept if entry.rule == OPEN)

    @property
    def closed(self) -> tuple[date, ...]:
        """Sessions of its calendar that are none of this universe."""
        return tuple(entry.span[0] for entry in self.accept if entry.rule == CLOSED)

    @property
    def lanes(self) -> tuple[str, ...]:
        """The designs that are fitted: `design`, and the challengers by their names."""
        return (OWN_DESIGN, *self.challengers)

    def challenger(self, name: str) -> DesignChoice:
        """The whole design of a challenger."""
        return self.challengers[name].on(self.design)

    @property
    def own_components(self) -> frozenset[str]:
        """The components of the user's own that the file names: the only classes that a stored model may ask for."""
        designs = [self.design, *(self.challenger(name) for name in self.challengers)]
        return frozenset(
            one.use for design in designs for _, slot, one in design.components() if not is_built_in(slot, one.use)
        )

    def read_from(self, path: Path) -> Self:
        """The same universe, whose messages name the lines of a file."""
        self._file = path
        return self

    def located(self, *place: str | int) -> str:
        """`file:line: setting` of a place in the file that the universe was read from, for messages."""
        name = ".".join(map(str, place))
        return name if self._file is None else f"{self._file}:{line_of(self._file, place)}: {name}"

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
        ).without((halt.symbol, halt.first, halt.last or date.max) for halt in self.suspended)

    def members(self, session: date) -> tuple[str, ...]:
        """The instruments that are watched on a session."""
        return self.membership.members(self.symbols, session, session)

    @property
    def traded(self) -> tuple[str, ...]:
        """The instruments that `traded:` names."""
        return tuple(one.symbol for one in self.positions)

    @property
    def held(self) -> tuple[str, ...]:
        """The instruments that are traded."""
        return self.traded or self.symbols

    @property
    def holdings(self) -> tuple[Traded, ...]:
        """What is held, with its settings."""
        return self.positions or tuple(Traded(symbol=symbol) for symbol in self.symbols)  # pyright: ignore[reportCallIssue]

    @property
    def portfolio(self) -> PortfolioChoice | None:
        """How what is held is spread and on what terms; None where it is held in equal parts at one cost."""
        if self.spread is None and any(one.model_fields_set != {"symbol"} for one in self.positions):
            return PortfolioChoice()  # pyright: ignore[reportCallIssue]
        return self.spread

    @property
    def refuges(self) -> tuple[str, ...]:
        """The instruments that are held when risk is off."""
        return tuple(one.symbol for one in self.positions if one.role == "refuge")

    def first_ticker(self, symbol: str) -> str:
        """The oldest ticker of a listing that the file names by today's."""
        former = [entry for entry in self.renamed if entry.symbol == symbol]
        return min(former, key=lambda entry: entry.until).formerly if former else symbol

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

    Examples:
        >>> universe = load_universe(Path("regime_assets/universes/us_large_cap.yaml"))
        >>> universe.name, universe.calendar, universe.held
        ('us_large_cap', 'XNYS', ('SP500',))
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
        return Universe.model_validate(values).read_from(path)
    except ValidationError as error:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        problems: list[str] = []
        for problem in error.errors():
            place = (*problem["loc"], *getattr(problem.get("ctx", {}).get("error"), "location", ()))
            name = ".".join(map(str, place)) or "universe"
            said = problem["msg"].removeprefix("Value error, ")
            if problem["type"].startswith("date_"):
                said = f"{problem['input']} is no date; write YYYY-MM-DD"
            problems.append(f"{path}:{_line_of(root, place)}: {name}: {said}")
        raise UniverseError("\n".join(problems)) from error


def _repeated(values: Sequence[str]) -> set[str]:
    return {value for value in values if list(values).count(value) > 1}


def line_of(path: Path, location: Sequence[int | str]) -> int:
    """The line of a universe file on which a setting stands."""
    import yaml

    return _line_of(yaml.compose(path.read_text(), Loader=yaml.SafeLoader), location)


def _line_of(root: Any, location: Sequence[int | str]) -> int:
    """The line of the deepest YAML node on the way to `location` (a missing key has its parent's line)."""
    node, line = root, 1
    for step in location:
        children: list[Any] = node.value if isinstance(getattr(node, "value", None), list) else []
        if isinstance(step, int):
            found = children[step : step + 1]
        else:
            found = [value for key, value in children if key.value == step]
            if not found:  # a component's settings stand beside `use` or below `settings`
                below = [value.value for key, value in children if key.value == "settings"]
                found = [value for settings in below for key, value in settings if key.value == step]
        if not found:
            return line
        node = found[0]
        line = node.start_mark.line + 1
    return line
