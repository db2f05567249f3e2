"""Which class a word of the universe file names: built in, registered by an installed package, or `module:Class`.

A component is a class (or a function made one by its slot's decorator) with two attributes of its own: `Settings`, a
frozen dataclass of pydantic whose unknown words are refused, and `version`, a whole number that its author raises when
the same settings mean another model. What else it must offer is its slot's protocol, see `docs/extending.md`.

Nothing is imported before it is asked for: the code location reads universe files without loading models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

Slot = Literal["features", "encoders", "regimes", "policies", "sources", "facts", "alerts"]

CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)

_LIBRARY = "regime_assets.library"


class ComponentError(ValueError):
    """A component is not there, or is none; the message says which and what to do."""


class BuiltIn(NamedTuple):
    """Where a component of this package is, its settings, and its version, none of which loads NumPy or torch."""

    path: str
    settings: str
    version: int


def _built_in(module: str, name: str, settings: str, version: int = 1) -> BuiltIn:
    room = module.partition(".")[0]
    return BuiltIn(f"{_LIBRARY}.{module}:{name}", f"{_LIBRARY}.{room}.settings:{settings}", version)


BUILT_IN: Mapping[Slot, Mapping[str, BuiltIn]] = {
    "features": {
        "market_risk": _built_in("features.market_risk", "MarketRisk", "FeatureSettings"),
        "relative_strength": _built_in("features.relative_strength", "RelativeStrength", "RelativeStrengthSettings"),
    },
    "encoders": {
        "mlp_vae": _built_in("encoders.mlp_vae", "MlpVae", "MlpVaeSettings"),
        "conv_vae": _built_in("encoders.conv_vae", "ConvVae", "ConvVaeSettings"),
        "gru_vae": _built_in("encoders.gru_vae", "GruVae", "GruVaeSettings"),
        "none": _built_in("encoders.no_encoder", "NoEncoder", "NoEncoderSettings"),
    },
    "regimes": {
        "jump": _built_in("regimes.jump_regimes", "JumpRegimes", "JumpSettings"),
        "mixture": _built_in("regimes.mixture_regimes", "MixtureRegimes", "MixtureSettings"),
        "online": _built_in("regimes.mixture_regimes", "OnlineRegimes", "OnlineMixtureSettings"),
        "buffer": _built_in("regimes.mixture_regimes", "BufferRegimes", "BufferSettings"),
    },
    "policies": {
        name: _built_in("policies.training", "SB3Policy", "PolicySettings")
        for name in ("tilts", "residual", "exposure", "weights")
    },
}
"""Slot → the word in the universe file → where it is. Sources, facts and channels name theirs where they are used."""


def group(slot: Slot) -> str:
    """The entry-point group under which an installed package registers its components of a slot."""
    return f"regime_assets.{slot}"


def registered(slot: Slot) -> dict[str, str]:
    """The components that installed packages register: name → `module:Class`."""
    return {entry.name: entry.value for entry in entry_points(group=group(slot))}


def class_path(slot: Slot, use: str) -> str:
    """The `module:Class` that a word names.

    Raises:
        ComponentError: it names none, or a module that is not installed.
    """
    built_in = BUILT_IN.get(slot, {}).get(use)
    if built_in is not None:
        return built_in.path
    if not CLASS_PATH.fullmatch(use):
        others = registered(slot)
        if use in others:
            return others[use]
        known = ", ".join((*BUILT_IN.get(slot, {}), *sorted(others)))
        raise ComponentError(f"{use!r} is none of {slot}: there are {known}, or name your own as package.module:Class")
    package = use.partition(":")[0].partition(".")[0]
    if find_spec(package) is None:
        raise ComponentError(f"there is no module {package}: install it, or put the folder that holds it on PYTHONPATH")
    return use


def load_class(path: str) -> Any:
    """What `module:Class` names.

    Raises:
        ComponentError: the module cannot be imported, or has no such class; the cause is attached.
    """
    module_name, _, name = path.partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ComponentError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if found is None:
        raise ComponentError(f"{path}: {module_name} has no {name}")
    return found


def load_component(slot: Slot, use: str) -> Any:
    """The component that a word names, with its `Settings` and its `version`.

    Raises:
        ComponentError: it is not there, or it lacks one of the two.
    """
    path = class_path(slot, use)
    found = load_class(path)
    if not isinstance(getattr(found, "Settings", None), type):
        raise ComponentError(f"{path} has no settings class: give it `Settings`, a frozen pydantic dataclass")
    version = getattr(found, "version", None)
    if not isinstance(version, int) or isinstance(version, bool):
        raise ComponentError(f"{path} has no version: give it `version = 1`, and raise it when its models change")
    return found


def settings_class(slot: Slot, use: str) -> type[Any]:
    """The settings class of a component; of a built-in one without loading the component itself.

    Raises:
        ComponentError: as `load_component`.
    """
    built_in = BUILT_IN.get(slot, {}).get(use)
    return load_class(built_in.settings) if built_in else load_component(slot, use).Settings


def version_of(slot: Slot, use: str) -> int:
    """The declared version of a component; of a built-in one without loading it.

    Raises:
        ComponentError: as `load_component`.
    """
    built_in = BUILT_IN.get(slot, {}).get(use)
    return built_in.version if built_in else load_component(slot, use).version


def is_built_in(slot: Slot, use: str) -> bool:
    """Whether a word names a component of this package."""
    return use in BUILT_IN.get(slot, {})
