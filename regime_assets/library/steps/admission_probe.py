"""What is computed twice to see whether it comes out the same: here, and in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regime_assets.library.artifact import below, parts_hash, prefixed
from regime_assets.library.components import settings_class
from regime_assets.library.design import Component
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.features.protocol import FeatureInputs, compute_feature
from regime_assets.library.regimes.segmentation import FitWindow
from regime_assets.library.trading.sleeves import Sleeves
from regime_assets.library.trading.tape import MarketTape
from regime_assets.library.trading.terms import Charges

SEED = 11


def feature_hash(component: Component, inputs: FeatureInputs) -> str:
    """SHA-256 of a feature's numbers."""
    answer = compute_feature(component.load(), component.use, inputs, component.settings)
    return hashlib.sha256(answer.to_numpy().tobytes()).hexdigest()


def quick_fit(component: Component, features: pd.DataFrame) -> FittedEncoder:
    """An encoder after a few steps of training, which is enough to see what it depends on."""
    # Without a head: that is the library's own, and here there are no returns to foretell.
    settings = replace(component.settings, warm_up_epochs=1, epochs=3, steps_per_epoch=4, predicts=0)
    weights = np.ones(len(features))
    return fit_encoder(features, weights, component.use, settings, SEED, None, full_retrain=True).model


def weights_hash(encoder: FittedEncoder | Component, features: pd.DataFrame | None = None) -> str:
    """The hash of a fitted encoder, or of one that is fitted here."""
    if isinstance(encoder, Component):
        assert features is not None
        encoder = quick_fit(encoder, features)
    return parts_hash(encoder.to_parts())


def regimes_hash(component: Component, window: FitWindow) -> str:
    """The hash of regimes that are fitted here."""
    return parts_hash(component.load().fit(window, component.settings, SEED, None).regimes.to_parts())


def policy_hash(component: Component, tape: MarketTape) -> str:
    """The hash of a policy that is fitted here."""
    return parts_hash(component.load().fit(tape, component.settings, SEED, None).to_parts())


Given = FeatureInputs | pd.DataFrame | FitWindow | MarketTape


def in_another_process(probe: Callable[..., str], component: Component, given: Given) -> str:
    """The answer of `probe` in a fresh interpreter, which has another hash seed and has imported nothing else.

    Raises:
        subprocess.CalledProcessError: it failed there though it did not here; its own message was printed.
    """
    question: dict[str, Any] = {"probe": probe.__name__, "slot": component.slot, "use": component.use}
    frames: dict[str, pd.DataFrame] = {}
    arrays: dict[str, Any] = {}
    if isinstance(given, pd.DataFrame):
        frames = {"features": given}
    elif isinstance(given, FitWindow):
        arrays = {field.name: np.asarray(getattr(given, field.name)) for field in fields(given)}
    elif isinstance(given, MarketTape):
        arrays = _tape_arrays(given)
    else:
        frames = {"prices": given.prices, "returns": given.market_returns.to_frame("returns")}
        question["sessions"] = len(given.sessions)
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in frames.items():
            frame.to_parquet(Path(folder) / f"{name}.parquet")
        np.savez(Path(folder) / "arrays.npz", **arrays)
        text = json.dumps(question | {"settings": asdict(component.settings)})
        (Path(folder) / "question.json").write_text(text)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", __name__, folder]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()[-1]


def _tape_arrays(tape: MarketTape) -> dict[str, Any]:
    """A tape with the sleeves and the charges of a portfolio, where it has some."""
    plain = {
        field.name: getattr(tape, field.name) for field in fields(tape) if field.name not in ("sleeves", "charges")
    }
    sleeves = {} if tape.sleeves is None else prefixed("sleeves", tape.sleeves.to_arrays())
    charges = (
        {} if tape.charges is None else prefixed("charges", {k: np.asarray(v) for k, v in vars(tape.charges).items()})
    )
    return plain | sleeves | charges


def _tape_of(arrays: dict[str, Any]) -> MarketTape:
    """The tape that `_tape_arrays` took apart."""
    sleeves, charges = below("sleeves", arrays), below("charges", arrays)
    return MarketTape(
        **{name: array for name, array in arrays.items() if "/" not in name},
        sleeves=Sleeves.from_arrays(sleeves) if sleeves else None,
        charges=Charges(charges["cost"], float(charges["borrowing"]), float(charges["shorting"])) if charges else None,
    )


def _answer(folder: Path) -> str:
    question: dict[str, Any] = json.loads((folder / "question.json").read_text())
    slot, use = question["slot"], question["use"]
    component = Component(slot, use, settings_class(slot, use)(**question["settings"]))
    if question["probe"] == feature_hash.__name__:
        prices = pd.read_parquet(folder / "prices.parquet")
        returns = pd.read_parquet(folder / "returns.parquet")["returns"]
        sessions = pd.DatetimeIndex(prices.index[-int(question["sessions"]) :])
        return feature_hash(component, FeatureInputs(prices, returns, sessions))
    with np.load(folder / "arrays.npz") as stored:
        arrays = dict(stored)
    if question["probe"] == regimes_hash.__name__:
        sessions, per_year = pd.DatetimeIndex(arrays.pop("sessions")), float(arrays.pop("sessions_per_year"))
        return regimes_hash(component, FitWindow(sessions, **arrays, sessions_per_year=per_year))
    if question["probe"] == policy_hash.__name__:
        return policy_hash(component, _tape_of(arrays))
    return weights_hash(component, pd.read_parquet(folder / "features.parquet"))


if __name__ == "__main__":
    print(_answer(Path(sys.argv[1])))
