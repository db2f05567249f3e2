"""Splits, dividends and news as exchanges and vendors really had them: the values are those of the day."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.market.quality import Finding, check_bars
from regime_assets_tests.library.market.fixtures import WEEKDAYS, actions
from regime_assets_tests.library.market.planted_faults import ALL_FIELDS, CLOSE_ONLY

DAYS = WEEKDAYS.sessions(date(2022, 1, 3), date(2022, 4, 29))
OTHERS = ("M1", "M2", "M3", "M4")


class Day(NamedTuple):
    """One session of one instrument, and what was ordinary for it.

    Attributes:
        before: the close before.
        bar: open, high, low, close, volume.
        scale: standard deviation of its log returns over the 60 sessions before.
        volume: usual volume in shares, at the price before.
        market: return of the market on the day.
        share: its share (beta) in the market's moves.
        trend: log of the close before over its median of the 60 sessions before; as it comes when not given.
    """

    before: float
    bar: tuple[float, float, float, float, float]
    scale: float
    volume: float
    market: float = 0.0
    share: float = 1.0
    trend: float | None = None


REAL_MOVES = {
    "NVDA 2002-07-31": Day(0.123775, (0.090198, 0.092030, 0.083483, 0.084475, 4.837e9), 0.057, 1.383e9, 0.004),
    "NVDA 2008-07-03": Day(0.412760, (0.297150, 0.300584, 0.283872, 0.285933, 2.988e9), 0.037, 0.879e9, 0.001),
    "EQIX 2001-04-09": Day(13.974, (19.534, 21.652, 16.945, 21.652, 36_388), 0.061, 44_020, 0.01),
    "TQQQ 2020-03-16": Day(6.786, (4.8306, 5.8024, 4.4163, 4.4473, 658e6), 0.029, 490e6, -0.12, 3.0),
    "UPRO 2020-03-16": Day(17.393, (12.022, 14.681, 11.180, 11.315, 43.5e6), 0.022, 30.0e6, -0.12, 3.0),
    "Washington Mutual 2008-09-26": Day(1.77, (0.18, 0.18, 0.15, 0.16, 483_241), 0.096, 270.6e6, -0.01, trend=-0.8),
    "AAPL 2000-09-29": Day(53.38, (28.06, 29.13, 23.19, 25.81, 134.1e6), 0.039, 5.96e6, -0.02),
}
UNREPORTED_SPLITS = {
    "AAPL 4:1, 2020-08-31": Day(499.23, (127.67, 131.00, 126.25, 129.04, 210.0e6), 0.018, 39.2e6, 0.0),
    "AIG 3:2, 1998-08-03": Day(150.69, (100.50, 100.94, 98.81, 98.88, 1_236_100), 0.0165, 1_007_849, -0.007),
    "AIG 5:4, 1999-08-02": Day(116.38, (92.94, 94.06, 92.06, 92.75, 1_922_800), 0.0123, 1_730_000, -0.003),
    "USO 1:8, 2020-04-29": Day(2.13, (18.01, 18.22, 17.46, 18.00, 22_358_639), 0.058, 200e6, 0.02),
    "KLAC 10:1, 2026-03-13": Day(1409.39, (141.534, 144.401, 140.663, 141.683, 12.7e6), 0.028, 0.904e6, -0.004),
    "1:190": Day(2.1, (401.0, 404.0, 396.0, 399.0, 10_500), 0.03, 2e6),
    "190:1": Day(399.0, (2.1, 2.15, 2.08, 2.1, 2e6), 0.03, 10_500),
}


def session(day: Day, *, dividend: float | None = None, fields: tuple[str, ...] = ALL_FIELDS) -> list[Finding]:
    """The findings on the last of 60 sessions, which is `day`, beside four other symbols that move with the market."""
    random = np.random.default_rng(7)
    count = len(DAYS) - 1
    own = random.normal(size=count)
    own *= day.scale / (1.4826 * np.median(np.abs(own - np.median(own))))
    if day.trend is not None:
        path = np.cumsum(own)
        own[-20:] += (day.trend - (path[-1] - np.median(path))) / 20.0
    market = np.append(own / day.share, np.log1p(day.market))
    close = np.append(day.before * np.exp(np.cumsum(own) - own.sum()), day.bar[3])
    frames = [
        pd.DataFrame(
            {
                "open": np.append(close[:-1], day.bar[0]),
                "high": np.append(close[:-1] * 1.001, day.bar[1]),
                "low": np.append(close[:-1] * 0.999, day.bar[2]),
                "close": close,
                "volume": np.append(np.full(count, day.volume), day.bar[4]),
            }
        ).assign(symbol="A", session=pd.to_datetime(list(DAYS)))
    ]
    for place, symbol in enumerate(OTHERS):
        prices = 50.0 * np.exp(np.cumsum(market + random.normal(scale=0.002, size=len(DAYS)))) + place
        fields_of = dict.fromkeys(("open", "high", "low", "close"), prices) | {"volume": 1e6}
        frames.append(pd.DataFrame(fields_of).assign(symbol=symbol, session=pd.to_datetime(list(DAYS))))
    bars = pd.concat(frames, ignore_index=True)
    today = bars["session"] == pd.Timestamp(DAYS[-1])
    declared = None if dividend is None else actions(("A", DAYS[-1], "dividend", dividend))
    names = ["A", *OTHERS]
    return check_bars(bars[today], names, DAYS[-1:], fields, history=bars[~today], actions=declared)


def blocks(found: list[Finding]) -> set[str]:
    return {finding.rule for finding in found if finding.severity == "error"}


def warns(found: list[Finding]) -> set[str]:
    return {finding.rule for finding in found if finding.severity == "warn"}


@pytest.mark.parametrize("day", REAL_MOVES.values(), ids=REAL_MOVES)
def test_what_really_happened_is_not_refused(day: Day) -> None:
    found = session(day)
    assert blocks(found) == set()
    assert "outlier" in warns(found) or day.share > 1.0


def test_closes_alone_tell_the_fall_of_what_had_fallen_before_from_a_split() -> None:
    """Washington Mutual stood at about 4 dollars in the summer before its last day: nobody splits such shares."""
    last_day = REAL_MOVES["Washington Mutual 2008-09-26"]
    found = session(last_day, fields=CLOSE_ONLY)
    assert blocks(found) == set()
    assert "unapplied_split" in blocks(session(last_day._replace(trend=0.05), fields=CLOSE_ONLY))


@pytest.mark.parametrize("fields", [ALL_FIELDS, CLOSE_ONLY], ids=["all fields", "closes only"])
@pytest.mark.parametrize("day", UNREPORTED_SPLITS.values(), ids=UNREPORTED_SPLITS)
def test_a_split_that_nobody_reported_blocks(day: Day, fields: tuple[str, ...]) -> None:
    assert blocks(session(day, fields=fields)) & {"unapplied_split", "largest_move", "unit_jump"}


def test_a_block_says_what_speaks_for_a_split() -> None:
    (finding,) = [one for one in session(UNREPORTED_SPLITS["AIG 3:2, 1998-08-03"]) if one.rule == "unapplied_split"]
    for part in (
        "A 2022-04-29 close",
        "1/1.524 of the close before",
        "an ordinary session moves it",
        "market",
        "usual",
    ):
        assert part in finding.message


@pytest.mark.parametrize("factor", [12.0, 1e3, 1e6, 1 / 16, 1e-6])
def test_no_session_moves_a_price_beyond_every_real_one(factor: float) -> None:
    close = 40.0 * factor
    found = session(Day(40.0, (close, close, close, close, 1e6), 0.02, 1e6))
    assert blocks(found) & {"largest_move", "unit_jump"}


def test_a_dividend_of_twice_the_price_that_the_price_did_not_answer_blocks() -> None:
    """Temple Bar 2022-06-23: 2.80 pence read as pounds."""
    found = session(Day(1.448, (1.456, 1.456, 1.432, 1.446, 2_127_296), 0.01, 1_500_000), dividend=2.8)
    assert blocks(found) == {"unpaid_dividend"}


def test_a_special_dividend_that_the_price_gave_up_passes() -> None:
    """abrdn Diversified Income 2024-07-03: 38 of 82.8 pence returned to its holders."""
    found = session(Day(0.828, (0.455, 0.460, 0.446, 0.452, 900_000), 0.012, 500_000), dividend=0.38)
    assert blocks(found) == set()
    assert "large_dividend" in warns(found)


def test_a_fund_that_pays_out_its_gains_passes() -> None:
    """JENYX 2025-11-13: 16.88 of 60.71, of which 16.803 are capital gains."""
    found = session(Day(60.71, (43.38, 43.38, 43.38, 43.38, 0), 0.012, 0), dividend=16.88)
    assert blocks(found) == set()


def test_gains_that_are_counted_twice_block() -> None:
    found = session(Day(60.71, (43.38, 43.38, 43.38, 43.38, 0), 0.012, 0), dividend=16.88 + 16.803)
    assert blocks(found) == {"unpaid_dividend"}


def test_a_dividend_on_a_session_without_a_trade_only_warns() -> None:
    """CLC.L 2022-06-30: the price stood still because nobody traded."""
    found = session(Day(0.63267, (0.63267, 0.63267, 0.63267, 0.63267, 0), 0.01, 10_000), dividend=0.0306)
    assert blocks(found) == set()
    assert "unpaid_dividend" in warns(found)


def test_a_dividend_in_another_unit_than_those_before_is_warned_of() -> None:
    days = [DAYS[place] for place in (10, 30, 50)]
    flat = pd.DataFrame({name: 10.0 + 0.05 * (np.arange(60) % 2) for name in ("open", "high", "low", "close")})
    bars = flat.assign(volume=1e6, symbol="A", session=pd.to_datetime(list(DAYS[:60])))
    paid = actions(*(("A", day, "dividend", value) for day, value in zip(days, (0.1, 0.1, 0.001), strict=True)))
    found = check_bars(bars, ["A"], DAYS[:60], ALL_FIELDS, actions=paid)
    assert {finding.session for finding in found if finding.rule == "dividend_unit"} == {days[-1]}
