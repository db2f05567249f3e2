"""The newest signal of a model as a small file beside its champion pointer, for readers that cannot open the database.

DuckDB lets one process at a time open its file, so the service does not open it: whoever records an answer in the
deployment log publishes it here too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from regime_assets.library.production.champion_pointer import write_file_atomically
from regime_assets.library.production.names import checked_name
from regime_assets.library.production.signal import Signal

SIGNAL_FILE = "signal.json"


class PublishedSignalError(Exception):
    """A published signal exists and cannot be understood."""


@dataclass(frozen=True)
class PublishedSignal:
    """An answer and who gave it.

    Attributes:
        model_name, model_version, bundle_sha256: the champion that answered.
        decided_at: when, aware.
        signal: the answer.
    """

    model_name: str
    model_version: int
    bundle_sha256: str
    decided_at: datetime
    signal: Signal

    def to_document(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return {
            "model_name": self.model_name,
            "model_version": self.model_version,
            "bundle_sha256": self.bundle_sha256,
            "decided_at": self.decided_at.isoformat(),
            "signal": self.signal.to_document(),
        }


def publish_signal(artifact_root: Path, published: PublishedSignal) -> bool:
    """Replace the model's published signal in one rename, unless a newer session's is there; say whether it did.

    A backfill of an old session thus changes the deployment log and not what is published.
    """
    current = read_published_signal(artifact_root, published.model_name)
    if current is not None and current.signal.session > published.signal.session:
        return False
    content = json.dumps(published.to_document(), allow_nan=False).encode()
    write_file_atomically(_path(artifact_root, published.model_name), content)
    return True


def read_published_signal(artifact_root: Path, model_name: str) -> PublishedSignal | None:
    """The newest published signal; None when there is none.

    Raises:
        PublishedSignalError: the file is not one.
    """
    path = _path(artifact_root, model_name)
    try:
        fields = json.loads(path.read_bytes())
        return PublishedSignal(
            model_name=fields["model_name"],
            model_version=int(fields["model_version"]),
            bundle_sha256=fields["bundle_sha256"],
            decided_at=datetime.fromisoformat(fields["decided_at"]),
            signal=Signal.from_document(fields["signal"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PublishedSignalError(f"{path}: not a published signal ({error!r})") from error


def _path(artifact_root: Path, model_name: str) -> Path:
    return artifact_root / checked_name(model_name, "model name") / SIGNAL_FILE
