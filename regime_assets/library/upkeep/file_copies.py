"""The files of a data folder in the form that a shared storage has, and the way back.

A fitted model is a folder here and one object there; all else is the same file under the same name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from regime_assets.library.artifact import (
    ARRAYS_FILE,
    DOCUMENT_FILE,
    NEWEST_FILE,
    ArtifactError,
    parts_hash,
    read_artifact,
)
from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.home import Home
from regime_assets.library.packed_folders import fetch_folder, pack, pack_path, packed_sha256
from regime_assets.library.production.bundle import MANIFEST_FILE
from regime_assets.library.shared_files import SHARED, files_below, read_file, remove, shown_place, write_file

AT_ONCE = 8
"""Files that are under way: each waits for the storage most of the time."""


class FileCopyError(Exception):
    """A file cannot be copied; the message says which and what to do."""


@dataclass(frozen=True)
class CopiedFiles:
    """What was copied.

    Attributes:
        count: of files or objects, each the same on both sides.
        size: theirs in bytes.
        written: of them, how many were not there yet with that content.
    """

    count: int
    size: int
    written: int


@dataclass(frozen=True)
class _Sent:
    """One file as it lies in the storage: its name, and what makes its content."""

    path: Path
    content: Callable[[], bytes]


def fill_storage(home: Home, models: Set[str]) -> CopiedFiles:
    """Make the shared files of the deployment those of the data folder, and remove others that are there.

    Args:
        home: the folder, which is this process's data folder.
        models: the names of the registered models; what else is among MLflow's artifacts is of its runs, and stays.

    Raises:
        FileCopyError: a model is damaged here, or what arrived is not what was sent.
        SharedFilesError: the storage does not take it.
    """
    places = [home.root / name for name in sorted(SHARED) if home.root / name != home.mlflow_artifacts]
    places += [home.mlflow_artifacts / name for name in sorted(models)]
    sent = [one for place in places for one in _shared_form(place)]
    there = {path for name in sorted(SHARED) for path in files_below(home.root / name)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sizes = list(pool.map(lambda one: _send(one, there), sent))
    for path in there - {one.path for one in sent}:
        _remove_there(path)
    return CopiedFiles(len(sent), sum(size for size, _ in sizes), sum(written for _, written in sizes))


def fill_folder(home: Home, recorded: Set[str]) -> CopiedFiles:
    """Put the shared files of the deployment into the data folder.

    Args:
        home: the folder, which is this process's data folder.
        recorded: the hashes of the models that tables name; a model that was replaced by another is left out.

    Raises:
        FileCopyError, SharedFilesError: as `fill_storage`.
    """
    stored = [path for name in sorted(SHARED) for path in files_below(home.root / name)]
    needed = recorded | set(_named_by_files(stored))
    fetched = [path for path in stored if (packed_sha256(path) or "") in needed or packed_sha256(path) is None]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sizes = list(pool.map(_fetch, [path for path in fetched if path.name != NEWEST_FILE]))
    return CopiedFiles(len(sizes), sum(size for size, _ in sizes), sum(written for _, written in sizes))


def _shared_form(folder: Path) -> Iterator[_Sent]:
    """The files below a folder of this machine, as the storage has them."""
    names = {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set[str]()
    if {ARRAYS_FILE, DOCUMENT_FILE} <= names:
        sha256 = _model_hash(folder)
        contents = {name: folder / name for name in names}
        yield _Sent(
            pack_path(folder, sha256), lambda: pack({name: path.read_bytes() for name, path in contents.items()})
        )
        if "drift_thresholds" in folder.parts:
            yield _Sent(folder / NEWEST_FILE, sha256.encode)
        return
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_dir():
                yield from _shared_form(path)
            elif not packed_sha256(path):
                yield _Sent(path, path.read_bytes)


def _model_hash(folder: Path) -> str:
    try:
        return parts_hash(read_artifact(folder))
    except ArtifactError as error:
        raise FileCopyError(
            f"{error}; `regime-assets doctor --repair` takes it from its bundle where there is one; otherwise "
            "materialize its session again, or delete the folder"
        ) from error


def _send(one: _Sent, there: Set[Path]) -> tuple[int, bool]:
    """Its size, and whether it was not there yet."""
    content = one.content()
    if one.path in there and _hash(read_file(one.path)) == _hash(content):
        return len(content), False
    write_file(one.path, content)
    if _hash(read_file(one.path)) != _hash(content):
        raise FileCopyError(f"{shown_place(one.path)}: what arrived is not what was sent; run it again")
    return len(content), True


def _hash(content: bytes) -> bytes:
    return sha256(content).digest()


def _remove_there(path: Path) -> None:
    """Remove an object, not the file of this machine that may have the same name."""
    if not path.exists():
        remove(path)


def _fetch(path: Path) -> tuple[int, bool]:
    content, packed = read_file(path), packed_sha256(path)
    if packed is not None:
        folder = path.parent
        if _is_model(folder, packed):
            return len(content), False
        if not fetch_folder(folder, packed) or not _is_model(folder, packed):
            raise FileCopyError(f"{shown_place(path)}: does not hold the model of that hash; the deployment is damaged")
        return len(content), True
    if path.is_file() and path.read_bytes() == content:
        return len(content), False
    write_file_atomically(path, content)
    return len(content), True


def _is_model(folder: Path, sha256: str) -> bool:
    try:
        return parts_hash(read_artifact(folder)) == sha256
    except ArtifactError:
        return False


def _named_by_files(stored: Iterable[Path]) -> Iterator[str]:
    """The hashes of the models that the files beside them name: bundles' manifests, and the newest thresholds."""
    for path in stored:
        if path.name == NEWEST_FILE:
            yield read_file(path).decode()
        elif path.name == MANIFEST_FILE:
            yield from map(str, json.loads(read_file(path))["content"]["components"].values())
