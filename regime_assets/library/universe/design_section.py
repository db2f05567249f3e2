"""`design:` and `challengers:` of a universe file: which components read the market, with which settings.

A component is a bare word (`market_risk`), or a mapping with `use` and its settings beside it or below `settings`. What
is built in is validated when the file is read. A component of the user's own is looked for, but not imported: that
happens where it is used first, so that a code location does not load every universe's models (`validated_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from regime_assets.library.components import BUILT_IN, Slot, class_path, settings_class
from regime_assets.library.universe.sections import Section

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]

OWN_DESIGN = "design"
"""The lane of the universe's own design; challengers have their names."""

TAKEN: frozenset[str] = frozenset(
    {
        *("short", "long", "market", "signal", "monitoring"),
        *("raw_prices", "corporate_actions", "macro", "fundamentals", "validated_window", "daily_signal"),
        *("vae", "latents", "gmm", "rl_policy", "backtest_report", "promotion", "champion"),
        *("drift_report", "live_performance", "walk_forward"),
    }
)
"""Names of horizons, assets and groups, below which a challenger's assets cannot stand."""

SLOTS: Mapping[str, Slot] = {
    "features": "features",
    "encoder": "encoders",
    "regimes": "regimes",
    "policy": "policies",
}
"""Field of a design → slot of its components."""

SHIPPED: Mapping[str, str] = {"features": "market_risk", "encoder": "mlp_vae", "regimes": "jump", "policy": "tilts"}
"""The components of the shipped design."""

FROM_THE_UNIVERSE: Mapping[Slot, Mapping[str, str]] = {
    "policies": {"online": "refit.policy_updates", "sessions_per_year": "sessions_per_year"},
    "regimes": {"sessions_per_year": "sessions_per_year"},
}
"""Settings of a component that another setting of the file decides."""


Defaults = Mapping[tuple[Slot, str], Mapping[str, Any]]

EDITIONS: Mapping[int, Defaults] = {
    1: {},
    2: {("regimes", "jump"): {"persistence": {"short_window_target": 3.0}, "young_years": 5.0}},
}
"""Edition of the shipped defaults → component → what differs in it from the component's settings class.

The defaults of a settings class are edition 1 and stay what they are, because a universe that leaves a setting out
means them. Better ones are another edition, which a universe asks for by `design: {defaults: 2}`: another design.
"""


class ComponentChoice(Section):
    """A component and the settings that were written down for it."""

    use: str = Field(description="a built-in name, a registered one, or package.module:Class")
    settings: dict[str, Any] = Field(default_factory=dict, description="of the component; its defaults when left out")


class ComponentPatch(Section):
    """What a challenger changes of one component: the settings that differ, or another component."""

    use: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


def _collected(value: object) -> object:
    """`use` and `settings` from a bare word, or from a mapping whose other words are settings."""
    if isinstance(value, str):
        return {"use": value}
    if not isinstance(value, dict):
        return value
    words = {str(name): content for name, content in value.items()}
    written = words.pop("settings", None)
    settings = {} if written is None else written
    if not isinstance(settings, dict):
        return value
    use = {name: words.pop(name) for name in ("use",) if name in words}
    return {**use, "settings": {**settings, **words}}


def _checked(slot: Slot, choice: ComponentChoice) -> ComponentChoice:
    """The choice, after its class was found and, where it is built in, its settings validated."""
    class_path(slot, choice.use)
    if choice.use in BUILT_IN.get(slot, {}):
        validated_settings(slot, choice)
    return choice


def validated_settings(slot: Slot, choice: ComponentChoice) -> Any:
    """The settings of a chosen component, an instance of its settings class.

    Raises:
        ComponentError: the component is not there, or is none.
        ValidationError: a setting that it does not know or take.
    """
    for name, other in FROM_THE_UNIVERSE.get(slot, {}).items():
        if name in choice.settings:
            whose = "a policy" if slot == "policies" else "regimes"
            raise ValueError(f"{name} of {whose} is what `{other}` of the universe says: set it there")
    if slot == "policies" and "cost" in dict(choice.settings.get("trading") or {}):
        raise ValueError("the cost of a policy's trades is `cost_bp` of the universe: set it there")
    return TypeAdapter(settings_class(slot, choice.use)).validate_python(choice.settings)


def _component(field: str) -> BeforeValidator:
    """The settings of a component that is not named are the shipped one's."""

    def named(value: object) -> object:
        collected = _collected(value)
        return {"use": SHIPPED[field], **collected} if isinstance(collected, dict) else collected

    return BeforeValidator(named)


def _of(field: str) -> ComponentChoice:
    return ComponentChoice(use=SHIPPED[field])  # pyright: ignore[reportCallIssue]


class DesignChoice(Section):
    """How models are fitted. What is left out is the shipped design."""

    features: tuple[Annotated[ComponentChoice, BeforeValidator(_collected)], ...] = Field(
        (_of("features"),), min_length=1, description="what is computed of the prices, in the order of its columns"
    )
    encoder: Annotated[ComponentChoice, _component("encoder")] = Field(
        _of("encoder"), description="mlp_vae, conv_vae, gru_vae, none, or package.module:Class"
    )
    regimes: Annotated[ComponentChoice, _component("regimes")] = Field(
        _of("regimes"), description="jump, mixture, online, buffer, or package.module:Class"
    )
    policy: Annotated[ComponentChoice, _component("policy")] = Field(
        _of("policy"), description="tilts, residual, exposure, weights, or package.module:Class"
    )

    defaults: int = Field(1, description="edition of the shipped defaults that what is left out means")

    @field_validator("defaults")
    @classmethod
    def _edition_exists(cls, edition: int) -> int:
        if edition not in EDITIONS:
            raise ValueError(
                f"there is no edition {edition} of the defaults; there are {', '.join(map(str, EDITIONS))}"
            )
        return edition

    @model_validator(mode="after")
    def _components_are_there(self) -> DesignChoice:
        require_components(self, ())
        return self

    def components(self) -> list[tuple[tuple[str | int, ...], Slot, ComponentChoice]]:
        """Every component with its place in the section, its slot, and the settings of the chosen edition."""
        found: list[tuple[tuple[str | int, ...], Slot, ComponentChoice]] = [
            (("features", place), "features", choice) for place, choice in enumerate(self.features)
        ]
        for field in ("encoder", "regimes", "policy"):
            found.append(((field,), SLOTS[field], getattr(self, field)))
        return [(place, slot, _of_edition(self.defaults, slot, choice)) for place, slot, choice in found]


class ChallengerChoice(Section):
    """Another design: what it changes of `design:`."""

    features: tuple[Annotated[ComponentChoice, BeforeValidator(_collected)], ...] | None = Field(None, min_length=1)
    encoder: Annotated[ComponentPatch, BeforeValidator(_collected)] | None = None
    regimes: Annotated[ComponentPatch, BeforeValidator(_collected)] | None = None
    policy: Annotated[ComponentPatch, BeforeValidator(_collected)] | None = None

    def on(self, design: DesignChoice) -> DesignChoice:
        """The whole design: `design` with what differs. Another component starts from its own defaults."""
        changed: dict[str, Any] = {}
        if self.features is not None:
            changed["features"] = self.features
        for field in ("encoder", "regimes", "policy"):
            patch: ComponentPatch | None = getattr(self, field)
            if patch is None:
                continue
            base: ComponentChoice = getattr(design, field)
            same = patch.use in (None, base.use)
            kept = _merged(base.settings, patch.settings) if same else patch.settings
            changed[field] = ComponentChoice(use=patch.use or base.use, settings=kept)
        return design.model_copy(update=changed)


def require_components(design: DesignChoice, place: tuple[str | int, ...]) -> None:
    """Refuse components that are not there, and settings that built-in ones do not take.

    Args:
        design: with every component.
        place: of the section in the file, for the lines of the messages.

    Raises:
        ValidationError: with an entry for everything that is wrong.
    """
    problems: list[InitErrorDetails] = []
    for location, slot, choice in design.components():
        try:
            _checked(slot, choice)
        except ValidationError as error:
            problems += [_problem((*place, *location, *found["loc"]), found["msg"]) for found in error.errors()]
        except ValueError as error:
            problems.append(_problem((*place, *location), str(error)))
    for number, choice in enumerate(design.features):
        if choice in design.features[:number]:
            problems.append(_problem((*place, "features", number), f"{choice.use} is named twice with equal settings"))
    if problems:
        raise ValidationError.from_exception_data("design", problems)


def written_design(design: DesignChoice) -> str:
    """What tells two designs of a file apart: components by class, with the settings that they come to.

    Settings of the user's own components count as they are written down: their classes are not loaded here.
    """
    parts: list[str] = []
    for _, slot, choice in design.components():
        built_in = choice.use in BUILT_IN.get(slot, {})
        settings = validated_settings(slot, choice) if built_in else sorted(choice.settings.items())
        parts.append(f"{slot} {class_path(slot, choice.use)} {choice.use if slot == 'policies' else ''} {settings!r}")
    return "\n".join(parts)


def _problem(location: tuple[str | int, ...], message: str) -> InitErrorDetails:
    kind = PydanticCustomError("component", "{message}", {"message": message})
    return InitErrorDetails(type=kind, loc=location, input=None)


def _of_edition(edition: int, slot: Slot, choice: ComponentChoice) -> ComponentChoice:
    defaults = EDITIONS[edition].get((slot, choice.use))
    return choice if not defaults else choice.model_copy(update={"settings": _merged(defaults, choice.settings)})


def _merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the settings of `patch`, also inside settings that are mappings themselves."""
    merged = dict(base)
    for name, value in patch.items():
        before = merged.get(name)
        merged[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged
