"""What serves has a design of its own, which need not be the file's: which lane it is, and the features that it reads.

Which design is champion is the registry's answer. A bundle says what it reads, each feature by class, declared version
and settings, so that it is given just that, also after its lane was taken out of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from regime_assets.library.components import BUILT_IN, class_path, settings_class, version_of
from regime_assets.library.design import Component, design_named
from regime_assets.library.production.bundle import Bundle
from regime_assets.library.steps.declared_design import present_hash
from regime_assets.library.universe import Horizon, Universe, UniverseError
from regime_assets.library.workspace import Workspace


class ServedDesignError(Exception):
    """A bundle reads features that cannot be computed any more; the message says which and what to do."""


def reading(workspace: Workspace, bundle: Bundle) -> Workspace:
    """The same stores with the features that a bundle was fitted on.

    Raises:
        ServedDesignError: one of them is in the universe's file no more, or has changed since.
    """
    read = _plain(bundle.features)
    if read == _plain([feature.document() for feature in workspace.design.features]):
        return workspace
    features = tuple(_feature(workspace.universe, document, bundle) for document in read)
    if features == workspace.design.features:  # written down with every setting, as older bundles are
        return workspace
    return workspace.under(replace(workspace.design, features=features))


def lane_of(workspace: Workspace, horizon: Horizon, stored: str) -> str | None:
    """The name of the lane whose design has a stored hash; None when the file names it no more."""
    present = present_hash(workspace, horizon, stored)
    if workspace.design.hash_for(horizon) == present:
        return workspace.lane
    for name in workspace.universe.lanes:
        try:
            design = design_named(workspace.universe, name)
        except UniverseError:  # one that cannot be loaded is no answer, and hinders no other one
            continue
        if design.hash_for(horizon) == present:
            return name
    return None


def left_behind(workspace: Workspace, horizon: Horizon, version: int, stored: str, name: str = "") -> str:
    """What to do about a champion whose lane was taken out of the file; empty when it is there."""
    if lane_of(workspace, horizon, stored) is not None:
        return ""
    what = f"`{name}`" if name else f"the design {stored[:8]}"
    return (
        f"version {version} serves and is refitted no more: {what}, of which it is, is in the universe's file no "
        "longer. Write it under `challengers` again, or let another version serve (`regime-assets promote`)"
    )


def _feature(universe: Universe, document: Mapping[str, Any], bundle: Bundle) -> Component:
    """A feature as a bundle names it."""
    path, settings = str(document["class"]), dict(document["settings"])
    named = [name for name in BUILT_IN["features"] if class_path("features", name) == path]
    for lane in universe.lanes:
        design = universe.design if lane not in universe.challengers else universe.challenger(lane)
        named += [
            choice.use
            for _, slot, choice in design.components()
            if slot == "features" and class_path(slot, choice.use) == path
        ]
    subject = f"the bundle of {bundle.manifest.model_name} of {bundle.manifest.session} reads {path}"
    if not named:
        raise ServedDesignError(
            f"{subject}, which the universe's file names no more: name it in `design` or under `challengers`, or let "
            "another version serve (`regime-assets promote`)"
        )
    version = version_of("features", named[0])
    if version != document["version"]:
        raise ServedDesignError(
            f"{subject} in version {document['version']}, and the installed one has version {version}: install the "
            "one that it was fitted with, or let another version serve (`regime-assets promote`)"
        )
    return Component("features", named[0], TypeAdapter(settings_class("features", named[0])).validate_python(settings))


def _plain(documents: Any) -> list[dict[str, Any]]:
    """As they are written in a bundle."""
    return json.loads(json.dumps(list(documents), sort_keys=True, default=str))
