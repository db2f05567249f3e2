"""All universe files of some folders. One that does not load is kept as an error; the others work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from regime_assets.library.universe.file import Universe, UniverseError, load_universe


@dataclass(frozen=True)
class BrokenUniverse:
    """A universe that cannot be used.

    Attributes:
        name: the file's name without its ending, in the letters that names have.
        path: the file.
        message: what is wrong, with its line.
    """

    name: str
    path: Path
    message: str


@dataclass(frozen=True)
class Universes:
    """What the files of some folders hold.

    Attributes:
        loaded: the valid universes, sorted by file name.
        broken: the files that do not load.
        paths: the file of each valid universe, by its name.
    """

    loaded: tuple[Universe, ...]
    broken: tuple[BrokenUniverse, ...]
    paths: Mapping[str, Path]

    def named(self, name: str) -> Universe:
        """The universe of that name.

        Raises:
            UniverseError: there is none, or its file does not load.
        """
        for universe in self.loaded:
            if universe.name == name:
                return universe
        for broken in self.broken:
            if broken.name == name:
                raise UniverseError(f"{name} does not load: {broken.message}")
        there = ", ".join(sorted(universe.name for universe in self.loaded)) or "none"
        raise UniverseError("\n".join([f"there is no universe {name}; there are {there}", *self.warnings]))

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each file that does not load, and for each folder of prices that is not there."""
        unloaded = tuple(f"{broken.name} does not load: {broken.message}" for broken in self.broken)
        return (*unloaded, *self.missing_folders)

    @property
    def missing_folders(self) -> tuple[str, ...]:
        """A sentence for each folder of prices that is not there. Its universe loads: what is stored can be read."""
        return tuple(
            f"{universe.located('source', 'options', 'folder')}: {folder} does not exist; no price can be fetched "
            "until it does"
            for universe in self.loaded
            if universe.source.kind == "files" and not (folder := Path(str(universe.source.options["folder"]))).is_dir()
        )


def load_universes(folders: Iterable[Path]) -> Universes:
    """Every universe file of `folders`; of two with the same name the first one counts and the second one is broken."""
    loaded: dict[str, Universe] = {}
    paths: dict[str, Path] = {}
    broken: list[BrokenUniverse] = []
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        try:
            universe = load_universe(path)
            # A file system may not tell upper from lower case, and each universe has files of its name.
            if universe.name.lower() in map(str.lower, loaded):
                raise UniverseError(f"{path}: the name {universe.name} is already taken by another file")
            loaded[universe.name] = universe
            paths[universe.name] = path
        except (UniverseError, OSError, UnicodeDecodeError) as error:
            broken.append(BrokenUniverse(_named_after(path), path, str(error)))
    return Universes(tuple(loaded.values()), tuple(broken), paths)


def _named_after(path: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", path.stem)[:64]
    return name if name[:1].isalpha() else f"universe_{name}"[:64]
