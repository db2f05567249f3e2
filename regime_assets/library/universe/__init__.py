"""A universe of instruments as configuration: one YAML file, validated, with errors that point to the line."""

from regime_assets.library.universe.design_section import OWN_DESIGN
from regime_assets.library.universe.file import Universe, UniverseError, load_universe
from regime_assets.library.universe.folder import BrokenUniverse, Universes, load_universes
from regime_assets.library.universe.sections import (
    HORIZONS,
    FundamentalsChoice,
    Horizon,
    KafkaChoice,
    MacroChoice,
    StreamChoice,
)

__all__ = [
    "HORIZONS",
    "OWN_DESIGN",
    "BrokenUniverse",
    "FundamentalsChoice",
    "Horizon",
    "KafkaChoice",
    "MacroChoice",
    "StreamChoice",
    "Universe",
    "UniverseError",
    "Universes",
    "load_universe",
    "load_universes",
]
