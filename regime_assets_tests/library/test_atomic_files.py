"""What is written appears whole, and is readable by whom the umask lets read."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.artifact import Parts, write_artifact
from regime_assets.library.atomic_files import staging_folder, write_file_atomically


@pytest.fixture(params=[0o022, 0o027])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_umask_decides_who_reads_files_and_models(tmp_path: Path, umask: int) -> None:
    write_file_atomically(tmp_path / "pointer.json", b"{}")
    write_artifact(tmp_path / "models" / "vae", Parts({"w": np.zeros(2)}, {}))
    assert mode(tmp_path / "pointer.json") == 0o666 & ~umask
    assert mode(tmp_path / "models" / "vae") == 0o777 & ~umask
    assert {mode(path) for path in (tmp_path / "models" / "vae").iterdir()} == {0o666 & ~umask}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_file_atomically(tmp_path / "file", b"old")
    with pytest.raises(TypeError):
        write_file_atomically(tmp_path / "file", "text")  # type: ignore[arg-type]
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_staging_folder_is_removed_when_it_was_not_renamed(tmp_path: Path) -> None:
    with staging_folder(tmp_path / "model") as staging:
        (staging / "half").write_text("")
    assert list(tmp_path.iterdir()) == []
