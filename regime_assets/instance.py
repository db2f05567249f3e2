"""The Dagster home inside the data folder, so that runs, events and data live and move together."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from regime_assets.library.home import HOME_VARIABLE, Home

TEMPLATE = Path(__file__).parent / "dagster.yaml"


def prepare_dagster_home(home: Home) -> dict[str, str]:
    """Make the Dagster home if there is none; return the environment in which Dagster's commands use it."""
    home.dagster.mkdir(parents=True, exist_ok=True)
    configuration = home.dagster / "dagster.yaml"
    if not configuration.exists():
        shutil.copyfile(TEMPLATE, configuration)
    return {**os.environ, "DAGSTER_HOME": str(home.dagster), HOME_VARIABLE: str(home.root)}
