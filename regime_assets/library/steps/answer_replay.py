"""A recorded answer given again: by the bundle that served, from the inputs that are stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd

from regime_assets.library.production.bundle import Bundle, load_bundle
from regime_assets.library.production.code_version import code_version
from regime_assets.library.production.deployments import Deployment, DeploymentLog, inputs_hash
from regime_assets.library.production.environment import environment_versions
from regime_assets.library.production.manifest import Manifest
from regime_assets.library.production.names import model_name
from regime_assets.library.production.signal import score
from regime_assets.library.shared_files import file_exists, shown_place
from regime_assets.library.steps.served_design import reading
from regime_assets.library.universe import HORIZONS, Horizon
from regime_assets.library.workspace import Workspace


class ReplayError(Exception):
    """Nothing served the session, or what served it was deleted since."""


@dataclass(frozen=True)
class Replay:
    """A recorded answer beside the one given now.

    Attributes:
        deployment: what was recorded.
        differences: what is not as recorded, one line each; none when the answer is the same to the bit.
        causes: which of data, code and machine are not those of the fit, one line each.
    """

    deployment: Deployment
    differences: tuple[str, ...]
    causes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether inputs and answer are the recorded ones, to the bit."""
        return not self.differences


def replay(workspace: Workspace, horizon: Horizon, session: date) -> Replay:
    """Give the newest recorded answer for a session again.

    Raises:
        ReplayError: there is no answer, or its bundle was deleted.
        BundleError: its bundle is not what its hash says.
        NotMaterializedError: the window that it read is not stored.
    """
    name = model_name(workspace.universe.name, horizon)
    deployment = DeploymentLog(workspace.database).served(workspace.universe.name, horizon, session)
    if deployment is None:
        raise ReplayError(f"nothing of {name} served {session}")
    folder = workspace.home.mlflow_artifacts / name / deployment.bundle_sha256
    if not file_exists(folder):
        raise ReplayError(
            f"{name}: the bundle of version {deployment.model_version} was deleted, {shown_place(folder)} is missing"
        )
    bundle = load_bundle(folder, deployment.bundle_sha256, workspace.universe.own_components)
    features = reading(workspace, bundle).training_set(horizon, session).features
    differences = compare(deployment, bundle, features)
    causes = differing_causes(deployment, bundle.manifest, features) if differences else ()
    return Replay(deployment, differences, causes)


def compare(deployment: Deployment, bundle: Bundle, features: pd.DataFrame) -> tuple[str, ...]:
    """How a bundle's answer to features differs from a recorded one, with what it was given.

    Args:
        deployment: the record.
        bundle: its bundle.
        features: (T, F) as they are stored now.
    """
    lines: list[str] = []
    for what, recorded, given in (
        ("bundle", deployment.bundle_sha256, bundle.sha256()),
        ("inputs", deployment.inputs_hash, inputs_hash(features)),
    ):
        if recorded != given:
            lines.append(f"{what}: recorded with hash {recorded[:12]}…, now {given[:12]}…")
    newest = {str(name): float(value) for name, value in features.iloc[-1].items()}
    lines += _changes("newest input ", deployment.features, newest)
    was, now = deployment.signal.to_document(), score(bundle, features).to_document()
    return (*lines, *_changes("answer ", was, now))


def differing_causes(deployment: Deployment, manifest: Manifest, features: pd.DataFrame) -> tuple[str, ...]:
    """Which of data, code and machine are not those that the answer came from."""
    lines: list[str] = []
    if inputs_hash(features) != deployment.inputs_hash:
        lines.append("data: the stored inputs are not those that were answered")
    if manifest.code_version != code_version():
        lines.append(f"code: fitted by {manifest.code_version}, read by {code_version()}")
    for name, now in environment_versions().items():
        was = manifest.environment.get(name)
        if was is not None and was != now:
            lines.append(f"machine: {name} was {was}, is {now}")
    return tuple(lines)


def served(workspace: Workspace, session: date) -> dict[Horizon, tuple[Deployment, ...]]:
    """Every answer for a session by horizon, oldest first: the last one holds.

    Raises:
        ReplayError: there is none.
    """
    log = DeploymentLog(workspace.database)
    answers: dict[Horizon, tuple[Deployment, ...]] = {
        h: log.answers(workspace.universe.name, h, session) for h in HORIZONS
    }
    if not any(answers.values()):
        raise ReplayError(f"nothing of {workspace.universe.name} served {session}")
    return answers


def _changes(prefix: str, was: object, now: object) -> list[str]:
    """The leaves in which two JSON values differ, each with both values and, of numbers, the difference."""
    if isinstance(was, dict) and isinstance(now, dict):
        names = sorted(was.keys() | now.keys())
        return [line for name in names for line in _changes(f"{prefix}{name} ", was.get(name), now.get(name))]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        pairs = enumerate(zip(was, now, strict=True))
        return [line for number, pair in pairs for line in _changes(f"{prefix}{number} ", *pair)]
    if was == now:
        return []
    by = f", by {now - was:+.3g}" if isinstance(was, float) and isinstance(now, float) else ""
    return [f"{prefix.strip()}: was {was}, is {now}{by}"]
