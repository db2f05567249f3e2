"""A damaged bundle made again of its session's fitted models, which hold the same bits."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from regime_assets.library.artifact import ArtifactError, Parts, parts_hash, read_artifact, write_artifact
from regime_assets.library.production.bundle import (
    COMPONENTS,
    MANIFEST_FILE,
    BundleError,
    bundle_parts,
    save_bundle,
    verify_bundle,
)
from regime_assets.library.production.lineage import LineageError
from regime_assets.library.production.registry_store import RegisteredBundle
from regime_assets.library.recipe import NotAcceptedError
from regime_assets.library.steps.judgement import find_judgement
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.steps.promotion import assemble
from regime_assets.library.steps.served_design import lane_of
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace


@contextmanager
def rebuilt(workspace: Workspace, horizon: Horizon, stored: RegisteredBundle) -> Generator[Path | None]:
    """A folder with the bundle as it was, for the block; None where the models that are left give another one.

    A damaged component comes from its model. A damaged manifest is written anew, which gives the same one as long as
    the versions of package and libraries are those that it names.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        for make in (_of_components, _of_judgement):
            try:
                make(workspace, horizon, stored, folder)
                verify_bundle(folder, stored.sha256)
            except (ArtifactError, BundleError, LineageError, NotAcceptedError, OSError, ValueError, KeyError):
                continue
            yield folder
            return
        yield None


def _of_components(workspace: Workspace, horizon: Horizon, stored: RegisteredBundle, folder: Path) -> None:
    """Under the manifest that lies there, with its sound components and those of the models in place of the others."""
    manifest = (stored.path / MANIFEST_FILE).read_bytes()
    wanted: dict[str, str] = json.loads(manifest)["content"]["components"]
    found: dict[str, Parts] = {}
    for name in COMPONENTS:
        try:
            found[name] = read_artifact(stored.path / name, wanted[name])
        except ArtifactError:
            continue
    if missing := set(COMPONENTS) - set(found):
        lane = _lane(workspace, horizon, stored)
        models = LineageModels(lane.lineage(horizon)).deciding(stored.session)
        parts = bundle_parts(models.regimes, models.policy)
        found |= {name: parts[name] for name in missing if parts_hash(parts[name]) == wanted[name]}
    for name, parts_of_it in found.items():
        write_artifact(folder / name, parts_of_it)
    (folder / MANIFEST_FILE).write_bytes(manifest)


def _of_judgement(workspace: Workspace, horizon: Horizon, stored: RegisteredBundle, folder: Path) -> None:
    """As the session's promotion made it."""
    lane = _lane(workspace, horizon, stored)
    judgement = find_judgement(lane, horizon, stored.session)
    if judgement is not None:
        save_bundle(assemble(lane, horizon, stored.session, judgement), folder)


def _lane(workspace: Workspace, horizon: Horizon, stored: RegisteredBundle) -> Workspace:
    name = lane_of(workspace, horizon, stored.tags.get("settings_hash", ""))
    if name is None:
        raise LineageError(f"the design of {stored.model_name} {stored.version} is in the universe's file no more")
    return workspace.of_lane(name)
