"""What the models of one session are fitted on: features, returns and recency weights of a window, as one table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.features.protocol import FeatureError, FeatureInputs, compute_feature

if TYPE_CHECKING:
    from regime_assets.library.market.window import Window

TRADED_PREFIX = "return:"
FEATURE_PREFIX = "feature:"


class Computed(Protocol):
    """A feature component of a design."""

    @property
    def use(self) -> str: ...

    @property
    def settings(self) -> Any: ...

    def load(self) -> Any:
        """The `FeatureComponent`."""
        ...


@dataclass(frozen=True)
class TrainingSet:
    """A window ready to be fitted on; T sessions ascending, F features, N traded instruments.

    Attributes:
        features: (T, F), index `session`; row t uses data up to and including session t.
        traded_returns: (T, N) simple close-to-close returns; what weights are applied to.
        sample_weight: (T,) recency weights with mean 1.
        data_hash: identifies the window that the rows came from.
        refuges: those of the traded instruments that are held when risk is off; the market are the others.
        cash: (T,) simple return of cash on each session; None where it earns nothing.
        known_sessions: of the line's history up to the last one; None where its length says nothing, as of a rolling
            window.
    """

    features: pd.DataFrame
    traded_returns: pd.DataFrame
    sample_weight: NDArray[np.float64]
    data_hash: str
    refuges: tuple[str, ...] = ()
    cash: NDArray[np.float64] | None = None
    known_sessions: int | None = None

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """The T sessions."""
        return pd.DatetimeIndex(self.features.index)

    @property
    def market_returns(self) -> pd.Series:
        """(T,) return of the traded risk instruments held in equal parts."""
        risk = self.traded_returns.drop(columns=list(self.refuges)) if self.refuges else self.traded_returns
        return risk.mean(axis=1)

    @property
    def base_weights(self) -> NDArray[np.float64]:
        """(N,) weights of full exposure: equal parts of the risk instruments."""
        risk = ~self.traded_returns.columns.isin(self.refuges)
        return risk / float(risk.sum())

    @property
    def refuge_weights(self) -> NDArray[np.float64] | None:
        """(N,) equal parts of the refuges; None where there is none."""
        if not self.refuges:
            return None
        refuge = self.traded_returns.columns.isin(self.refuges)
        return refuge / float(refuge.sum())

    def to_frame(self) -> pd.DataFrame:
        """One table with a row a session, as it is stored."""
        frame = pd.concat(
            [
                self.features.add_prefix(FEATURE_PREFIX),
                self.traded_returns.add_prefix(TRADED_PREFIX),
            ],
            axis=1,
        )
        frame["sample_weight"] = self.sample_weight
        frame["data_hash"] = self.data_hash
        return frame.rename_axis("session").reset_index()

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> TrainingSet:
        """What `to_frame` made; columns that hold nothing belong to other universes of the same table."""
        table = frame.set_index("session").sort_index().dropna(axis=1, how="all")
        features = table.loc[:, table.columns.str.startswith(FEATURE_PREFIX)]
        returns = table.loc[:, table.columns.str.startswith(TRADED_PREFIX)]
        return cls(
            features=features.rename(columns=lambda name: name.removeprefix(FEATURE_PREFIX)),
            traded_returns=returns.rename(columns=lambda name: name.removeprefix(TRADED_PREFIX)),
            sample_weight=table["sample_weight"].to_numpy(dtype=np.float64),
            data_hash=str(table["data_hash"].iloc[0]),
        )

    def slice(self, first: int, stop: int, sample_weight: NDArray[np.float64]) -> TrainingSet:
        """Rows [first, stop) under new weights, which have mean 1."""
        return TrainingSet(
            features=self.features.iloc[first:stop],
            traded_returns=self.traded_returns.iloc[first:stop],
            sample_weight=sample_weight,
            data_hash=self.data_hash,
            refuges=self.refuges,
            cash=None if self.cash is None else self.cash[first:stop],
            known_sessions=None if self.known_sessions is None else self.known_sessions - (len(self.sessions) - stop),
        )


def build_training_set(window: Window, features: Sequence[Computed], facts: pd.DataFrame | None = None) -> TrainingSet:
    """Features and returns of a validated window; rows before the window only warm the features up.

    Args:
        window: the window.
        features: what is computed of its prices, in the order of its columns.
        facts: (T, M) further features of its sessions, behind those of the prices; they become part of the hash.
    """
    computed = compute_all(features, FeatureInputs(window.prices, window.market_returns, window.sessions))
    if facts is None:
        return TrainingSet(computed, window.traded_returns, window.sample_weight, window.data_hash, window.refuges)
    digest = hashlib.sha256(window.data_hash.encode())
    digest.update("\n".join(facts.columns).encode())
    digest.update(np.ascontiguousarray(facts.to_numpy(dtype=np.float64)).tobytes())
    both = pd.concat([computed, facts], axis=1)
    return TrainingSet(both, window.traded_returns, window.sample_weight, digest.hexdigest(), window.refuges)


def features_hash(features: pd.DataFrame) -> str:
    """What tells one table of features (T, F) from another one: sessions, names and numbers."""
    digest = hashlib.sha256("\n".join(map(str, features.columns)).encode())
    digest.update(pd.DatetimeIndex(features.index).as_unit("ns").asi8.tobytes())
    digest.update(np.ascontiguousarray(features.to_numpy(dtype=np.float64)).tobytes())
    return digest.hexdigest()


def compute_all(features: Sequence[Computed], inputs: FeatureInputs) -> pd.DataFrame:
    """The columns of all features side by side, (T, F).

    Raises:
        FeatureError: of a component, or two of them give a column the same name.
    """
    frames = [compute_feature(one.load(), one.use, inputs, one.settings) for one in features]
    owners: dict[str, str] = {}
    for one, frame in zip(features, frames, strict=True):
        for column in frame.columns:
            if column in owners:
                raise FeatureError(f"{owners[column]} and {one.use} both name a feature {column}: rename one of them")
            owners[column] = one.use
    return pd.concat(frames, axis=1)
