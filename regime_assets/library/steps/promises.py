"""What a component of the user's own promises, held against what it does on prices; one sentence for what it breaks.

No look-ahead: what comes after a session is changed, and nothing of that session or an earlier one may move, to the
bit. Determinism: the same inputs give the same bits twice here and once in another process. Finite memory, of features
and encoders: what lies further back than the component says leaves a row as it is, up to rounding. A regime filter and
a policy may remember all that came before. Storage: a model that was stored and read again answers as before.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import Parts, read_artifact, write_artifact
from regime_assets.library.design import Component, Design
from regime_assets.library.encoders.alignment import identity_alignment
from regime_assets.library.encoders.encoding import Encoder
from regime_assets.library.features.protocol import FeatureInputs, compute_feature
from regime_assets.library.features.training_set import TrainingSet, compute_all
from regime_assets.library.policies.own_policy import fit_own
from regime_assets.library.policies.policy import PolicyError
from regime_assets.library.recipe import build_tape
from regime_assets.library.regimes.regime_model import RegimeModel, coordinates_of
from regime_assets.library.regimes.segmentation import FitWindow, Regimes
from regime_assets.library.steps.admission_probe import (
    SEED,
    Given,
    feature_hash,
    in_another_process,
    policy_hash,
    quick_fit,
    regimes_hash,
    weights_hash,
)
from regime_assets.library.trading.tape import MarketTape

Array = NDArray[np.float64]
Floating = TypeVar("Floating", bound=np.floating[Any])

CUTS = 16
FITTED_SESSIONS = 600
"""Newest sessions on which models are fitted to be examined."""
ROUNDING = 1e-9
"""Share of a feature's standard deviation by which bars beyond its memory may move it: running sums round."""


@dataclass(frozen=True)
class Examination:
    """A design on a universe's own prices, each part built when a component that reads it is examined.

    Attributes:
        design: whose components are examined.
        inputs: what features are computed of.
        traded_returns: (T, N) of the inputs' sessions.
        refuges: those of the traded instruments that are held when risk is off.
    """

    design: Design
    inputs: FeatureInputs
    traded_returns: pd.DataFrame
    refuges: tuple[str, ...]

    @cached_property
    def training(self) -> TrainingSet:
        """The newest sessions, all of one weight."""
        features = compute_all(self.design.features, self.inputs).iloc[-FITTED_SESSIONS:]
        returns = self.traded_returns.loc[features.index]
        return TrainingSet(features, returns, np.ones(len(features)), "", self.refuges)

    @cached_property
    def encoder(self) -> Encoder:
        """The design's, after a few steps of training."""
        vae = quick_fit(self.design.encoder, self.training.features)
        return Encoder(vae, identity_alignment(vae.settings.n_latents))

    @cached_property
    def window(self) -> FitWindow:
        """What regimes are fitted on."""
        rows = coordinates_of(self.encoder, self.training.features, self.design.regime_settings.coordinates)
        returns = self.training.market_returns.to_numpy(dtype=np.float64)
        weight, per_year = self.training.sample_weight, self.design.regime_settings.sessions_per_year
        return FitWindow(self.training.sessions, rows, returns, weight, per_year)

    @cached_property
    def regimes(self) -> Regimes:
        """The design's, fitted without a predecessor."""
        chosen = self.design.regimes
        return chosen.load().fit(self.window, chosen.settings, SEED, None).regimes

    @cached_property
    def tape(self) -> MarketTape:
        """What a policy is trained on."""
        chosen, encoder = self.design.regimes, self.encoder
        model = RegimeModel(
            encoder.vae, encoder.alignment, chosen.use, self.design.regime_settings.coordinates, self.regimes
        )
        path = model.infer(self.training.features)
        return build_tape(self.training, path, self.design.policy.settings, self.design.portfolio)


def faults(component: Component, given: Examination) -> Iterator[str]:
    """What is wrong with a component, one sentence each, the first one first."""
    if component.slot == "features":
        yield from _feature_faults(component, given.inputs)
    elif component.slot == "encoders":
        yield from _encoder_faults(component, given.training.features)
    elif component.slot == "regimes":
        yield from _regime_faults(component, given)
    else:
        yield from _policy_faults(component, given)


def _feature_faults(component: Component, inputs: FeatureInputs) -> Iterator[str]:
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


def _encoder_faults(component: Component, features: pd.DataFrame) -> Iterator[str]:
    sessions = pd.DatetimeIndex(features.index)
    fitted = quick_fit(component, features)
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
    yield from _changes(weights_hash, component, features, once, "features and seed give another model", "it is")
    for row in np.linspace(0, len(features) - 1, 5).astype(int)[1:].tolist():
        changed = features.copy()
        changed.iloc[: max(0, row - length + 1)] *= -1.5
        if not np.array_equal(encode(changed)[row:], base[row:]):
            yield f"on {sessions[row]:%Y-%m-%d} it depends on rows more than its sequence of {length} sessions back"


def _regime_faults(component: Component, given: Examination) -> Iterator[str]:
    window, regimes, names = given.window, given.regimes, tuple(given.regimes.names)

    def filtered(rows: Array) -> Array:
        answer = regimes.filter(rows)
        return np.column_stack([answer.posteriors, answer.states.astype(np.float64)])

    base = filtered(window.rows)
    wanted = (len(window.rows), given.design.regime_settings.n_regimes + 1)
    if base.shape != wanted or len(names) != wanted[1] - 1:
        yield (
            f"it gives {base.shape[1] - 1} posteriors and {len(names)} names of {base.shape[0]} sessions where "
            f"{wanted[1] - 1} of {wanted[0]} are asked for"
        )
        return
    sums = base[:, :-1].sum(axis=1)
    if not np.isfinite(base).all() or (base < 0).any() or np.abs(sums - 1.0).max() > 1e-6:
        yield "its posteriors are not shares that sum to 1 on every session"
        return
    yield from _peeks(lambda cut: filtered(_turned(window.rows, cut)), base, window.sessions)
    if not np.array_equal(filtered(window.rows), base):
        yield "the same rows give other posteriors when they are filtered again"
    once = regimes_hash(component, window)
    yield from _changes(regimes_hash, component, window, once, "window and seed give other regimes", "they are")
    restored: Regimes = component.load().from_parts(_stored(regimes.to_parts()))
    answer = restored.filter(window.rows)
    if not np.array_equal(np.column_stack([answer.posteriors, answer.states]), base):
        yield "it says other regimes after it was stored and read again"


def _policy_faults(component: Component, given: Examination) -> Iterator[str]:
    tape, sessions = given.tape, given.training.sessions
    policy = fit_own(component.use, tape, component.settings, SEED, None)[0].model
    try:
        base = policy.decide(tape.observations, tape.rule_exposure)
    except PolicyError as error:
        yield str(error)
        return

    def later_changed(cut: int) -> Array:
        rule = tape.rule_exposure.copy()
        rule[cut + 1 :] = 1.0 - rule[cut + 1 :]
        return policy.decide(_turned(tape.observations, cut), rule)

    yield from _peeks(later_changed, base, sessions)
    if not np.array_equal(policy.decide(tape.observations, tape.rule_exposure), base):
        yield "the same observations give other weights when it decides again"
    once = policy_hash(component, tape)
    yield from _changes(policy_hash, component, tape, once, "tape and seed give another policy", "it is")
    assert policy.fitted is not None
    restored = replace(policy, fitted=component.load().from_parts(_stored(policy.fitted.to_parts())))
    if not np.array_equal(restored.decide(tape.observations, tape.rule_exposure), base):
        yield "it decides other weights after it was stored and read again"


def _changes(
    probe: Callable[..., str], component: Component, given: Given, once: str, said: str, again: str
) -> Iterator[str]:
    """What a fit of the same inputs gives another time: here, and in another process.

    Args:
        probe: fits and gives the hash.
        once: the hash of the first fit.
        said: what the same inputs do, for the sentences.
        again: "it is" or "they are", of what was fitted.
    """
    if probe(component, given) != once:
        yield f"the same {said} when {again} fitted again"
    if in_another_process(probe, component, given) != once:
        yield f"the same {said} in another process"


def _stored(parts: Parts) -> Parts:
    """The parts as they come back from a file."""
    with tempfile.TemporaryDirectory() as folder:
        return read_artifact(Path(folder) / "model", write_artifact(Path(folder) / "model", parts))


def _turned(rows: NDArray[Floating], cut: int) -> NDArray[Floating]:
    """The rows with another sign and size behind row `cut`."""
    changed = rows.copy()
    changed[cut + 1 :] *= -1.5
    return changed


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
