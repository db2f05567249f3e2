"""The code location: every universe's asset chain, the resources, and the in-process executor as default."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import dagster as dg

from regime_assets.library.home import Home
from regime_assets.library.universe import load_universes
from regime_assets.resources import DataHome, mlflow_run
from regime_assets.universe_definitions import universe_definitions

# Backfill policies and partitioned checks carry these labels in Dagster 1.13, to which pyproject.toml keeps.
for label in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=label)

UNIVERSES_VARIABLE = "REGIME_ASSETS_UNIVERSES"
SHIPPED_UNIVERSES = Path(__file__).parent / "universes"


def universes_folder() -> Path:
    """Where the universes' YAML files lie: `$REGIME_ASSETS_UNIVERSES`, or those of the package."""
    return Path(os.environ.get(UNIVERSES_VARIABLE) or SHIPPED_UNIVERSES)


def build_definitions(home: Home, universes: Path) -> dg.Definitions:
    """The definitions of all universes in a folder; tests call it with a folder and a home of their own."""
    workspaces = [universe_definitions(universe, home) for universe in load_universes([universes])]
    resources = {"data": DataHome(root=str(home.root)), "mlflow": mlflow_run}
    return dg.Definitions.merge(*workspaces, dg.Definitions(resources=resources, executor=dg.in_process_executor))


defs = build_definitions(Home.from_environment(), universes_folder())
