"""Dated exceptions of a universe: what may be written, and that a mistake is told with its line."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.market.quality import RULES
from regime_assets.library.market.universe_calendar import universe_calendar
from regime_assets.library.universe import Universe, UniverseError, load_universe
from regime_assets.library.universe.exceptions import ACCEPTABLE, CALENDAR_RULES

VALID = """\
name: hong_kong
source: {kind: yahoo}
calendar: XHKG
history_start: 2021-01-04
first_partition: 2023-06-01
symbols: [1398.HK, 3988.HK, 0005.HK, M&M.NS, ^HSI]
traded: [2800.HK]
"""


def loaded(folder: Path, more: str) -> Universe:
    (folder / "u.yaml").write_text(VALID + more)
    return load_universe(folder / "u.yaml")


def test_every_entry_says_what_when_why_and_who(tmp_path: Path) -> None:
    universe = loaded(
        tmp_path,
        "accept:\n"
        "  - {symbol: 1398.HK, session: 2023-05-02, rule: ordered, reason: as the exchange prints it, by: ann}\n"
        "  - {from: 2023-05-02, to: 2023-05-05, rule: unapplied_split, reason: news, by: bob}\n",
    )
    one, all_symbols = universe.accept
    assert one.told == "1398.HK 2023-05-02: ordered: as the exchange prints it (ann)"
    assert one.covers("ordered", "1398.HK", date(2023, 5, 2))
    assert not one.covers("ordered", "3988.HK", date(2023, 5, 2))
    assert all_symbols.covers("unapplied_split", "3988.HK", date(2023, 5, 4))
    assert not all_symbols.covers("unapplied_split", "3988.HK", date(2023, 5, 8))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("accept: [{session: 2023-05-02, rule: ordered, by: ann}]\n", r"u.yaml:8: accept.0.reason: Field required"),
        ("accept: [{session: 2023-05-02, rule: ordered, reason: ' ', by: ann}]\n", "accept.0.reason"),
        ("accept:\n  - {rule: ordered, reason: r, by: ann}\n", r"u.yaml:9: accept.0: .*on which session"),
        ("accept: [{session: 2023-05-02, rule: finite, reason: r, by: a}]\n", "finite is no rule that can be accepted"),
        ("accept: [{symbol: AAPL, session: 2023-05-02, rule: ordered, reason: r, by: a}]\n", "none of the instruments"),
        ("accept: [{from: 2023-05-02, to: 2023-05-03, rule: unknown_closing, reason: r, by: a}]\n", "one session"),
        ("suspended: [{symbol: 2800.HK, from: 2023-05-02}]\n", "2800.HK cannot be suspended: what is traded"),
        ("suspended: [{symbol: 3988.HK, from: 2023-05-02, to: 2023-05-01}]\n", "before it is suspended"),
        ("renamed: [{symbol: META, formerly: FB, until: 2022-06-08}]\n", "META is none of the instruments"),
        ("renamed: [{symbol: 1398.HK, formerly: ^HSI, until: 2022-06-08}]\n", "an instrument of its own here"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(UniverseError, match=words):
        loaded(tmp_path, more)


@pytest.mark.parametrize("ticker", ["ON", "NO", "700"])
def test_a_ticker_that_yaml_takes_for_something_else_is_to_be_quoted(tmp_path: Path, ticker: str) -> None:
    text = VALID.replace("1398.HK", ticker)
    (tmp_path / "u.yaml").write_text(text)
    with pytest.raises(UniverseError, match="write it in quotes"):
        load_universe(tmp_path / "u.yaml")


def test_a_typhoon_is_no_session_and_an_extra_day_is_one_of_this_universe(tmp_path: Path) -> None:
    universe = loaded(
        tmp_path,
        "accept:\n"
        "  - {session: 2023-09-01, rule: unknown_closing, reason: typhoon Saola, by: ann}\n"
        "  - {session: 2023-09-02, rule: unknown_session, reason: an example, by: ann}\n",
    )
    calendar = universe_calendar(universe, tmp_path)
    assert not calendar.is_session(date(2023, 9, 1))
    assert calendar.is_session(date(2023, 9, 2))
    assert universe_calendar(loaded(tmp_path, ""), tmp_path).is_session(date(2023, 9, 1))


def test_a_suspended_symbol_is_no_member_while_it_is(tmp_path: Path) -> None:
    halted = "suspended: [{symbol: 3988.HK, from: 2023-05-02, to: 2023-05-03, reason: pending news}]\n"
    universe = loaded(tmp_path, halted)
    days = [date(2023, 5, 1), date(2023, 5, 2), date(2023, 5, 3), date(2023, 5, 4)]
    assert universe.membership.mask(["3988.HK", "0005.HK"], days).T.tolist() == [
        [True, False, False, True],
        [True, True, True, True],
    ]
    assert "3988.HK" not in universe.instruments_on(days[1])
    assert "3988.HK" in universe.membership.members(universe.symbols, days[0], days[-1])
    assert np.all(universe.membership.mask(["2800.HK"], days))


def test_what_can_be_accepted_is_a_rule() -> None:
    assert set(ACCEPTABLE) - set(CALENDAR_RULES) <= set(RULES)
