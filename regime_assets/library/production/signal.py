"""The signal: what a bundle says of the newest session of a window, and what two horizons say together.

Pure functions of a bundle and of features. The same bundle and features give the same signal, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regime_assets.library.production.bundle import Bundle

if TYPE_CHECKING:
    from regime_assets.library.regimes.regime_model import Infer


class SignalError(ValueError):
    """The features do not fit the bundle, or the horizons do not fit each other."""


@dataclass(frozen=True)
class Signal:
    """What one bundle says at one session's close. It is filled at the close of the next session.

    Attributes:
        session: the newest session that it has seen.
        regime: the most probable regime.
        posteriors: filtered probability of each regime, calmest first.
        exposure: sum of the weights of the risk instruments; 1 is fully invested.
        weights: fraction of capital in each traded symbol; the rest is cash.
        latents: the VAE's aligned latent means.
        reconstruction_error: how unlike its training window the bundle finds the session, mean squared.
    """

    session: date
    regime: str
    posteriors: dict[str, float]
    exposure: float
    weights: dict[str, float]
    latents: tuple[float, ...]
    reconstruction_error: float

    def to_document(self) -> dict[str, Any]:
        """The signal as JSON values."""
        return asdict(self) | {"session": self.session.isoformat(), "latents": list(self.latents)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Signal:
        """The signal that `to_document` took apart."""
        fields = dict(document)
        fields["session"] = date.fromisoformat(fields["session"])
        fields["latents"] = tuple(fields["latents"])
        return cls(**fields)


@dataclass(frozen=True)
class CombinedSignal:
    """What the horizons of a universe say together.

    Attributes:
        session: the session of every horizon's signal.
        regime: the regime of the horizon named in `regime_from`.
        regime_from: the most cautious horizon.
        exposure: mean of the horizons' exposures, by their shares.
        weights: mean of the horizons' weights, symbol by symbol, likewise.
        horizons: the signals themselves.
        shares: what each horizon counts; they add up to 1.
    """

    session: date
    regime: str
    regime_from: str
    exposure: float
    weights: dict[str, float]
    horizons: dict[str, Signal]
    shares: dict[str, float]

    def to_document(self) -> dict[str, Any]:
        """The combination as JSON values."""
        horizons = {name: signal.to_document() for name, signal in self.horizons.items()}
        return asdict(self) | {"session": self.session.isoformat(), "horizons": horizons}


def score(bundle: Bundle, features: pd.DataFrame, infer: Infer | None = None) -> Signal:
    """The bundle's signal at the last session of `features`.

    Args:
        bundle: policy or rule decides, as its manifest says.
        features: (T, F) indexed by ascending session, columns as the bundle's VAE names them. The position starts
            from cash at the first row, so that the answer depends on the features alone; a policy that reads its own
            previous position forgets the start within the window.
        infer: what a model says of features; the model itself is asked if None.

    Raises:
        SignalError: no rows, other columns, unsorted sessions, or a value that is not a finite number.
    """
    _check(bundle, features)
    from regime_assets.library.regimes.regime_model import observations

    path = infer(bundle.regimes, features) if infer else bundle.regimes.infer(features)
    if bundle.manifest.serves == "policy":
        observed = observations(path, features if bundle.policy.reads_features else None)
        weights = bundle.policy.decide(observed, path.rule_exposure)[-1]
    else:
        action = bundle.policy.action
        weights = action.weights(action.at_rule(path.rule_exposure))[-1]
    if len(weights) != len(bundle.manifest.traded) or not np.isfinite(weights).all():
        raise SignalError(f"weights {weights.tolist()} for the symbols {list(bundle.manifest.traded)}")
    return Signal(
        session=pd.Timestamp(features.index[-1]).date(),
        regime=path.names[int(path.states[-1])],
        posteriors=dict(zip(path.names, path.posteriors[-1].tolist(), strict=True)),
        exposure=float(bundle.policy.action.exposure(weights[None])[0]),
        weights=dict(zip(bundle.manifest.traded, weights.tolist(), strict=True)),
        latents=tuple(path.latents[-1].tolist()),
        reconstruction_error=float(path.reconstruction_error[-1]),
    )


def combine(signals: Mapping[str, Signal], shares: Mapping[str, float] | None = None) -> CombinedSignal:
    """One position from the horizons: their mean by shares, labelled with the most cautious horizon's regime.

    The mean is never outside what some horizon wants, and makes a smaller trade when only one of two horizons changes
    its mind. The label is a warning to a human, and a warning
    that one horizon gives is shown: the regime comes from the horizon of the lowest exposure, at equal exposures
    from the one that holds its calmest regime the least probable.

    Args:
        signals: by horizon.
        shares: what each horizon counts, in proportion; equal parts when None.

    Raises:
        SignalError: there are no signals, they are of different sessions, or the shares are no shares of them.
    """
    if not signals:
        raise SignalError("no horizon has a signal to combine")
    sessions = {horizon: signal.session for horizon, signal in signals.items()}
    if len(set(sessions.values())) > 1:
        raise SignalError(f"the horizons' signals are of different sessions: {sessions}")
    ordered = {horizon: signals[horizon] for horizon in sorted(signals)}  # one order of summation
    cautious = min(ordered, key=lambda horizon: _caution(ordered[horizon]))
    symbols = sorted({symbol for signal in ordered.values() for symbol in signal.weights})
    counted = _shares(ordered, shares)

    def mean(values: Mapping[str, float]) -> float:
        if shares is None:
            return sum(values.values()) / len(values)
        return sum(counted[horizon] * value for horizon, value in values.items())

    weights = {s: mean({horizon: signal.weights.get(s, 0.0) for horizon, signal in ordered.items()}) for s in symbols}
    return CombinedSignal(
        session=ordered[cautious].session,
        regime=ordered[cautious].regime,
        regime_from=cautious,
        exposure=mean({horizon: signal.exposure for horizon, signal in ordered.items()}),
        weights=weights,
        horizons=ordered,
        shares=counted,
    )


def _shares(signals: Mapping[str, Signal], shares: Mapping[str, float] | None) -> dict[str, float]:
    """The shares of the horizons that answered, adding up to 1."""
    if shares is None:
        return {horizon: 1.0 / len(signals) for horizon in signals}
    counted = {horizon: float(shares.get(horizon, 0.0)) for horizon in signals}
    total = sum(counted.values())
    if min(counted.values()) < 0.0 or not total > 0.0 or not np.isfinite(total):
        raise SignalError(f"{dict(shares)} are no shares of the horizons {', '.join(signals)}")
    return {horizon: share / total for horizon, share in counted.items()}


def _caution(signal: Signal) -> tuple[float, float]:
    return signal.exposure, next(iter(signal.posteriors.values()))


def _check(bundle: Bundle, features: pd.DataFrame) -> None:
    if features.empty:
        raise SignalError("no feature rows")
    expected, given = tuple(bundle.regimes.vae.feature_names), tuple(str(name) for name in features.columns)
    if given != expected:
        raise SignalError(f"the bundle reads the features {list(expected)} in this order, not {list(given)}")
    if not features.index.is_monotonic_increasing or features.index.has_duplicates:
        raise SignalError("the features' sessions are not strictly ascending")
    finite = np.isfinite(features.to_numpy())
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise SignalError(f"the feature {given[column]} of {features.index[row]} is {features.iat[row, column]}")
