"""What every source refuses before it asks anyone, and the shape of every answer."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.market.sources.base import (
    ACTION_COLUMNS,
    BAR_COLUMNS,
    History,
    SourceError,
    assemble,
    check_request,
    no_actions,
)

FIRST, LAST = date(2024, 1, 2), date(2024, 1, 31)


@pytest.mark.parametrize("symbol", ["AAPL", "BRK-B", "^GSPC", "EURUSD=X", "VOD.L", "BTC-USD", "0700.HK", "A" * 32])
def test_listed_symbols_are_accepted(symbol: str) -> None:
    assert check_request([symbol], FIRST, LAST) == (symbol,)


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "../etc/passwd",
        "A/B",
        "A B",
        "A\n",
        "-X",
        ".X",
        "A?x=1",
        "A#",
        "A%2e",
        "<script>",
        "A" * 33,
        "ÄX",
        "A\u0660",
    ],
)
def test_hostile_symbols_are_refused(symbol: str) -> None:
    with pytest.raises(SourceError, match="refused symbols"):
        check_request(["KO", symbol], FIRST, LAST)


@given(st.text(min_size=1, max_size=40))
def test_an_accepted_symbol_has_nothing_that_a_path_or_url_could_misread(symbol: str) -> None:
    try:
        check_request([symbol], FIRST, LAST)
    except SourceError:
        return
    assert symbol.isascii()
    assert not set(symbol) & set("/\\?#%&:@ \t\r\n\0'\"<>;$`|*")
    assert not symbol.startswith((".", "-", "="))


@pytest.mark.parametrize(
    ("symbols", "first", "message"),
    [
        ([], FIRST, "at least one"),
        ("KO", FIRST, "a list"),
        (["KO", "KO"], FIRST, "twice"),
        (["KO"], date(2024, 2, 1), "after"),
    ],
)
def test_requests_that_make_no_sense_are_refused(symbols: list[str], first: date, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        check_request(symbols, first, LAST)


def test_an_answer_has_the_promised_columns_types_and_order() -> None:
    sessions = pd.DatetimeIndex(["2024-01-03", "2024-01-02"])
    history = History(pd.DataFrame({"close": [2, 1]}, index=sessions), no_actions())
    fetched = assemble({"B": history, "A": history}, {"C": "gone"})
    assert tuple(fetched.bars.columns) == BAR_COLUMNS
    assert fetched.bars["symbol"].tolist() == ["A", "A", "B", "B"]
    assert fetched.bars["close"].tolist() == [1.0, 2.0, 1.0, 2.0]
    assert fetched.failures == {"C": "gone"}


def test_an_empty_answer_has_the_same_columns_and_types() -> None:
    fetched = assemble({}, {"C": "gone"})
    assert tuple(fetched.bars.columns) == BAR_COLUMNS
    assert tuple(fetched.actions.columns) == ACTION_COLUMNS
    assert fetched.bars["session"].dtype == fetched.actions["ex_session"].dtype == np.dtype("datetime64[ns]")
    assert fetched.bars["close"].dtype == np.float64
