"""Pickle-free files for fitted models: arrays as safetensors, everything else as JSON, a hash over both.

Every fitted object of this library (scaler, VAE, mixture, persistence, policy) can be taken apart into `Parts` and be
built from them again, so that one pair of functions stores them all and nothing is ever unpickled. Where machines share
a storage, what is written is published there, and what is read is fetched unless the copy here has the recorded hash.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.atomic_files import staging_folder
from regime_assets.library.packed_folders import fetch_folder, publish_folder
from regime_assets.library.shared_files import is_shared, read_file, write_file

ARRAYS_FILE = "arrays.safetensors"
DOCUMENT_FILE = "document.json"
NEWEST_FILE = "newest.sha256"


class Parts(NamedTuple):
    """A fitted object taken apart: named arrays and a JSON document."""

    arrays: dict[str, NDArray[Any]]
    document: dict[str, Any]


class ArtifactError(Exception):
    """A stored artifact is missing, truncated, tampered with or of a foreign format."""


def parts_hash(parts: Parts) -> str:
    """SHA-256 over names, types, shapes and bytes of the arrays and over the canonical document."""
    digest = hashlib.sha256()
    for name in sorted(parts.arrays):
        array = np.ascontiguousarray(parts.arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    digest.update(_canonical(parts.document))
    return digest.hexdigest()


def write_artifact(folder: Path, parts: Parts) -> str:
    """Write `parts` to `folder`, replacing what was there in one rename; return the parts' hash.

    Raises:
        ValueError: a number in the document is NaN or infinite.
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in parts.arrays.items()}
    sha256 = parts_hash(parts)
    document = _canonical({"sha256": sha256, "document": parts.document})
    if not _is_here(folder, sha256):
        with staging_folder(folder) as staging:
            _write_synced(staging / ARRAYS_FILE, save(arrays))
            _write_synced(staging / DOCUMENT_FILE, document)
            _replace_folder(staging, folder)
    publish_folder(folder, sha256)
    return sha256


def read_artifact(folder: Path, expected_sha256: str | None = None) -> Parts:
    """Read what `write_artifact` wrote and verify its hash.

    Args:
        folder: the artifact's folder.
        expected_sha256: the hash recorded elsewhere (registry, store); the artifact's own is always checked.

    Raises:
        ArtifactError: a file is missing, unreadable, or the content does not have the hash it should have.
        SharedFilesError: the copy here is not the one expected, and the shared storage does not answer.
    """
    try:
        return _read_here(folder, expected_sha256)
    except ArtifactError:
        if expected_sha256 is None or not fetch_folder(folder, expected_sha256):
            raise
        return _read_here(folder, expected_sha256)


def write_newest(folder: Path, parts: Parts) -> None:
    """Write an artifact whose hash is recorded nowhere else, so that `read_newest` finds it on every machine."""
    sha256 = write_artifact(folder, parts)
    if is_shared(folder):
        write_file(folder / NEWEST_FILE, sha256.encode())


def read_newest(folder: Path) -> Parts | None:
    """What `write_newest` wrote last; None when nothing was.

    Raises:
        ArtifactError, SharedFilesError: as `read_artifact`.
    """
    if not is_shared(folder):
        return read_artifact(folder) if folder.exists() else None
    try:
        recorded = read_file(folder / NEWEST_FILE).decode()
    except FileNotFoundError:
        return None
    return read_artifact(folder, recorded)


def _read_here(folder: Path, expected_sha256: str | None) -> Parts:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        envelope = json.loads((folder / DOCUMENT_FILE).read_bytes())
        arrays = load((folder / ARRAYS_FILE).read_bytes())
        parts, recorded = Parts(arrays, envelope["document"]), envelope["sha256"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ArtifactError(f"{folder}: not a readable artifact ({error})") from error
    actual = parts_hash(parts)
    if actual not in (recorded,) or (expected_sha256 is not None and actual != expected_sha256):
        expected = expected_sha256 or recorded
        raise ArtifactError(f"{folder}: content has hash {actual[:12]}…, expected {str(expected)[:12]}…")
    return parts


def _is_here(folder: Path, sha256: str) -> bool:
    try:
        _read_here(folder, sha256)
    except ArtifactError:
        return False
    return True


def prefixed(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Name `arrays` below `prefix`, so that several objects share one file."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def below(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays that `prefixed` put below `prefix`, under their own names."""
    start = f"{prefix}/"
    return {name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)}


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace_folder(staging: Path, folder: Path) -> None:
    """Put `staging` in `folder`'s place; a folder in the way is moved aside first and removed after."""
    if folder.exists():
        with staging_folder(folder) as aside:
            os.rename(folder, aside / "old")
            os.rename(staging, folder)
    else:
        os.rename(staging, folder)
