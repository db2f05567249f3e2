from __future__ import annotations

from datetime import UTC, date, datetime
from importlib.metadata import files
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.market.adjustment import Action, AdjustmentError, adjustment_factors
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.market.store import MarketStore
from regime_assets_tests.library.market.fixtures import SESSIONS, actions

SPLITS = {
    "AAPL": {"2000-06-21": 2.0, "2005-02-28": 2.0},
    "MSFT": {"2003-02-18": 2.0},
    "IBM": {},
    "GOOG": {},
    "FB": {},
}

# What the companies paid, as published: cash per share at the time, from this ex session until the next line's.
MSFT_DIVIDENDS = (
    ("2003-02-19", 0.08),
    ("2003-10-15", 0.16),
    ("2004-08-23", 0.08),
    ("2004-11-15", 3.08),  # the special dividend of 3 dollars, with the quarter's
    ("2005-02-15", 0.08),
    ("2006-02-15", 0.09),
    ("2006-11-14", 0.10),
    ("2007-11-13", 0.11),
    ("2008-11-18", 0.13),
    ("2010-11-16", 0.16),
    ("2011-11-15", 0.20),
    ("2012-11-13", 0.23),
)
IBM_DIVIDENDS = (
    ("2000-05-08", 0.13),
    ("2001-05-08", 0.14),
    ("2002-05-08", 0.15),
    ("2003-05-07", 0.16),
    ("2004-05-06", 0.18),
    ("2005-05-06", 0.20),
    ("2006-05-08", 0.30),
    ("2007-05-08", 0.40),
    ("2008-05-07", 0.50),
    ("2009-05-06", 0.55),
    ("2010-05-06", 0.65),
    ("2011-05-06", 0.75),
    ("2012-05-08", 0.85),
)
AAPL_DIVIDENDS = (("2012-08-09", 2.65),)
"""Before the 7:1 split of 2014: as traded then."""


@pytest.fixture(scope="module")
def vendor() -> pd.DataFrame:
    """Bars as traded with the vendor's adjusted close, 2000 to 2013."""
    (path,) = (file for file in files("bokeh_sampledata") or () if file.name == "stocks.csv.gz")
    frame = pd.read_csv(str(path.locate()))
    frame.columns = ["symbol", "session", "open", "high", "low", "close", "volume", "adjusted"]
    return frame.assign(session=pd.to_datetime(frame["session"]))


@pytest.fixture(scope="module")
def calendar(vendor: pd.DataFrame) -> TradingCalendar:
    return TradingCalendar(
        "vendor", "America/New_York", tuple(day.date() for day in sorted(vendor["session"].unique()))
    )


@pytest.fixture(scope="module")
def adjusted(vendor: pd.DataFrame, calendar: TradingCalendar, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Our closes, adjusted by published actions as of the vendor's last session."""
    published = [
        *(
            (symbol, date.fromisoformat(day), "split", ratio)
            for symbol in SPLITS
            for day, ratio in SPLITS[symbol].items()
        ),
        *_paid(vendor, "MSFT", MSFT_DIVIDENDS),
        *_paid(vendor, "IBM", IBM_DIVIDENDS),
        *_paid(vendor, "AAPL", AAPL_DIVIDENDS),
    ]
    store = MarketStore(DatabaseFile(tmp_path_factory.mktemp("vendor") / "market.duckdb"), "vendor")
    fetched = Fetched(vendor.drop(columns="adjusted"), actions(*published), {})
    store.ingest(fetched, "vendor", datetime(2013, 6, 1, tzinfo=UTC), calendar)
    days = calendar.all_sessions
    return store.adjusted_closes(days[-1], list(SPLITS), days[0], days[-1], calendar)


def _paid(
    vendor: pd.DataFrame, symbol: str, amounts: tuple[tuple[str, float], ...]
) -> list[tuple[str, date, str, float]]:
    """The published amounts on the ex sessions on which the vendor's adjustment moves.

    Only the days are taken from the vendor; splits move it as well and are no dividends.
    """
    rows = vendor[vendor["symbol"] == symbol]
    step = (rows["adjusted"] / rows["close"]).pct_change()
    moved = rows.loc[(step > 1e-4) & (step < 0.5), "session"]
    spans = pairwise((*amounts, ("2100-01-01", 0.0)))
    return [
        (symbol, day.date(), "dividend", amount)
        for (since, amount), (until, _) in spans
        for day in moved[(moved >= since) & (moved < until)]
    ]


@pytest.mark.parametrize("symbol", list(SPLITS))
def test_adjusted_returns_are_the_vendors(vendor: pd.DataFrame, adjusted: pd.DataFrame, symbol: str) -> None:
    theirs = vendor[vendor["symbol"] == symbol].set_index("session")["adjusted"]
    ours = adjusted[symbol].dropna()
    difference = (ours.pct_change() - theirs.pct_change()).abs()
    assert difference.max() < 1e-6
    # The vendor adjusted for what came after 2013 as well: the levels differ by one constant.
    ratio = ours / theirs
    assert ratio.max() / ratio.min() - 1.0 < 1e-6


def test_the_newest_close_is_as_traded(vendor: pd.DataFrame, adjusted: pd.DataFrame) -> None:
    last = vendor.groupby("symbol")["close"].last()
    pd.testing.assert_series_equal(adjusted.iloc[-1], last[list(SPLITS)], check_names=False)


@pytest.mark.parametrize(("symbol", "day"), [(symbol, day) for symbol in SPLITS for day in SPLITS[symbol]])
def test_split_days_show_no_phantom_return(vendor: pd.DataFrame, adjusted: pd.DataFrame, symbol: str, day: str) -> None:
    traded = vendor[vendor["symbol"] == symbol].set_index("session")["close"].pct_change()[day]
    assert traded < -0.4
    assert abs(adjusted[symbol].pct_change()[day]) < 0.12


def _factors(closes: list[float], *acts: Action) -> list[float]:
    days = list(SESSIONS[: len(closes)])
    return adjustment_factors(np.array([closes]).T, days, ["A"], acts)[:, 0].tolist()


def test_a_holder_earns_price_and_dividend_after_a_split_on_the_same_day() -> None:
    acts = (Action("A", SESSIONS[1], "dividend", 1.0), Action("A", SESSIONS[1], "split", 2.0))
    before, after = _factors([100.0, 52.0], *acts)
    assert after == 1.0
    assert 52.0 / (100.0 * before) - 1.0 == pytest.approx((52.0 + 1.0) * 2.0 / 100.0 - 1.0)


def test_an_ex_session_without_a_bar_is_settled_by_the_next_close() -> None:
    before, halted, after = _factors([100.0, np.nan, 49.0], Action("A", SESSIONS[1], "split", 2.0))
    assert (before, halted, after) == (0.5, 0.5, 1.0)


def test_an_action_without_a_close_on_both_sides_has_no_effect() -> None:
    assert _factors([100.0, np.nan], Action("A", SESSIONS[1], "split", 2.0)) == [1.0, 1.0]
    assert _factors([100.0, 101.0], Action("A", SESSIONS[0], "split", 2.0)) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [("split", 0.0, "not positive"), ("dividend", float("nan"), "not positive"), ("merger", 1.0, "merger")],
)
def test_actions_that_make_no_sense_are_refused(kind: str, value: float, message: str) -> None:
    with pytest.raises(AdjustmentError, match=message):
        _factors([1.0, 1.0], Action("A", SESSIONS[1], kind, value))


@given(
    closes=st.lists(st.floats(1.0, 1000.0), min_size=6, max_size=6),
    dividend=st.floats(0.01, 50.0),
    row=st.integers(1, 5),
)
def test_adjusted_returns_are_total_returns(closes: list[float], dividend: float, row: int) -> None:
    factors = _factors(closes, Action("A", SESSIONS[row], "dividend", dividend))
    adjusted = np.array(closes) * factors
    earned = np.array(closes[1:]) / closes[:-1]
    earned[row - 1] = (closes[row] + dividend) / closes[row - 1]
    np.testing.assert_allclose(adjusted[1:] / adjusted[:-1], earned, rtol=1e-12)
