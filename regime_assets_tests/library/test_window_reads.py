"""What a run has read or inferred it does not read or infer again, as long as there is room for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from regime_assets.library import window_reads
from regime_assets.library.window_reads import Kind, WindowReads, size_of


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Kind, int]]:
    """What had to be read, where there is room for three rows of eight bytes of each kind."""
    monkeypatch.setattr(window_reads, "MOST_BYTES", {"window": 24, "features": 24, "regimes": 24})
    return []


def test_what_was_asked_for_last_is_kept_and_kinds_do_not_push_each_other_out(asked: list[tuple[Kind, int]]) -> None:
    reads = WindowReads()

    def ask(kind: Kind, key: int) -> None:
        def read() -> NDArray[np.float64]:
            asked.append((kind, key))
            return np.array([float(key)])

        assert reads.once(kind, key, read) == [key]

    for key in (0, 1, 2):
        ask("window", key)
        ask("features", key)
    ask("window", 0)
    assert len(asked) == 6
    ask("window", 3)
    ask("window", 0)
    ask("features", 1)
    assert asked[6:] == [("window", 3)]
    ask("window", 1)
    assert asked[7:] == [("window", 1)], "which nobody had asked for since the first one was asked for again"


def test_what_is_larger_than_the_room_is_kept_alone(asked: list[tuple[Kind, int]]) -> None:
    reads = WindowReads()
    for _ in range(2):
        reads.once("window", "large", lambda: asked.append(("window", 0)) or np.zeros(100))
    assert len(asked) == 1


def test_the_arrays_and_tables_of_a_value_are_counted() -> None:
    @dataclass
    class Read:
        name: str
        sessions: pd.DatetimeIndex
        prices: pd.DataFrame
        weights: NDArray[np.float64]
        cash: None = None

    prices = pd.DataFrame({"A": [1.0, 2.0], "B": [3.0, 4.0]}, index=pd.to_datetime(["2024-01-02", "2024-01-03"]))
    read = Read("u", pd.DatetimeIndex(prices.index), prices, np.ones(2))
    assert size_of(read) == 16 + (16 + 32) + 16
