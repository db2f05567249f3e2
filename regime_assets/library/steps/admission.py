"""A component of the user's own is examined on the universe's prices before it is used, and when its code changes.

No look-ahead: bars after a session are changed, and nothing of that session or an earlier one may move, to the bit.
Determinism: the same inputs give the same bits twice here and once in another process. Finite memory: bars that lie
further back than the component says leave a row as it is, up to rounding. What fails is refused by name, with the first
session on which it was seen to fail. A verdict is stored under the hash of the component's code and settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.components import class_path
from regime_assets.library.design import Component, Design
from regime_assets.library.features.protocol import FeatureInputs, compute_feature
from regime_assets.library.features.training_set import compute_all
from regime_assets.library.market.window import Expanding
from regime_assets.library.steps.admission_probe import feature_hash, in_another_process, quick_fit, weights_hash
from regime_assets.library.workspace import Workspace

Array = NDArray[np.float64]

TABLE = "admissions"
CUTS = 16
ENCODED_SESSIONS = 600
ROUNDING = 1e-9
"""Share of a feature's standard deviation by which bars beyond its memory may move it: running sums round."""


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
    own = [one for one in design.components if one.own and one.slot in ("features", "encoders")]
    inputs: FeatureInputs | None = None
    for component in own:
        key = _key(workspace, component)
        stored = workspace.database.read_partition(TABLE, key)
        if stored.empty:
            inputs = inputs or _inputs(workspace, as_of)
            refusal = examine(component, inputs, design).refusal
            row = pd.DataFrame([{"component": component.use, "refusal": refusal, "as_of": as_of}])
            workspace.database.replace_partition(TABLE, key, row)
        else:
            refusal = str(stored["refusal"].iloc[0])
        if refusal:
            raise NotAdmittedError(
                f"{component.use} is not admitted: {refusal}. Mend it and run again: it is examined anew when its code "
                "or its settings change"
            )


def examine(component: Component, inputs: FeatureInputs, design: Design) -> Examined:
    """Hold one component against what it promises."""
    found = _feature_faults(component, inputs) if component.slot == "features" else _encoder_faults(inputs, design)
    return Examined(next(found, ""))


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


def _inputs(workspace: Workspace, as_of: date) -> FeatureInputs:
    shape = Expanding(workspace.universe.windows.long_half_life_sessions)
    window = workspace.read_window("long", as_of, shape)
    return FeatureInputs(window.prices, window.market_returns, window.sessions)


def _feature_faults(component: Component, inputs: FeatureInputs) -> Iterator[str]:
    """What is wrong with a feature, one sentence each, the first one first."""
    loaded = component.load()

    def compute(given: FeatureInputs) -> Array:
        return compute_feature(loaded, component.use, given, component.settings).to_numpy()

    base = compute(inputs)
    yield from _peeks(lambda cut: compute(_changed(inputs, _row(inputs, cut) + 1, None)), base, inputs.sessions)
    again = hashlib.sha256(compute(inputs).tobytes()).hexdigest()
    if again != hashlib.sha256(base.tobytes()).hexdigest():
        yield "the same prices give other numbers when they are computed again"
    if in_another_process(feature_hash, component, inputs) != again:
        yield "the same prices give other numbers in another process"
    memory = int(loaded.memory_sessions(component.settings))
    allowed = ROUNDING * np.maximum(base.std(axis=0), 1e-300)
    for row in np.linspace(0, len(base) - 1, 5).astype(int)[1:].tolist():
        first = _row(inputs, row) - memory
        moved = np.abs(compute(_changed(inputs, None, first))[row:] - base[row:]) > allowed
        if moved.any():
            at = inputs.sessions[row + int(np.argmax(moved.any(axis=1)))]
            yield f"on {at:%Y-%m-%d} it depends on bars more than {memory} sessions back, which is the memory it states"


def _encoder_faults(inputs: FeatureInputs, design: Design) -> Iterator[str]:
    features = compute_all(design.features, inputs).iloc[-ENCODED_SESSIONS:]
    sessions = pd.DatetimeIndex(features.index)
    fitted = quick_fit(design.encoder, features)
    length = fitted.settings.sequence_length

    def encode(given: pd.DataFrame) -> Array:
        return np.column_stack([fitted.encode(given), fitted.denoise(given)])

    def later_changed(cut: int) -> Array:
        changed = features.copy()
        changed.iloc[cut + 1 :] *= -1.5
        return encode(changed)

    base = encode(features)
    yield from _peeks(later_changed, base, sessions)
    once = weights_hash(fitted)
    if weights_hash(quick_fit(design.encoder, features)) != once:
        yield "the same features and seed give another model when it is fitted again"
    if in_another_process(weights_hash, design.encoder, features) != once:
        yield "the same features and seed give another model in another process"
    for row in np.linspace(0, len(features) - 1, 5).astype(int)[1:].tolist():
        changed = features.copy()
        changed.iloc[: max(0, row - length + 1)] *= -1.5
        if not np.array_equal(encode(changed)[row:], base[row:]):
            yield f"on {sessions[row]:%Y-%m-%d} it depends on rows more than its sequence of {length} sessions back"


def _peeks(after_change: Callable[[int], Array], base: Array, sessions: pd.DatetimeIndex) -> Iterator[str]:
    """The first session whose row moves when what comes after it is changed.

    Args:
        after_change: the answer when everything after row `cut` was changed.
        base: the answer to the true inputs.
    """

    def earliest(cut: int) -> int | None:
        moved = (after_change(cut)[: cut + 1] != base[: cut + 1]).any(axis=1)
        return int(np.argmax(moved)) if moved.any() else None

    clean, first = -1, None
    for cut in np.unique(np.linspace(0, len(base) - 2, CUTS).astype(int)).tolist():
        first = earliest(cut)
        if first is not None:
            break
        clean = cut
    if first is None:
        return
    while first - clean > 1:  # is there an earlier one between the last cut that was clean and this one?
        middle = (clean + first) // 2
        found = earliest(middle)
        clean, first = (middle, first) if found is None else (clean, min(first, found))
    yield f"it looks ahead: its row of {sessions[first]:%Y-%m-%d} changes when later bars are changed"


def _row(inputs: FeatureInputs, session: int) -> int:
    """The row of the prices that belongs to a wanted session."""
    return len(inputs.prices) - len(inputs.sessions) + session


def _changed(inputs: FeatureInputs, after: int | None, before: int | None) -> FeatureInputs:
    """The inputs with the bars from row `after` on, or those before row `before`, moved by 5 % or so."""
    generator = np.random.default_rng(0)
    prices, returns = inputs.prices.copy(), inputs.market_returns.copy()
    days = pd.DatetimeIndex(returns.index)
    if after is not None:
        rows, moved = slice(after, None), days >= prices.index[after]
    else:  # the return of row `before` comes from the price before it
        rows, moved = slice(None, max(0, before or 0)), days <= prices.index[max(0, before or 0)]
    closes = prices.iloc[rows]
    prices.iloc[rows] = closes.to_numpy() * np.exp(generator.normal(0.0, 0.05, closes.shape))
    returns[moved] = returns[moved] + generator.normal(0.0, 0.01, int(moved.sum()))
    return replace(inputs, prices=prices, market_returns=returns)
