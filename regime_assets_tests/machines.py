"""Machines of one deployment in one process: each has a data folder of its own, and one at a time is this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.shared_storage import CATALOG_VARIABLE, STORAGE_VARIABLE

CATALOG = "postgresql://desk@127.0.0.1/desk"
"""Of files alone: nobody asks it."""


class Machines:
    """Machines that share the storage at a URL."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, storage: str) -> None:
        patch.setenv(STORAGE_VARIABLE, storage)
        patch.setenv(CATALOG_VARIABLE, CATALOG)
        self._root = root
        self._patch = patch

    def on(self, name: str) -> Home:
        """From now on this process is on that machine; its data folder."""
        self._patch.setenv(HOME_VARIABLE, str(self._root / name))
        return Home.from_environment()
