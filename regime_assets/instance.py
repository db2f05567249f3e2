"""The Dagster home inside the data folder, so that runs, events and data live and move together."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import yaml

from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.upkeep.data_format import DataFolderError, open_data_folder

TEMPLATE = Path(__file__).parent / "dagster.yaml"
FORMER_TEMPLATES = frozenset(
    {
        "4e7abdf23c18225e588085bffc2fb0917aaf042b03801b51305f94ce3f9cc492",
        "f016f8bbcbeab751998dc576d4107149b1eae4ebade8525632d5f9e6a1f68a9e",
        "7c302efdbbc9d0e37d5145a53ddd8b7ce03f1f1737611a10add2ebaeb0a23916",
        "753ccc4685309298932b55d3a260d86b32edeae827ca28cc6dddb0099781ecc1",
        "faa0a579ce40db7e552d4c4fbe444382380d61e30ac21ebf753280e1e8c6671e",
    }
)
"""SHA-256 of each template that an older version copied: such a copy was never edited, and is brought up to date."""


def prepare_dagster_home(home: Home) -> dict[str, str]:
    """Make the Dagster home if there is none; return the environment in which Dagster's commands use it.

    Raises:
        DataFolderError: the data folder or its `dagster.yaml` cannot be used.
    """
    open_data_folder(home)
    configuration = home.dagster / "dagster.yaml"
    if not configuration.exists() or hashlib.sha256(configuration.read_bytes()).hexdigest() in FORMER_TEMPLATES:
        write_file_atomically(configuration, TEMPLATE.read_bytes())
    try:
        yaml.safe_load(configuration.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise DataFolderError(
            f"{configuration}: not readable as YAML ({told}); correct it, or move it away: it is made anew"
        ) from error
    return {**os.environ, "DAGSTER_HOME": str(home.dagster), HOME_VARIABLE: str(home.root)}
