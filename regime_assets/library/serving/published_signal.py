"""The newest signal of a universe as a small file, for readers that cannot open the database.

DuckDB lets one process at a time open its file, so the service does not open it: whoever records an answer in the
deployment log publishes it here too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from regime_assets.library.production.names import checked_name
from regime_assets.library.production.signal import CombinedSignal, Signal, combine
from regime_assets.library.shared_files import read_file, write_file


class PublishedSignalError(Exception):
    """A published signal exists and cannot be understood."""


@dataclass(frozen=True)
class PublishedSignal:
    """What a universe's horizons say together, and who gave the answers.

    Attributes:
        universe: the universe.
        model_versions: the champion that answered, by horizon.
        decided_at: when, aware.
        signal: the combined answer.
        why: by horizon, how far each coordinate pulls towards its regime, in nats (`regimes.explanation`).
    """

    universe: str
    model_versions: Mapping[str, int]
    decided_at: datetime
    signal: CombinedSignal
    why: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return {
            "universe": self.universe,
            "model_versions": dict(self.model_versions),
            "decided_at": self.decided_at.isoformat(),
            "signal": self.signal.to_document(),
            "why": {name: dict(row) for name, row in self.why.items()},
        }


def publish_signal(artifact_root: Path, published: PublishedSignal) -> bool:
    """Replace the universe's published signal in one rename, unless a newer session's is there; say whether it did.

    A backfill of an old session thus changes the deployment log and not what is published.
    """
    try:
        newest = read_published_signal(artifact_root, published.universe)
    except PublishedSignalError:
        newest = None  # the file is a copy of what the deployment log holds: a spoiled one is replaced
    if newest is not None and newest.signal.session > published.signal.session:
        return False
    content = json.dumps(published.to_document(), allow_nan=False).encode()
    write_file(_path(artifact_root, published.universe), content)
    return True


def read_published_signal(artifact_root: Path, universe: str) -> PublishedSignal | None:
    """The newest published signal; None when there is none.

    Raises:
        PublishedSignalError: the file is not one.
    """
    path = _path(artifact_root, universe)
    try:
        fields = json.loads(read_file(path))
        if fields["universe"] != universe:
            raise ValueError(f"it is one of {fields['universe']}")
        horizons = {name: Signal.from_document(each) for name, each in fields["signal"]["horizons"].items()}
        return PublishedSignal(
            universe=fields["universe"],
            model_versions=fields["model_versions"],
            decided_at=datetime.fromisoformat(fields["decided_at"]),
            # The same bits: a combination is a function of its horizons and of what they count.
            signal=combine(horizons, fields["signal"].get("shares")),
            why=fields.get("why", {}),  # not in what was published before there was one
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PublishedSignalError(f"{path}: not a published signal ({error!r})") from error


class FollowedSignal:
    """The newest published signal, read again only when its file was replaced."""

    def __init__(self, artifact_root: Path, universe: str) -> None:
        self._artifact_root = artifact_root
        self._universe = universe
        self._path = _path(artifact_root, universe)
        self._seen: tuple[int, int, int] | None = None
        self._read: PublishedSignal | None = None

    def __call__(self) -> PublishedSignal | None:
        """The signal; None when there is none.

        Raises:
            PublishedSignalError: the file is not one.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._seen:
            self._read = read_published_signal(self._artifact_root, self._universe)
            self._seen = stamp
        return self._read


def _path(artifact_root: Path, universe: str) -> Path:
    return artifact_root / f"{checked_name(universe, 'universe')}.signal.json"
