"""An artifact is what was written, or it is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from regime_assets.library.artifact import (
    ARRAYS_FILE,
    DOCUMENT_FILE,
    ArtifactError,
    Parts,
    below,
    parts_hash,
    prefixed,
    read_artifact,
    write_artifact,
)

PARTS = Parts({"weights": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"name": "x", "levels": [1, 2]})


@given(
    hnp.arrays(np.float64, hnp.array_shapes(max_dims=3), elements=st.floats(allow_nan=False)),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)),
)
def test_what_is_read_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, array, document) -> None:
    folder = tmp_path_factory.mktemp("a") / "artifact"
    sha256 = write_artifact(folder, Parts({"array": array}, document))
    read = read_artifact(folder, sha256)
    np.testing.assert_array_equal(read.arrays["array"], array)
    assert read.document == document


def test_the_hash_sees_types_shapes_names_and_values() -> None:
    base = PARTS.arrays["weights"]
    variants = [base, base.astype(np.float64), base.reshape(3, 2), base + 1]
    hashes = {parts_hash(Parts({"weights": array}, {})) for array in variants}
    hashes.add(parts_hash(Parts({"other": base}, {})))
    assert len(hashes) == 5


@pytest.mark.parametrize("file", [ARRAYS_FILE, DOCUMENT_FILE])
def test_a_changed_byte_is_refused(tmp_path: Path, file: str) -> None:
    sha256 = write_artifact(tmp_path / "a", PARTS)
    path = tmp_path / "a" / file
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError):
        read_artifact(tmp_path / "a", sha256)


@pytest.mark.parametrize("file", [ARRAYS_FILE, DOCUMENT_FILE])
def test_a_truncated_or_missing_file_is_refused(tmp_path: Path, file: str) -> None:
    write_artifact(tmp_path / "a", PARTS)
    path = tmp_path / "a" / file
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(ArtifactError):
        read_artifact(tmp_path / "a")
    path.unlink()
    with pytest.raises(ArtifactError):
        read_artifact(tmp_path / "a")


def test_another_valid_artifact_in_its_place_is_refused(tmp_path: Path) -> None:
    sha256 = write_artifact(tmp_path / "a", PARTS)
    write_artifact(tmp_path / "a", Parts(PARTS.arrays, {"name": "y"}))
    with pytest.raises(ArtifactError, match="expected"):
        read_artifact(tmp_path / "a", sha256)


def test_nan_in_the_document_is_refused_before_anything_is_replaced(tmp_path: Path) -> None:
    sha256 = write_artifact(tmp_path / "a", PARTS)
    with pytest.raises(ValueError, match="JSON"):
        write_artifact(tmp_path / "a", Parts({}, {"loss": float("nan")}))
    assert parts_hash(read_artifact(tmp_path / "a", sha256)) == sha256


def test_objects_share_a_file_under_prefixes() -> None:
    arrays = prefixed("vae", PARTS.arrays) | prefixed("vaes", {"weights": np.zeros(1)})
    assert list(below("vae", arrays)) == ["weights"]
    assert below("vae", arrays)["weights"].shape == (2, 3)
