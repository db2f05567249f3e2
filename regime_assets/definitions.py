"""The code location: every universe's asset chain, the resources, and the executor of all jobs."""

from __future__ import annotations

import logging
import os
import warnings
from functools import cache
from pathlib import Path

import dagster as dg

from regime_assets.broken_universe import broken_universe
from regime_assets.library.home import Home
from regime_assets.library.universe import UniverseError, load_universes
from regime_assets.resources import DataHome, mlflow_run
from regime_assets.runs.console_logger import quiet_console_logger
from regime_assets.runs.executor import run_executor
from regime_assets.runs.kept_snapshot import keep_snapshot_in_code_server
from regime_assets.runs.warm_runs import fork_runs_in_code_server, is_code_server
from regime_assets.universe_definitions import Chain, universe_chain, universe_sensors

# Backfill policies and partitioned checks carry these labels in Dagster 1.13, to which pyproject.toml keeps.
for label in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=label)

UNIVERSES_VARIABLE = "REGIME_ASSETS_UNIVERSES"
SHIPPED_UNIVERSES = Path(__file__).parent / "universes"


def universes_folder() -> Path:
    """Where the universes' YAML files lie: `$REGIME_ASSETS_UNIVERSES`, `universes` here, or those of the package.

    Raises:
        UniverseError: the variable names something that is no folder.
    """
    own = Path("universes")
    folder = Path(os.environ.get(UNIVERSES_VARIABLE) or (own if own.is_dir() else SHIPPED_UNIVERSES))
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UniverseError(f"${UNIVERSES_VARIABLE} names {folder}, which {what}: name the folder of the YAML files")
    return folder


def build_definitions(home: Home, universes: Path) -> dg.Definitions:
    """The definitions of all universes in a folder; tests call it with a folder and a home of their own.

    A universe that cannot be defined becomes an asset that shows why. The others work.
    """
    files = load_universes([universes])
    for missing in files.missing_folders:
        logging.getLogger("regime_assets").warning(missing)
    broken = [broken_universe(broken.name, broken.message) for broken in files.broken]
    chains: list[Chain] = []
    for universe in files.loaded:
        try:
            chains.append(universe_chain(universe, home))
        except Exception as error:  # whatever a universe's own settings and components raise concerns it alone
            own = type(error).__module__.startswith("regime_assets.")
            broken.append(broken_universe(universe.name, str(error) if own else f"{type(error).__name__}: {error}"))
    sensors = dg.Definitions(sensors=universe_sensors([chain.watched for chain in chains]))
    return dg.Definitions.merge(*broken, *(chain.definitions for chain in chains), sensors, shared_definitions(home))


@cache
def shared_definitions(home: Home) -> dg.Definitions:
    """Resources, executor and logger of all universes of a data folder; one object, so that definitions merge."""
    resources = {"data": DataHome(root=str(home.root)), "mlflow": mlflow_run}
    return dg.Definitions(resources=resources, executor=run_executor, loggers={"console": quiet_console_logger})


if is_code_server():
    keep_snapshot_in_code_server()
    fork_runs_in_code_server()
defs = build_definitions(Home.from_environment(), universes_folder())
