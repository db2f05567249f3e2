from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.artifact import ARRAYS_FILE, DOCUMENT_FILE, ArtifactError, parts_hash
from regime_assets.library.production.bundle import (
    COMPONENTS,
    MANIFEST_FILE,
    Bundle,
    BundleError,
    copy_bundle,
    load_bundle,
    save_bundle,
    verify_bundle,
)
from regime_assets.library.production.manifest import Manifest
from regime_assets_tests.library.production.bundles import manifest, random_bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(seed=1)


@pytest.fixture
def stored(bundle: Bundle, tmp_path: Path) -> tuple[Path, str]:
    return tmp_path / "bundle", save_bundle(bundle, tmp_path / "bundle")


class Exploit:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.marker),))


def test_a_bundle_comes_back_to_the_bit(bundle: Bundle, stored: tuple[Path, str]) -> None:
    loaded = load_bundle(*stored)
    assert loaded.manifest == bundle.manifest
    assert loaded.features == bundle.features
    for name, parts in bundle.parts().items():
        assert parts_hash(loaded.parts()[name]) == parts_hash(parts)
    assert loaded.sha256() == bundle.sha256() == stored[1]


def test_the_hash_does_not_depend_on_when_or_where_it_was_written(bundle: Bundle, tmp_path: Path) -> None:
    hashes = {save_bundle(bundle, tmp_path / name) for name in ("a", "b", "a")}
    assert hashes == {bundle.sha256()}


@pytest.mark.parametrize(
    "change",
    [
        {"session": date(2022, 3, 2)},
        {"serves": "policy"},
        {"data_hash": "other"},
        {"seeds": {"vae": 2}},
        {"parents": {"vae": "p"}},
        {"metrics": {"sharpe": 0.51}},
        {"verdict": "refused"},
        {"environment": {"python": "3.12"}},
    ],
)
def test_whatever_the_manifest_says_is_hashed(bundle: Bundle, change: dict[str, object]) -> None:
    assert replace(bundle, manifest=replace(bundle.manifest, **change)).sha256() != bundle.sha256()


def test_a_manifest_survives_its_document() -> None:
    original = manifest(parents={"vae": "abc"}, traded=("A", "B", "C"))
    assert Manifest.from_document(json.loads(json.dumps(original.to_document()))) == original


@pytest.mark.parametrize("change", [{"serves": "both"}, {"traded": ()}, {"universe": "../x"}, {"horizon": ""}])
def test_a_manifest_refuses_what_cannot_be_served(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        manifest(**change)


def test_a_figure_that_is_no_number_is_not_stored(bundle: Bundle, tmp_path: Path) -> None:
    broken = replace(bundle, manifest=replace(bundle.manifest, metrics={"sharpe": float("nan")}))
    with pytest.raises(ValueError, match="JSON"):
        save_bundle(broken, tmp_path / "b")
    assert not (tmp_path / "b" / MANIFEST_FILE).exists()


def truncate(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def empty(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(bytes(content))


def remove(path: Path, _: Path) -> None:
    path.unlink()


def replace_by_pickle(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps(Exploit(marker)))


def replace_by_objects(path: Path, marker: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, value=np.array([Exploit(marker)], dtype=object))


@pytest.mark.parametrize(
    "name", [MANIFEST_FILE, *(f"{name}/{file}" for name in COMPONENTS for file in (ARRAYS_FILE, DOCUMENT_FILE))]
)
@pytest.mark.parametrize("damage", [truncate, empty, flip, remove, replace_by_pickle, replace_by_objects])
def test_a_damaged_file_is_refused_by_name_and_never_run(
    stored: tuple[Path, str], tmp_path: Path, name: str, damage: Callable[[Path, Path], None]
) -> None:
    folder, sha256 = stored
    marker = tmp_path / "executed"
    if damage is flip and (folder / name).stat().st_size < 16:
        pytest.skip("an artifact without arrays")
    damage(folder / name, marker)
    for read in (load_bundle, verify_bundle):
        with pytest.raises(BundleError, match=Path(name).parts[0]):
            read(folder, sha256)
    assert not marker.exists()


def test_another_bundle_is_refused_although_it_is_sound(stored: tuple[Path, str], tmp_path: Path) -> None:
    other = save_bundle(random_bundle(seed=2), tmp_path / "other")
    with pytest.raises(BundleError, match=MANIFEST_FILE):
        load_bundle(stored[0], other)


def test_a_component_of_another_bundle_is_refused(stored: tuple[Path, str], tmp_path: Path) -> None:
    save_bundle(random_bundle(seed=2), tmp_path / "other")
    shutil.rmtree(stored[0] / "policy")
    shutil.copytree(tmp_path / "other" / "policy", stored[0] / "policy")
    with pytest.raises(BundleError, match="policy"):
        load_bundle(*stored)


def test_a_newer_format_is_refused_by_number(stored: tuple[Path, str]) -> None:
    path = stored[0] / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3}))
    with pytest.raises(BundleError, match="format 3, this version reads 1 to 2"):
        load_bundle(*stored)


@pytest.mark.parametrize(
    "content", [b"[]", b'"text"', b"null", b"[" * 100_000, b"\xff\xfe", b'{"format": 1, "content": 1}']
)
def test_a_foreign_manifest_is_an_artifact_error(stored: tuple[Path, str], content: bytes) -> None:
    (stored[0] / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ArtifactError, match=MANIFEST_FILE):
        load_bundle(*stored)


def test_a_copy_repairs_a_damaged_copy_and_leaves_a_sound_one(stored: tuple[Path, str], tmp_path: Path) -> None:
    folder, sha256 = stored
    target = tmp_path / "copy" / sha256
    copy_bundle(folder, target, sha256)
    truncate(target / "vae" / "arrays.safetensors", tmp_path)
    copy_bundle(folder, target, sha256)
    verify_bundle(target, sha256)
    shutil.rmtree(folder)
    copy_bundle(folder, target, sha256)
    assert sorted(path.name for path in target.parent.iterdir()) == [sha256]


def test_loading_needs_neither_torch_nor_mlflow(stored: tuple[Path, str]) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from regime_assets.library.production.bundle import load_bundle\n"
        "load_bundle(Path(sys.argv[1]), sys.argv[2])\n"
        "heavy = {'torch', 'mlflow', 'sklearn', 'stable_baselines3', 'duckdb', 'matplotlib', 'dagster'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(stored[0]), stored[1]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
