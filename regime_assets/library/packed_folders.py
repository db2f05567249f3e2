"""Folders of fitted models as they lie in a shared storage: one object each, named by the hash of what it holds."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from regime_assets.library.atomic_files import staging_folder, write_file_atomically
from regime_assets.library.shared_files import SharedFilesError, is_shared, read_file, shown_place, write_file

_SUFFIX = ".zip"
_NAME = re.compile(r"([0-9a-f]{64})\.zip")
_FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)  # of every member of a pack: equal models are equal bytes


def pack_path(folder: Path, sha256: str) -> Path:
    """The name of the object that holds a folder's content of that hash."""
    return folder / f"{sha256}{_SUFFIX}"


def packed_sha256(path: Path) -> str | None:
    """The hash in an object's name; None where it is no pack."""
    found = _NAME.fullmatch(path.name)
    return None if found is None else found[1]


def pack(files: Mapping[str, bytes]) -> bytes:
    """The files of a folder as one object; equal files give equal bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _FIRST_MOMENT), content)
    return packed.getvalue()


def publish_folder(folder: Path, sha256: str) -> None:
    """Put the files of a folder into the storage as one object named by the hash of what they hold.

    Raises:
        SharedFilesError: the storage does not take it.
    """
    if is_shared(folder):
        write_file(pack_path(folder, sha256), pack({path.name: path.read_bytes() for path in folder.iterdir()}))


def fetch_folder(folder: Path, sha256: str) -> bool:
    """Replace a folder by what `publish_folder` put into the storage under that hash; say whether there was such.

    Raises:
        SharedFilesError: the storage does not answer, or the object is not one of ours.
    """
    if not is_shared(folder):
        return False
    packed = pack_path(folder, sha256)
    try:
        content = read_file(packed)
    except FileNotFoundError:
        return False
    with staging_folder(folder) as staging:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    if Path(name).name != name or name.startswith("."):
                        raise SharedFilesError(f"{shown_place(packed)}: holds {name!r}, which is no file of a model")
                    write_file_atomically(staging / name, archive.read(name))
        except zipfile.BadZipFile as error:
            raise SharedFilesError(
                f"{shown_place(packed)}: damaged ({error}); materialize the session's model again"
            ) from error
        if folder.exists():
            with staging_folder(folder) as aside:
                os.rename(folder, aside / "old")
        os.rename(staging, folder)
    return True
