"""The universe that a command is about, by name, and its stores."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from regime_assets.library.home import Home

if TYPE_CHECKING:
    from regime_assets.library.universe import Universe, Universes
    from regime_assets.library.workspace import Workspace


def open_universes() -> Universes:
    """Every universe, and the files that do not load.

    Raises:
        UniverseError: there is no file at all.
    """
    from regime_assets.definitions import universes_folder
    from regime_assets.library.universe import UniverseError, load_universes

    folder = universes_folder()
    universes = load_universes([folder])
    if not universes.loaded and not universes.broken:
        raise UniverseError(f"{folder} holds no universe: put a file NAME.yaml there, as docs/data.md describes")
    return universes


def open_universe(name: str | None = None) -> Universe:
    """The universe of that name; the only one when no name is given. Files that do not load are warned of.

    Raises:
        UniverseError: there is none of that name, or no name was given and there is not exactly one.
    """
    from regime_assets.library.universe import UniverseError

    universes = open_universes()
    names = sorted(universe.name for universe in universes.loaded)
    if name is None and len(names) > 1:
        raise UniverseError(f"there are several universes: say which with --universe {' or '.join(names)}")
    if name is None and not names:
        raise UniverseError("\n".join(["no universe loads:", *universes.warnings]))
    found = universes.named(names[0] if name is None else name)
    warn_of_broken(universes)
    return found


def open_workspace(name: str | None = None) -> Workspace:
    """The stores of the universe of that name."""
    from regime_assets.library.upkeep.data_format import open_data_folder
    from regime_assets.library.workspace import Workspace

    return Workspace(open_universe(name), open_data_folder(Home.from_environment()))


def warn_of_broken(universes: Universes) -> int:
    """Say on stderr which universe files do not load; 1 when there are some, else 0."""
    for warning in universes.warnings:
        print(f"regime-assets: {warning}", file=sys.stderr)
    return 1 if universes.broken else 0
