"""The components of the user's own that a served bundle may be made with: those that its universe's file names."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from regime_assets.library.universe import load_universes


@dataclass(frozen=True)
class NamedComponents(Container[str]):
    """Read from the file when a bundle asks for a class that is not built in, so that an edited file counts at once.

    Attributes:
        folder: of the universes' files.
        universe: whose bundles are served.
    """

    folder: Path
    universe: str

    def __contains__(self, use: object) -> bool:
        """Whether the universe names a component.

        Raises:
            UniverseError: there is no such universe in the folder, or its file does not load.
        """
        return use in load_universes([self.folder]).named(self.universe).own_components
