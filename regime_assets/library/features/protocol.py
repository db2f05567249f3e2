"""What a feature is: a function of prices up to a session, its settings, and how far it looks back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd


class FeatureError(Exception):
    """The prices do not allow the features asked for; the message names the session and symbol."""


@dataclass(frozen=True)
class FeatureInputs:
    """What features are computed of. Row t of an answer may use rows up to and including session t.

    Attributes:
        prices: (M + T, S) adjusted closes by ascending session, one column a watched symbol; NaN where a symbol is no
            member of the universe.
        market_returns: (M + T - 1,) simple returns of the traded instruments in equal parts, from the second row on.
        sessions: the last T of the rows, for which features are wanted; M is at least the feature's memory.
    """

    prices: pd.DataFrame
    market_returns: pd.Series
    sessions: pd.DatetimeIndex


class FeatureComponent(Protocol):
    """What a universe's `features` name: a class with these members, or a function under `@feature`."""

    Settings: ClassVar[type[Any]]
    version: ClassVar[int]

    @staticmethod
    def memory_sessions(settings: Any) -> int:
        """Sessions before a row that can change it."""
        ...

    @staticmethod
    def compute(inputs: FeatureInputs, settings: Any) -> pd.DataFrame:
        """(T, F) finite numbers with `inputs.sessions` as index, one named column a feature."""
        ...


Compute = Callable[[FeatureInputs, Any], pd.DataFrame]


@dataclass(frozen=True)
class FeatureFunction:
    """A function as a feature component; calling it is computing it."""

    compute: Compute
    Settings: type[Any]
    version: int
    memory_sessions: Callable[[Any], int]

    def __call__(self, inputs: FeatureInputs, settings: Any) -> pd.DataFrame:
        """As `FeatureComponent.compute`."""
        return self.compute(inputs, settings)


def feature(settings: type[Any], *, version: int, memory: Callable[[Any], int]) -> Callable[[Compute], FeatureFunction]:
    """Make a function a feature component.

    Args:
        settings: its settings class.
        version: raised when equal settings mean other numbers.
        memory: from settings to the sessions before a row that can change it.
    """
    return lambda compute: FeatureFunction(compute, settings, version, memory)


def compute_feature(component: Any, name: str, inputs: FeatureInputs, settings: Any) -> pd.DataFrame:
    """One component's answer, held against what it promises.

    Raises:
        FeatureError: another index than the wanted sessions, a column without a name of its own, or a value that is no
            finite number; the message names component, column and session.
    """
    answer = component.compute(inputs, settings)
    if not isinstance(answer, pd.DataFrame) or not answer.index.equals(inputs.sessions):
        raise FeatureError(f"{name} must answer a frame whose index is `inputs.sessions`")
    columns = [str(column) for column in answer.columns]
    if not columns or len(set(columns)) < len(columns):
        raise FeatureError(f"{name} must answer one column or more, each under a name of its own: {columns}")
    values = answer.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise FeatureError(
            f"{name}: {columns[column]} on {inputs.sessions[row]:%Y-%m-%d} is {values[row, column]}; a feature is a "
            "finite number on every session that has its memory before it"
        )
    return pd.DataFrame(values, index=answer.index, columns=columns)
