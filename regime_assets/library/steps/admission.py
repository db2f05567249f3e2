"""A component of the user's own is examined on the universe's prices before it is used, and when its code changes.

What it is held against is in `promises`. What fails is refused by name, with the first session on which it was seen to
fail. A verdict is stored under the hash of the component's code and settings.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pathlib import Path

import pandas as pd

from regime_assets.library.components import class_path
from regime_assets.library.design import Component
from regime_assets.library.features.protocol import FeatureInputs
from regime_assets.library.market.window import Expanding
from regime_assets.library.steps.promises import Examination, faults
from regime_assets.library.workspace import Workspace

TABLE = "admissions"


class NotAdmittedError(Exception):
    """A component broke a promise on the universe's prices; the message says which, where and what to do."""


@dataclass(frozen=True)
class Examined:
    """What was seen of a component: why it is refused; empty when it is admitted."""

    refusal: str


def require_admitted(workspace: Workspace, as_of: date) -> None:
    """Examine the components of the user's own that a workspace's design names, unless their verdict is stored.

    Args:
        workspace: the universe, whose prices up to `as_of` are used.
        as_of: a session.

    Raises:
        NotAdmittedError: a component is refused.
    """
    design = workspace.design
    given: Examination | None = None
    for component in [one for one in design.components if one.own]:
        key = _key(workspace, component)
        stored = workspace.database.read_partition(TABLE, key)
        if stored.empty:
            given = given or _examination(workspace, as_of)
            refusal = examine(component, given).refusal
            row = pd.DataFrame([{"component": component.use, "refusal": refusal, "as_of": as_of}])
            workspace.database.replace_partition(TABLE, key, row)
        else:
            refusal = str(stored["refusal"].iloc[0])
        if refusal:
            raise NotAdmittedError(
                f"{component.use} is not admitted: {refusal}. Mend it and run again: it is examined anew when its code "
                "or its settings change"
            )


def examine(component: Component, given: Examination) -> Examined:
    """Hold one component against what it promises."""
    return Examined(next(faults(component, given), ""))


def code_hash(path: str) -> str:
    """SHA-256 over the Python files that a class's package consists of, or over its module's one file."""
    module = path.partition(":")[0]
    package = import_module(module.partition(".")[0])
    source = Path(str(getattr(import_module(module), "__file__", "")))
    root = Path(str(package.__file__)).parent if hasattr(package, "__path__") and package.__file__ else source
    files = sorted(root.rglob("*.py")) if root.is_dir() else [root]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(root.parent)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _key(workspace: Workspace, component: Component) -> dict[str, object]:
    settings = json.dumps(component.document(), sort_keys=True, default=str)
    return {
        "universe": workspace.universe.name,
        "slot": component.slot,
        "code": code_hash(class_path(component.slot, component.use)),
        "settings": hashlib.sha256(settings.encode()).hexdigest(),
    }


def _examination(workspace: Workspace, as_of: date) -> Examination:
    shape = Expanding(workspace.universe.windows.long_half_life_sessions)
    window = workspace.read_window("long", as_of, shape)
    inputs = FeatureInputs(window.prices, window.market_returns, window.sessions)
    return Examination(workspace.design, inputs, window.traded_returns, window.refuges)
