"""What a worker registers and promotes, every other machine serves."""

import json
from pathlib import Path

import pytest

from regime_assets.library.production.bundle import (
    MANIFEST_FILE,
    BundleError,
    copy_bundle,
    load_bundle,
    save_bundle,
    verify_bundle,
)
from regime_assets.library.production.champion_pointer import ChampionPointer, read_pointer, write_pointer
from regime_assets.library.shared_files import listed, remove, write_file
from regime_assets_tests.library.production.bundles import SESSION, stored_only_bundle
from regime_assets_tests.library.production.conftest import MODEL
from regime_assets_tests.machines import Machines


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    return Machines(tmp_path, monkeypatch, f"memory://{tmp_path.name}")


def test_a_bundle_and_its_pointer_are_read_on_a_machine_that_never_saw_them(machines: Machines, tmp_path: Path) -> None:
    root = machines.on("worker").mlflow_artifacts
    sha256 = save_bundle(stored_only_bundle(), tmp_path / "built")
    copy_bundle(tmp_path / "built", root / MODEL / sha256, sha256)
    write_pointer(root, ChampionPointer(MODEL, 1, sha256, SESSION))
    there = machines.on("service").mlflow_artifacts
    pointer = read_pointer(there, MODEL)
    assert pointer is not None
    assert verify_bundle(pointer.folder(there), pointer.sha256).session == SESSION
    write_pointer(there, ChampionPointer(MODEL, 2, sha256, SESSION))
    machines.on("worker")
    moved = read_pointer(root, MODEL)
    assert moved is not None
    assert moved.version == 2
    assert not list(tmp_path.glob("*/mlflow_artifacts/*/champion.json")), "no copy that could be stale"


def test_a_bundle_counts_from_its_manifest_on_which_is_published_last(machines: Machines, tmp_path: Path) -> None:
    folder = machines.on("worker").mlflow_artifacts / MODEL / "bundle"
    sha256 = save_bundle(stored_only_bundle(), tmp_path / "built")
    copy_bundle(tmp_path / "built", folder, sha256)
    manifest = (folder / MANIFEST_FILE).read_bytes()
    remove(folder / MANIFEST_FILE)
    there = machines.on("service").mlflow_artifacts / MODEL / "bundle"
    assert {path.name for path in listed(there)} == set(json.loads(manifest)["content"]["components"])
    with pytest.raises(BundleError):
        load_bundle(there, sha256)
    write_file(there / MANIFEST_FILE, manifest.replace(b"20", b"21"))
    with pytest.raises(BundleError):
        load_bundle(there, sha256)
    machines.on("worker")
    copy_bundle(tmp_path / "built", folder, sha256)
    machines.on("service")
    assert verify_bundle(there, sha256).session == SESSION
