"""What a walk-forward stores as it goes: its decisions segment by segment, and the newest models to go on from.

A run is identified by everything that its bits depend on: design, settings, window, prices and the library's code.
Models are written before their segment is committed and removed after the next one was, so that there is always a pair.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from regime_assets.library.artifact import Parts, below, prefixed, read_artifact, write_artifact
from regime_assets.library.encoders.encoding import Encoder
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.model_kinds import KINDS, Kind
from regime_assets.library.policies.own_policy import stored_policy
from regime_assets.library.production.code_version import code_version
from regime_assets.library.recipe import Ancestor, FittedModels
from regime_assets.library.regimes.regime_model import RegimeModel
from regime_assets.library.shared_files import listed, remove
from regime_assets.library.trading.decided import packed, unpacked
from regime_assets.library.universe import Horizon
from regime_assets.library.walk import Carried, Segment, WalkForwardSettings
from regime_assets.library.workspace import Workspace

SEGMENTS = "walk_forward"
RUNS = "walk_forward_runs"
ARTIFACTS = ("regimes", "policy", "ancestors")
"""What is kept of the newest refit: the two models that decide, and of the ancestors what these do not contain."""


@dataclass(frozen=True)
class StoredRun:
    """One walk-forward of a universe and horizon, and what of it is stored.

    Attributes:
        history: features and returns up to the last decided session, as known as of it.
        settings: with `sessions` counted.
    """

    workspace: Workspace
    horizon: Horizon
    history: TrainingSet
    settings: WalkForwardSettings

    @cached_property
    def identity(self) -> dict[str, str]:
        """Everything that the run's bits depend on."""
        return {
            "design": self.workspace.design.hash_for(self.horizon),
            "settings": json.dumps(asdict(self.settings), sort_keys=True),
            "window": repr(self.workspace.window_shape(self.horizon)),
            "data": self.history.data_hash,
            "code": code_version(),
        }

    @cached_property
    def key(self) -> dict[str, object]:
        """Universe, horizon and the hash of the identity."""
        text = json.dumps(self.identity, sort_keys=True)
        run = hashlib.sha256(text.encode()).hexdigest()[:16]
        return {"universe": self.workspace.universe.name, "horizon": self.horizon, "run": run}

    @property
    def folder(self) -> Path:
        """Where the newest models are."""
        return walk_folder(self.workspace, self.horizon, str(self.key["run"]))

    def begin(self, at: datetime) -> None:
        """Record what the run is, and when it was asked for last."""
        self.workspace.database.replace_partition(RUNS, self.key, pd.DataFrame([self.identity | {"asked_at": at}]))

    def segments(self) -> pd.DataFrame:
        """The stored decisions by session, with the hashes of the models that took them; empty before the first."""
        return unpacked(self.workspace.database.read_partition(SEGMENTS, self.key, order_by="session"))

    def carried(self, segments: pd.DataFrame) -> Carried:
        """What the newest of `segments` handed on.

        Raises:
            ArtifactError: it is not what was stored.
        """
        newest = segments.iloc[-1]
        folder = self.folder / f"{newest['refit_session']:%Y-%m-%d}"
        regimes, policy, ancestors = (read_artifact(folder / name, str(newest[f"{name}_sha256"])) for name in ARTIFACTS)
        models = FittedModels(RegimeModel.from_parts(regimes), stored_policy(policy))
        return Carried(models, newest["model_session"].date(), _ancestors(ancestors, models))

    def store(self, segment: Segment) -> None:
        """Store one segment, and what the next one needs in place of what was needed before."""
        folder, carried = self.folder / f"{segment.session:%Y-%m-%d}", segment.carried
        parts = {
            "regimes": carried.models.regimes.to_parts(),
            "policy": carried.models.policy.to_parts(),
            "ancestors": _ancestor_parts(carried),
        }
        hashes = {f"{name}_sha256": write_artifact(folder / name, parts[name]) for name in ARTIFACTS}
        rows = packed(segment.decided.assign(**hashes)).reset_index()
        self.workspace.database.replace_partition(SEGMENTS, self.key | {"refit_session": segment.session}, rows)
        for earlier in listed(self.folder):
            if earlier != folder:
                remove(earlier)


def _ancestor_parts(carried: Carried) -> Parts:
    """The ancestors' sessions, and those ancestors that are no part of the models that decide."""
    arrays: dict[str, Any] = {}
    document: dict[str, Any] = {}
    for kind, ancestor in carried.ancestors.items():
        parts = None if _is_part(kind, ancestor.model, carried.models) else ancestor.model.to_parts()
        arrays |= prefixed(kind, parts.arrays) if parts else {}
        document[kind] = {"session": ancestor.session.isoformat(), "document": parts.document if parts else None}
    return Parts(arrays, document)


def _ancestors(parts: Parts, models: FittedModels) -> dict[Kind, Ancestor]:
    """The ancestors that `_ancestor_parts` took apart."""
    regimes, found = models.regimes, dict[Kind, Ancestor]()
    builders: dict[Kind, Callable[[Parts], Any]] = {
        "vae": FittedEncoder.from_parts,
        "latents": Encoder.from_parts,
        "gmm": RegimeModel.from_parts,
        "rl_policy": stored_policy,
    }
    contained = {"vae": regimes.vae, "latents": regimes.encoder, "gmm": regimes, "rl_policy": models.policy}
    for kind in KINDS:
        if kind not in parts.document:
            continue
        document = parts.document[kind]["document"]
        own: Any = contained[kind]
        if document is not None:
            own = builders[kind](Parts(below(kind, parts.arrays), document))
        found[kind] = Ancestor(date.fromisoformat(parts.document[kind]["session"]), own)
    return found


def _is_part(kind: Kind, model: Any, models: FittedModels) -> bool:
    """Whether the models that decide contain an ancestor."""
    regimes = models.regimes
    if kind == "latents":
        return model.vae is regimes.vae and model.alignment is regimes.alignment
    return model is {"vae": regimes.vae, "gmm": regimes, "rl_policy": models.policy}[kind]


def walk_folder(workspace: Workspace, horizon: Horizon, run: str) -> Path:
    """Where the models of a run are kept."""
    return workspace.home.root / "walk_forward" / workspace.universe.name / horizon / run


def forget_runs(workspace: Workspace, horizon: Horizon, keep: int, dry_run: bool = False) -> list[str]:
    """Delete the walk-forwards of a horizon but the `keep` that were asked for last; return what was deleted.

    With `dry_run` nothing is, and what would be is returned.
    """
    lane: dict[str, object] = {"universe": workspace.universe.name, "horizon": horizon}
    runs = workspace.database.read_partition(RUNS, lane)
    if runs.empty:
        return []
    forgotten = [str(run) for run in runs.sort_values("asked_at", ascending=False)["run"].iloc[keep:]]
    if dry_run:
        return forgotten
    for run in forgotten:
        # The record goes last: a deletion that was cut short is found again by the next one.
        remove(walk_folder(workspace, horizon, run))
        for table in (SEGMENTS, RUNS):
            workspace.database.delete_partition(table, lane | {"run": run})
    return forgotten
