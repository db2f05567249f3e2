"""The champion's pointer: a small JSON file that says which bundle serves, for readers without a registry.

The registry writes it after every move of the champion alias, in one rename. The serving process reads nothing
else, so it needs neither MLflow nor a connection to its store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from regime_assets.library.production.names import NameRefusedError, checked_name
from regime_assets.library.shared_files import read_file, write_file

POINTER_FILE = "champion.json"


class PointerError(Exception):
    """A pointer file exists and cannot be understood."""


@dataclass(frozen=True)
class ChampionPointer:
    """Which version of a registered model serves.

    Attributes:
        model_name: the registered model.
        version: the registry's version number.
        sha256: hash of the bundle; also the name of its folder beside the pointer.
        session: the partition that the bundle was fitted for.
    """

    model_name: str
    version: int
    sha256: str
    session: date

    def folder(self, artifact_root: Path) -> Path:
        """Where the bundle's files are."""
        return artifact_root / self.model_name / self.sha256


def pointer_path(artifact_root: Path, model_name: str) -> Path:
    """Where the pointer of a registered model is kept."""
    return artifact_root / checked_name(model_name, "model name") / POINTER_FILE


def read_pointer(artifact_root: Path, model_name: str) -> ChampionPointer | None:
    """The model's pointer; None when no champion was ever promoted.

    Raises:
        PointerError: the file is not a pointer of this model.
    """
    path = pointer_path(artifact_root, model_name)
    try:
        fields = json.loads(read_file(path))
        pointer = ChampionPointer(
            model_name=str(fields["model_name"]),
            version=int(fields["version"]),
            sha256=checked_name(fields["sha256"], "sha256"),
            session=date.fromisoformat(fields["session"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, NameRefusedError) as error:
        raise PointerError(f"{path}: not a champion pointer ({error!r})") from error
    if pointer.model_name != model_name:
        raise PointerError(f"{path}: points to the model {pointer.model_name}")
    return pointer


def write_pointer(artifact_root: Path, pointer: ChampionPointer) -> None:
    """Replace the model's pointer in one rename; a reader sees the old or the new one."""
    fields = {
        "model_name": pointer.model_name,
        "version": pointer.version,
        "sha256": pointer.sha256,
        "session": pointer.session.isoformat(),
    }
    write_file(pointer_path(artifact_root, pointer.model_name), json.dumps(fields).encode())
