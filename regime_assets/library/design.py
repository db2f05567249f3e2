"""A design: the components that read the market, what they are set to, and the data that they are meant for.

Two models of one design differ only in the sessions that they have seen. The hash of a design covers the class of every
component, its declared version and its settings, and the universe's symbols, traded instruments, source, start of
history and the window of one horizon; prose, costs and unrelated code do not change it. Each horizon has a hash of its
own, because another short window changes no model of the long one. A setting that has its class's default is left out
of the hash, so that a setting which a later version adds changes no hash of today. Defaults themselves never change;
`design.defaults` says how new ones come in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from regime_assets.library.components import ComponentError, Slot, class_path, is_built_in, load_component, version_of
from regime_assets.library.encoders.settings import EncoderSettings, MlpVaeSettings
from regime_assets.library.features.settings import FeatureSettings
from regime_assets.library.policies.settings import OnlineSettings, OwnPolicySettings, PolicySettings
from regime_assets.library.regimes.settings import JumpSettings, RegimeSettings
from regime_assets.library.trading.portfolio import Portfolio, portfolio_of
from regime_assets.library.trading.settings import TradingSettings
from regime_assets.library.universe import OWN_DESIGN, Horizon, Universe, UniverseError
from regime_assets.library.universe.design_section import SLOTS, ComponentChoice, DesignChoice, validated_settings
from regime_assets.library.universe.sections import WindowChoice

NO_PART_OF_THE_DESIGN = {"cost", "sessions_per_year"}
"""Settings of a policy or of regimes that come from the universe and are what the record is scored by."""


@dataclass(frozen=True)
class Component:
    """A component with its settings.

    Attributes:
        slot: what it is for.
        use: its name in the universe file.
        settings: an instance of its settings class.
    """

    slot: Slot
    use: str
    settings: Any

    def load(self) -> Any:
        """The class (or decorated function) itself."""
        return load_component(self.slot, self.use)

    @property
    def own(self) -> bool:
        """Whether it is of the user's making and has to be admitted."""
        return not is_built_in(self.slot, self.use)

    def document(self) -> dict[str, Any]:
        """Its class, version, and the settings that differ from their defaults."""
        differing = _differing(asdict(self.settings), asdict(type(self.settings)()))
        path = class_path(self.slot, self.use)
        return {"class": path, "version": version_of(self.slot, self.use), "settings": differing}


@dataclass(frozen=True)
class Design:
    """How models are fitted.

    Attributes:
        features: computed of the prices, in the order of their columns.
        encoder: autoencoder of the features.
        regimes: what segments the encoder's coordinates.
        policy: what sets the exposure from regimes.
        data: what it is meant for; see `data_identity`.
        portfolio: how what is traded is spread; None where it is held in equal parts at one cost.
    """

    features: tuple[Component, ...] = field(
        default_factory=lambda: (Component("features", "market_risk", FeatureSettings()),)
    )
    encoder: Component = field(default_factory=lambda: Component("encoders", "mlp_vae", MlpVaeSettings()))
    regimes: Component = field(default_factory=lambda: Component("regimes", "jump", JumpSettings()))
    policy: Component = field(default_factory=lambda: Component("policies", "tilts", PolicySettings()))
    data: Mapping[str, Any] = field(default_factory=dict)
    portfolio: Portfolio | None = None

    @cached_property
    def memory_sessions(self) -> int:
        """Sessions before the first of a window that its features look back on."""
        return max(int(feature.load().memory_sessions(feature.settings)) for feature in self.features)

    @property
    def encoder_settings(self) -> EncoderSettings:
        """The encoder's."""
        return self.encoder.settings

    @property
    def regime_settings(self) -> RegimeSettings:
        """The regime model's."""
        return self.regimes.settings

    @property
    def components(self) -> tuple[Component, ...]:
        """All of them."""
        return (*self.features, self.encoder, self.regimes, self.policy)

    def document(self, horizon: Horizon) -> dict[str, Any]:
        """What the hash of a horizon is computed of."""
        return self._components_documented | {"data": _data_of(horizon, self.data)}

    def hash_for(self, horizon: Horizon) -> str:
        """SHA-256 of `document`: what tells a refresh (same design) from a challenge (another one)."""
        return _hashed(self.document(horizon))

    @property
    def former_hash(self) -> str:
        """What both horizons' hash was up to version 0.1, when it covered both windows; see `steps/declared_design`."""
        return _hashed(self._components_documented | {"data": dict(self.data)})

    @cached_property
    def _components_documented(self) -> dict[str, Any]:
        portfolio = {} if self.portfolio is None else {"portfolio": self.portfolio.document()}
        return {
            "features": [feature.document() for feature in self.features],
            **{name: getattr(self, name).document() for name in ("encoder", "regimes", "policy")},
            **portfolio,
        }

    @cached_property
    def features_hash(self) -> str:
        """SHA-256 of the features alone: designs that read the same features share a stored window."""
        return _hashed({"features": [feature.document() for feature in self.features]})


def design_of(universe: Universe, choice: DesignChoice | None = None, place: tuple[str, ...] = ("design",)) -> Design:
    """The design that a universe's file describes.

    Args:
        universe: with its `design:`.
        choice: another one of its designs, such as a challenger's.
        place: of `choice` in the file, for the messages.

    Raises:
        UniverseError: a component of the user's own that cannot be loaded, or does not take its settings.
    """
    chosen = choice or universe.design
    found: dict[str, list[Component]] = {name: [] for name in SLOTS}
    problems: list[str] = []
    for location, slot, one in chosen.components():
        try:
            found[str(location[0])].append(_component(universe, slot, one))
        except ValidationError as error:
            problems += [
                f"{universe.located(*place, *location, *line['loc'])}: {line['msg']}" for line in error.errors()
            ]
        except ComponentError as error:
            problems.append(f"{universe.located(*place, *location)}: {error}")
    if problems:
        raise UniverseError("\n".join(problems))
    return Design(
        tuple(found["features"]),
        found["encoder"][0],
        found["regimes"][0],
        found["policy"][0],
        data_identity(universe),
        portfolio_of(universe),
    )


def designs_of(universe: Universe) -> dict[str, Design]:
    """The design of a universe under the name `design`, and its challengers under theirs."""
    return {name: design_named(universe, name) for name in universe.lanes}


def design_named(universe: Universe, name: str) -> Design:
    """The design of one lane of a universe.

    Raises:
        UniverseError: as `design_of`.
    """
    if name == OWN_DESIGN:
        return design_of(universe)
    return design_of(universe, universe.challenger(name), ("challengers", name))


def data_identity(universe: Universe) -> dict[str, Any]:
    """The data that a design is meant for: other instruments, another window or source are another design.

    A listing with a new ticker is the same instrument.
    """
    return {
        "calendar": universe.calendar,
        "history_start": universe.history_start,
        "symbols": [[universe.first_ticker(entry.symbol), entry.first, entry.last] for entry in universe.watched],
        "traded": [universe.first_ticker(symbol) for symbol in universe.held],
        "source": [universe.source.kind, universe.source.options.get("basis")],
        "windows": universe.windows.model_dump(),
        "macro": list(universe.macro.features) if universe.macro else [],
        "fundamentals": list(universe.fundamentals.features) if universe.fundamentals else [],
    }


def _data_of(horizon: Horizon, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of one horizon.

    The other horizon's window stands there at its default, whatever it is: so the hash of a design with default
    windows is what it was when it covered both.
    """
    if "windows" not in data:
        return dict(data)
    own = {name: value for name, value in data["windows"].items() if name.startswith(horizon)}
    return {**data, "windows": WindowChoice().model_dump() | own}  # pyright: ignore[reportCallIssue]


def _hashed(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, default=str, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _component(universe: Universe, slot: Slot, choice: ComponentChoice) -> Component:
    settings = validated_settings(slot, choice)
    if isinstance(settings, PolicySettings):
        settings = _for_the_universe(settings, choice.use, universe)
    elif isinstance(settings, OwnPolicySettings):
        settings = replace(settings, sessions_per_year=round(universe.sessions_per_year))
    elif isinstance(settings, RegimeSettings):
        settings = replace(settings, sessions_per_year=universe.sessions_per_year)
    return Component(slot, choice.use, settings)


def _for_the_universe(settings: PolicySettings, use: str, universe: Universe) -> PolicySettings:
    """A built-in policy's settings with what the universe says: cost, sessions a year, ways to learn.

    An update by the newest session alone is one of a sampled algorithm: PPO's, unless another one is chosen.
    """
    _require_a_price(settings.trading, universe)
    trading = replace(settings.trading, action=use, cost=universe.cost)  # pyright: ignore[reportArgumentType]
    online = OnlineSettings() if universe.refit.policy_updates == "online" else None
    algorithm = "ppo" if online and settings.algorithm == "direct" else settings.algorithm
    sessions = round(universe.sessions_per_year)
    return replace(settings, trading=trading, algorithm=algorithm, sessions_per_year=sessions, online=online)


def _require_a_price(trading: TradingSettings, universe: Universe) -> None:
    """Refuse exposures that nobody pays for.

    Raises:
        ComponentError: a limit of the exposure that the portfolio does not allow.
    """
    chosen = universe.portfolio
    most = chosen.borrowing.most if chosen and chosen.borrowing else 1.0
    least = -chosen.shorting.most if chosen and chosen.shorting else 0.0
    if trading.highest_exposure > most:
        raise ComponentError(
            f"highest_exposure {trading.highest_exposure:g} borrows, and nothing says at what price: give "
            "`portfolio: {borrowing: {most: ..., rate: ...}}`"
        )
    if trading.lowest_exposure < least:
        raise ComponentError(
            f"lowest_exposure {trading.lowest_exposure:g} sells short, and nothing says at what price: give "
            "`portfolio: {shorting: {most: ..., rate: ...}}`"
        )


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    differing: dict[str, Any] = {}
    for name, value in values.items():
        default = defaults.get(name)
        if name in NO_PART_OF_THE_DESIGN or value == default:
            continue
        if isinstance(value, dict) and isinstance(default, dict):
            inner = _differing(value, default)
            differing |= {name: inner} if inner else {}
        else:
            differing[name] = value
    return differing
