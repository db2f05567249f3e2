"""DuckDB's extensions as packages of PyPI bring them: loaded from their path, never downloaded.

`pip install 'regime_assets[cluster]'` installs them with the release of DuckDB that they were built for.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


class ExtensionError(Exception):
    """An extension is not there for this DuckDB; the message says what to install."""


def extension_path(name: str) -> Path:
    """The file of an extension for the DuckDB that is installed.

    Raises:
        ExtensionError: it is not installed, or for another release.
    """
    import duckdb

    package = f"duckdb_extension_{name}"
    found = find_spec(package)
    folders = [] if found is None else [Path(folder) for folder in found.submodule_search_locations or []]
    paths = [path for folder in folders for path in folder.glob(f"extensions/*/{name}.duckdb_extension")]
    for path in paths:
        if path.parent.name == f"v{duckdb.__version__}":
            return path
    others = ", ".join(sorted(path.parent.name for path in paths))
    has = f"it is installed for DuckDB {others}" if others else "it is not installed"
    raise ExtensionError(
        f"shared tables need DuckDB's extension {name} for DuckDB {duckdb.__version__}, and {has}: "
        "pip install 'regime_assets[cluster]' in an environment of its own"
    )
