"""Files that every machine of a deployment sees: below a URL where one is configured, else in the data folder.

A path in the data folder is the name of a file in both cases. With a shared storage, a file is written there whole and
read from there each time: no machine keeps a copy that could be stale. Fitted models are the exception, because their
hash is recorded beside them: they are kept on the machine too, and the copy is read when its hash is the recorded one.
A model lies in the storage as one object named by that hash (`packed_folders`), so that no reader finds half of it, and
a model that replaces it does not take it away from a reader of the older record.

A storage that does not answer is asked again a few times and then given up. The step fails, what it has written so far
is named by nothing, and the same step run again writes it once more.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.home import Home
from regime_assets.library.shared_storage import SharedStorage

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SHARED = frozenset({"models", "drift_thresholds", "walk_forward", "reports", "pages", "mlflow_artifacts"})
"""The folders of the data folder whose files belong to the deployment; calendars and locks are a machine's own."""

ATTEMPTS = 5
CONNECT_SECONDS, READ_SECONDS = 5, 10


class SharedFilesError(Exception):
    """The storage does not answer or refuses; the message names its URL and what to do."""


def is_shared(path: Path) -> bool:
    """Whether `path` names a file or folder of the shared storage."""
    return _place(path) is not None


def write_file(path: Path, content: bytes) -> None:
    """Replace a file by `content`; a reader sees the old or the new one.

    Raises:
        SharedFilesError: the storage does not take it.
    """
    place = _place(path)
    if place is None:
        write_file_atomically(path, content)
    else:
        _put(place, content)


def read_file(path: Path) -> bytes:
    """A file's content.

    Raises:
        FileNotFoundError: there is none.
        SharedFilesError: the storage does not answer.
    """
    place = _place(path)
    if place is None:
        return path.read_bytes()
    with _speaking(place, "read") as files:
        return _content(files, place)


@contextmanager
def local_file(path: Path) -> Generator[Path]:
    """A file on this machine with a file's content and name, for whoever takes paths only; it ends with the block."""
    if not is_shared(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(read_file(path))
        yield copy


def file_exists(path: Path) -> bool:
    """Whether there is such a file or folder now."""
    place = _place(path)
    if place is None:
        return path.exists()
    try:
        with _speaking(place, "read") as files:
            files.info(place)  # `exists` takes a storage that is down for an empty one
    except FileNotFoundError:
        return False
    return True


def listed(folder: Path) -> tuple[Path, ...]:
    """What is right below a folder, sorted and without hidden files; nothing where there is no such folder."""
    place = _place(folder)
    if place is None:
        found = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    else:
        try:
            with _speaking(place, "listed") as files:
                names = [str(name).rstrip("/") for name in files.ls(place, detail=False)]
        except FileNotFoundError:
            names = []
        found = [name.rpartition("/")[2] for name in names if name != place.rstrip("/")]
    return tuple(folder / name for name in sorted(found) if not name.startswith("."))


def folders(folder: Path) -> tuple[Path, ...]:
    """The folders right below a folder, sorted."""
    place = _place(folder)
    if place is None:
        return tuple(path for path in listed(folder) if path.is_dir())
    try:
        with _speaking(place, "listed") as files:
            found = [str(entry["name"]).rstrip("/") for entry in files.ls(place, detail=True) if _is_folder(entry)]
    except FileNotFoundError:
        found = []
    names = sorted(name.rpartition("/")[2] for name in found if name != place.rstrip("/"))
    return tuple(folder / name for name in names)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    place = _place(path)
    if place is None:
        files = path.rglob("*") if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files if file.is_file())
    with _speaking(place, "read") as storage:
        total = storage.du(place)
        assert isinstance(total, int), "no sizes of single files were asked for"
        return total


def remove(path: Path) -> None:
    """Delete a file or folder and this machine's copy of it; nothing happens where there is none."""
    place = _place(path)
    if place is not None:
        try:
            with _speaking(place, "deleted") as files:
                files.rm(place, recursive=True)
        except FileNotFoundError:
            pass
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def rename_folder(old: Path, new: Path) -> None:
    """Give a folder another name; killed in between, it can be done again. Nothing happens where there is none."""
    place, target = _place(old), _place(new)
    if place is not None and target is not None:
        with _speaking(place, "moved") as files:
            for name in files.find(place):
                files.cp_file(name, target + str(name).removeprefix(place))
            if file_exists(old):
                files.rm(place, recursive=True)
    if old.is_dir():
        old.rename(new)


def files_below(folder: Path) -> tuple[Path, ...]:
    """Every file below a folder at any depth, sorted and without hidden ones; nothing where there is no such folder."""
    place = _place(folder)
    if place is None:
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    else:
        with _speaking(place, "listed") as files:
            names = [str(name) for name in files.find(place)]
        found = (Path(name.removeprefix(place).lstrip("/")) for name in names)
    return tuple(folder / path for path in sorted(found) if not any(part.startswith(".") for part in path.parts))


def shown_place(path: Path) -> str:
    """Where a file is, for people: its URL in the storage, or its path."""
    place = _place(path)
    return str(path) if place is None else _url(place)


def _place(path: Path) -> str | None:
    """The name of a shared path within the storage; None where the path is this machine's own."""
    shared = SharedStorage.from_environment()
    if shared is None:
        return None
    try:
        parts = path.resolve().relative_to(Home.from_environment().root).parts
    except ValueError:
        return None
    if not parts or parts[0] not in SHARED or any(part.startswith(".") for part in parts):
        return None
    _, root = _storage(shared.storage, os.getpid())
    return "/".join((root.rstrip("/"), *parts))


def _put(place: str, content: bytes) -> None:
    from fsspec.implementations.local import LocalFileSystem

    try:
        with _speaking(place, "written") as files:
            if isinstance(files, LocalFileSystem):
                write_file_atomically(Path(place), content)
            else:
                files.pipe_file(place, content)
    except FileNotFoundError as error:
        raise SharedFilesError(f"{_url(place)}: cannot be written, there is no such bucket: {error}") from error


@contextmanager
def _speaking(place: str, done: str) -> Generator[AbstractFileSystem]:
    """The storage; what it raises becomes one sentence, but for a file that is not there."""
    shared = SharedStorage.from_environment()
    assert shared is not None, "there is a place only where there is a storage"
    try:
        yield _storage(shared.storage, os.getpid())[0]
    except FileNotFoundError:
        raise
    except Exception as error:  # every kind of storage has exceptions of its own
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SharedFilesError(
            f"{_url(place)}: cannot be {done} ({what}); see that the storage answers and takes the credentials of the "
            "environment, then run the step again"
        ) from error


def _url(place: str) -> str:
    shared = SharedStorage.from_environment()
    assert shared is not None, "there is a place only where there is a storage"
    _, root = _storage(shared.storage, os.getpid())
    return shared.storage + place.removeprefix(root.rstrip("/"))


def _content(files: AbstractFileSystem, place: str) -> bytes:
    content = files.cat_file(place)
    assert isinstance(content, bytes), "no encoding was asked for"
    return content


def _is_folder(entry: dict[str, Any]) -> bool:
    return entry["type"] == "directory"


@lru_cache(maxsize=4)
def _storage(url: str, process: int) -> tuple[AbstractFileSystem, str]:  # noqa: ARG001 - connections outlive no fork
    """The file system behind a URL, and the URL's path in it."""
    from fsspec.core import url_to_fs

    options: dict[str, Any] = {"auto_mkdir": True} if url.startswith("file:") else {}
    options["skip_instance_cache"] = True
    if url.startswith(("s3://", "s3a://")):
        options |= {
            "use_listings_cache": False,  # another machine may have written since
            "config_kwargs": {
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": READ_SECONDS,
                "retries": {"total_max_attempts": 1},
            },
        }
        if region := os.environ.get("AWS_REGION"):  # botocore itself reads AWS_DEFAULT_REGION alone
            options["client_kwargs"] = {"region_name": region}
    files, root = url_to_fs(url, **options)
    if "config_kwargs" in options:
        files.retries = ATTEMPTS  # s3fs asks again itself, with growing pauses
    return files, str(root)
