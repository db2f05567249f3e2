from __future__ import annotations

from dataclasses import replace
from datetime import date
from importlib.metadata import files

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.market.quality import (
    RULES,
    Finding,
    QualitySettings,
    blocking,
    check_bars,
    check_window,
    findings_frame,
)
from regime_assets.library.market.window import Window
from regime_assets_tests.library.market.fixtures import SESSIONS, actions, bars
from regime_assets_tests.library.market.planted_faults import ALL_FIELDS, CLOSE_ONLY, FAULTS, check, simulate

CALM = [100.0 + 0.5 * (-1) ** n + 0.1 * n for n in range(len(SESSIONS))]


def rules(found: list[Finding], severity: str) -> set[str]:
    return {finding.rule for finding in found if finding.severity == severity}


@pytest.mark.parametrize("fields", [ALL_FIELDS, CLOSE_ONLY])
def test_clean_bars_do_not_block(fields: tuple[str, ...]) -> None:
    assert [finding for seed in range(5) for finding in blocking(check(simulate(seed), fields))] == []


BLOCKED = {
    "close is NaN": "finite",
    "close is infinite": "finite",
    "close is zero": "positive",
    "bar is missing": "complete",
    "bar comes twice, with another close": "unique",
    "bar on a Saturday": "complete",
    "one bar in pence (x 100)": "unit_jump",
    "one close x 100": "unit_jump",
    "pounds for pence from now on (x 0.01)": "unit_jump",
    "split 2:1 not reported": "unapplied_split",
    "split 1:8 not reported": "largest_move",
    "split 13:5 not reported": "unapplied_split",
    "split 190:1 not reported": "largest_move",
    "close x 12, one bar": "largest_move",
    "close x 1,000,000, one bar": "largest_move",
    "dividend of 193 % never paid": "unpaid_dividend",
    "dividend of 40 % never paid": "unpaid_dividend",
    "dividend of 8 % never paid": "unpaid_dividend",
    "split 2:1 reported, prices adjusted already": "unapplied_split",
    "whole session repeated": "stale_session",
    "dividend negative": "positive",
}
WARNED = {
    "high and low swapped": "ordered",
    "bar repeated once": "stale",
    "volume zero": "zero_volume",
    "close 12 % too high, one bar": "outlier",
    "no fault: dividend of 45 %, paid": "large_dividend",
    "no fault: falls by half, volume x 12": "outlier",
    "stored bar comes again 1 % higher": "revisions",
}


@pytest.mark.parametrize(("fault", "rule"), BLOCKED.items())
def test_a_fault_that_must_not_pass_blocks(fault: str, rule: str) -> None:
    for seed in range(3):
        sample = FAULTS[fault](simulate(seed))
        named = [finding for finding in blocking(check(sample, ALL_FIELDS)) if finding.rule == rule]
        assert named
        if rule not in ("stale_session", "complete"):
            assert {(finding.symbol, finding.session) for finding in named} >= {(sample.symbol, sample.planted.date())}


@pytest.mark.parametrize(("fault", "rule"), WARNED.items())
def test_what_may_be_real_only_warns(fault: str, rule: str) -> None:
    for seed in range(3):
        found = check(FAULTS[fault](simulate(seed)), ALL_FIELDS)
        assert blocking(found) == []
        assert rule in rules(found, "warn")


@pytest.mark.parametrize("fault", ["split 3:2 not reported", "split 13:5 not reported", "split 10:1 not reported"])
def test_a_split_blocks_where_closes_alone_are_known(fault: str) -> None:
    found = check(FAULTS[fault](simulate(0)), CLOSE_ONLY)
    assert "unapplied_split" in rules(found, "error")


def test_a_reported_split_is_no_jump() -> None:
    sample = FAULTS["split 2:1 not reported"](simulate(0))
    split = actions((sample.symbol, sample.planted.date(), "split", 2.0))
    assert check(replace(sample, actions=split), ALL_FIELDS) == check(simulate(0), ALL_FIELDS)


def test_real_splits_block_and_a_real_crash_does_not() -> None:
    """Apple's and Microsoft's splits, unreported; Apple's loss of half its value on 2000-09-29."""
    (path,) = (file for file in files("bokeh_sampledata") or () if file.name == "stocks.csv.gz")
    frame = pd.read_csv(str(path.locate())).rename(columns=str.lower)
    frame = frame.rename(columns={"ticker": "symbol", "date": "session"})
    frame = frame[frame["symbol"].isin(["AAPL", "IBM", "MSFT"])].assign(session=pd.to_datetime(frame["session"]))
    days = [day.date() for day in sorted(frame["session"].unique())]
    found = check_bars(frame, ["AAPL", "IBM", "MSFT"], days, ALL_FIELDS)
    assert {(finding.rule, finding.symbol, str(finding.session)) for finding in blocking(found)} == {
        ("unapplied_split", "AAPL", "2000-06-21"),
        ("unapplied_split", "MSFT", "2003-02-18"),
        ("unapplied_split", "AAPL", "2005-02-28"),
    }
    assert ("AAPL", date(2000, 9, 29)) in {(finding.symbol, finding.session) for finding in found}


def test_a_finding_names_symbol_session_field_value_and_rule() -> None:
    bad = bars("A", SESSIONS[:3], [10, -2, 10])
    (finding, *_) = [f for f in check_bars(bad, ["A"], SESSIONS[:3], CLOSE_ONLY) if f.rule == "positive"]
    assert (finding.symbol, finding.session, finding.field, finding.value) == ("A", SESSIONS[1], "close", -2.0)
    for part in ("A", "2022-01-04", "close", "-2", "positive", "> 0"):
        assert part in finding.message


def test_fields_that_a_source_does_not_supply_are_not_judged() -> None:
    closes = bars("A", SESSIONS, CALM).assign(open=np.nan, high=np.nan, low=np.nan, volume=np.nan)
    assert check_bars(closes, ["A"], SESSIONS, CLOSE_ONLY) == []
    with pytest.raises(ValueError, match="without a close"):
        check_bars(closes, ["A"], SESSIONS, ("open",))


def test_history_is_compared_with_and_not_judged() -> None:
    past, today = bars("A", SESSIONS[:9], [-1.0, *CALM[1:8], 100.0]), bars("A", SESSIONS[9:10], [1.0])
    found = check_bars(today, ["A"], SESSIONS[9:10], ALL_FIELDS, history=past)
    assert {finding.session for finding in found} == {SESSIONS[9]}
    assert "unit_jump" in rules(found, "error")


@settings(max_examples=30, deadline=None)
@given(
    row=st.integers(0, len(SESSIONS) - 1),
    field=st.sampled_from(ALL_FIELDS),
    value=st.sampled_from([np.nan, np.inf, -np.inf, -1.0]),
)
def test_no_impossible_value_passes(row: int, field: str, value: float) -> None:
    broken = bars("A", SESSIONS, CALM)
    broken.loc[row, field] = value
    found = [f for f in check_bars(broken, ["A"], SESSIONS, ALL_FIELDS) if f.rule in ("finite", "positive")]
    assert {(f.session, f.field) for f in found} == {(SESSIONS[row], field)}
    assert {f.severity for f in found} == {"error" if field == "close" else "warn"}, "windows read closes"


@pytest.mark.parametrize(
    ("bar", "severity"),
    [
        ((32.59, 32.59, 32.59, 32.84), "warn"),  # REL.L on 2024-05-02, as its vendor still gives it
        ((101.00, 100.98, 99.50, 100.20), "warn"),  # an evening's open cents above the high
        ((100.0, 101.0, 99.0, 104.0), "error"),  # a close 3 % above the high: the close itself may be wrong
        ((100.0, np.nan, np.nan, 100.0), None),  # a newest row that has a close and no range yet
    ],
)
def test_a_range_that_a_price_exceeds_by_little_is_stored_as_it_came(
    bar: tuple[float, ...], severity: str | None
) -> None:
    row = bars("A", SESSIONS[:1], [bar[3]]).assign(open=bar[0], high=bar[1], low=bar[2])
    found = check_bars(row, ["A"], SESSIONS[:1], ALL_FIELDS)
    assert {f.severity for f in found if f.rule == "ordered"} == ({severity} if severity else set())
    assert [f for f in found if f.rule == "finite" and f.severity == "error"] == []


def test_findings_become_a_frame_with_errors_first() -> None:
    sample = FAULTS["close is zero"](simulate(0))
    frame = findings_frame(check(sample, ALL_FIELDS))
    assert frame["severity"].is_monotonic_increasing
    assert set(frame["rule"]) <= set(RULES)
    assert findings_frame([]).columns.tolist() == frame.columns.tolist()


def window(prices: pd.DataFrame, weight: np.ndarray | None = None) -> Window:
    index = pd.DatetimeIndex(prices.index)
    weights = np.ones(len(index)) if weight is None else weight
    return Window("test", "short", date(2022, 1, 31), index, prices, ("A",), weights, "")


PRICES = pd.DataFrame({"A": CALM, "B": CALM[::-1]}, index=pd.DatetimeIndex(list(SESSIONS), name="session"))
FEW = QualitySettings(window_sessions=10)


def test_a_good_window_has_no_findings() -> None:
    assert check_window(window(PRICES), FEW, SESSIONS) == []


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (window(PRICES.mask(PRICES.max() - 1e-9 < PRICES)), "finite"),
        (window(PRICES * -1.0), "positive"),
        (window(PRICES.iloc[[0, 0, *range(1, len(PRICES))]]), "unique"),
        (window(PRICES.drop(PRICES.index[3])), "complete"),
        (window(PRICES.iloc[:5]), "enough_sessions"),
        (window(PRICES.assign(B=7.0)), "constant"),
        (window(PRICES, np.full(len(PRICES), np.nan)), "weights"),
        (window(PRICES, np.full(len(PRICES), 2.0)), "weights"),
    ],
)
def test_a_broken_window_blocks(broken: Window, rule: str) -> None:
    assert rule in rules(check_window(broken, FEW, SESSIONS), "error")


def test_an_outlier_in_a_window_warns() -> None:
    found = check_window(window(PRICES.assign(A=[*CALM[:-1], 150.0])), FEW, SESSIONS)
    assert rules(found, "warn") == {"outlier"}
    assert blocking(found) == []


@pytest.mark.parametrize("row", range(len(SESSIONS)))
def test_moves_of_a_window_are_looked_at_from_a_session_on(row: int) -> None:
    leaps = [100.0, 150.0, *CALM[2:-3], 150.0, 100.0, 160.0]
    everywhere = check_window(window(PRICES.assign(A=leaps)), FEW, SESSIONS)
    late = [one for one in everywhere if one.session is not None and one.session >= SESSIONS[row]]
    assert len(everywhere) > 3
    assert check_window(window(PRICES.assign(A=leaps)), FEW, SESSIONS, moves_since=SESSIONS[row]) == late
