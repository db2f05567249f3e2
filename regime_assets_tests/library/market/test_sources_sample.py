"""The sample data: real closes, no network, no heavy import."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.market.sources.base import ACTION_COLUMNS, BAR_COLUMNS, SourceError
from regime_assets.library.market.sources.sample import FIRST_DATE, LAST_SESSION, SampleSource

STOCKS = "AAPL AMD BAC BBY CVX GE HD JNJ JPM KO LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM".split()  # noqa: SIM905


def test_every_symbol_has_a_positive_close_on_every_session() -> None:
    fetched = SampleSource().fetch([*STOCKS, "SP500"], FIRST_DATE, LAST_SESSION)
    assert fetched.failures == {}
    assert tuple(fetched.bars.columns) == BAR_COLUMNS
    assert fetched.bars.groupby("symbol").size().to_dict() == dict.fromkeys([*STOCKS, "SP500"], 7048)
    assert (fetched.bars["close"] > 0).all()
    assert fetched.bars["session"].dtype == np.dtype("datetime64[ns]")


def test_only_the_close_is_supplied_and_there_are_no_actions() -> None:
    fetched = SampleSource().fetch(["AAPL"], date(2020, 1, 1), date(2020, 12, 31))
    assert fetched.bars[["open", "high", "low", "volume"]].isna().all(axis=None)
    assert fetched.actions.empty
    assert tuple(fetched.actions.columns) == ACTION_COLUMNS


def test_the_index_closes_at_its_published_level() -> None:
    bars = SampleSource().fetch(["SP500"], date(2022, 1, 3), date(2022, 1, 3)).bars
    assert bars["close"].tolist() == pytest.approx([4796.56], abs=0.01)
    assert bars["session"].tolist() == [pd.Timestamp("2022-01-03")]


def test_both_ends_of_the_range_are_included() -> None:
    sessions = SampleSource().fetch(["KO"], date(2022, 12, 27), date(2022, 12, 28)).bars["session"]
    assert sessions.dt.date.tolist() == [date(2022, 12, 27), date(2022, 12, 28)]


def test_an_unknown_symbol_fails_alone() -> None:
    fetched = SampleSource().fetch(["KO", "TSLA"], date(2022, 1, 3), date(2022, 1, 7))
    assert set(fetched.bars["symbol"]) == {"KO"}
    assert "only AAPL" in fetched.failures["TSLA"]


def test_a_range_after_the_data_is_a_failure_and_never_nan_rows() -> None:
    fetched = SampleSource().fetch(["KO"], date(2023, 1, 3), date(2023, 1, 7))
    assert fetched.bars.empty
    assert "ends 2022-12-28" in fetched.failures["KO"]


def test_a_start_before_1995_is_refused_with_the_reason() -> None:
    with pytest.raises(SourceError, match=r"1995-01-01.*rounded"):
        SampleSource().fetch(["KO"], date(1994, 12, 31), date(2000, 1, 1))


def test_fetching_imports_neither_skfolio_nor_cvxpy() -> None:
    program = (
        "import sys, datetime as d; from regime_assets.library.market.sources.sample import SampleSource as S;"
        "S().fetch(['KO'], d.date(2020, 1, 2), d.date(2020, 1, 3));"
        "sys.exit(any(name in sys.modules for name in ('skfolio', 'cvxpy', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
