"""Pauses, backoff and giving up, with a clock that only counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from regime_assets.library.market.sources.base import SourceError, SymbolError
from regime_assets.library.market.sources.pacing import Pacing, Unavailable, fetch_each, retry_after

PACING = Pacing(pause_seconds=1.0, attempts=4, backoff_seconds=2.0, give_up_after=2)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr("regime_assets.library.market.sources.pacing.time.sleep", waits.append)
    return waits


def failing(unavailable: set[str], unknown: set[str] | None = None) -> tuple[Callable[[str], str], list[str]]:
    """A vendor that does not answer for some symbols and does not know others, and the list of what it was asked."""
    asked: list[str] = []

    def ask(symbol: str) -> str:
        asked.append(symbol)
        if symbol in unavailable:
            raise Unavailable("busy")
        if symbol in (unknown or set()):
            raise SymbolError("unknown")
        return symbol.lower()

    return ask, asked


def test_there_is_a_pause_between_symbols_but_none_before_the_first(slept: list[float]) -> None:
    ask, _ = failing(set())
    assert fetch_each("V", "ABC", ask, PACING) == ({"A": "a", "B": "b", "C": "c"}, {})
    assert slept == [1.0, 1.0]


def test_the_wait_doubles_with_every_attempt_and_is_spread_at_random(slept: list[float]) -> None:
    ask, asked = failing({"A"})
    fetched, failures = fetch_each("V", "AB", ask, PACING)
    assert asked == ["A", "A", "A", "A", "B"]
    *waits, pause = slept
    assert pause == 1.0
    assert [base <= wait <= base + 2.0 for base, wait in zip((2.0, 4.0, 8.0), waits, strict=True)] == [True] * 3
    assert waits != [2.0, 4.0, 8.0]
    assert (fetched, failures) == ({"B": "b"}, {"A": "busy; attempts: 4"})


def test_a_vendor_that_recovers_loses_nothing(slept: list[float]) -> None:
    answers = iter([Unavailable("busy"), Unavailable("busy"), None])

    def ask(symbol: str) -> str:
        if error := next(answers):
            raise error
        return symbol

    assert fetch_each("V", "A", ask, PACING) == ({"A": "A"}, {})
    assert len(slept) == 2


def test_a_vendor_that_says_when_to_ask_again_is_asked_then(slept: list[float]) -> None:
    answers = iter([Unavailable("busy", retry_after=37.0), None])

    def ask(symbol: str) -> str:
        if error := next(answers):
            raise error
        return symbol

    assert fetch_each("V", "A", ask, PACING) == ({"A": "A"}, {})
    assert slept == [37.0]


def test_a_vendor_that_wants_to_be_left_alone_for_hours_is_not_asked_again(slept: list[float]) -> None:
    def ask(symbol: str) -> str:
        if symbol == "A":
            raise Unavailable("busy", retry_after=3600.0)
        return symbol

    assert fetch_each("V", "AB", ask, PACING)[0] == {"B": "B"}
    assert slept == [1.0]


def test_the_header_names_seconds_or_a_moment() -> None:
    assert retry_after("120") == 120.0
    assert retry_after(None) is retry_after("soon") is None
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after(in_a_minute) == pytest.approx(60.0, abs=3.0)


@pytest.mark.usefixtures("slept")
def test_an_unknown_symbol_is_asked_for_once() -> None:
    ask, asked = failing(set(), {"A"})
    assert fetch_each("V", "AB", ask, PACING)[1] == {"A": "unknown"}
    assert asked == ["A", "B"]


@pytest.mark.usefixtures("slept")
def test_after_several_symbols_without_an_answer_the_rest_is_not_asked() -> None:
    ask, asked = failing({"B", "C"})
    fetched, failures = fetch_each("V", "ABCDE", ask, PACING)
    assert fetched == {"A": "a"}
    assert failures["D"] == failures["E"] == "not asked: V had not answered for 2 symbols in a row"
    assert not {"D", "E"} & set(asked)


@pytest.mark.usefixtures("slept")
def test_symbols_without_an_answer_here_and_there_do_not_end_the_fetch() -> None:
    ask, _ = failing({"A", "C", "E"})
    assert set(fetch_each("V", "ABCDEF", ask, PACING)[0]) == {"B", "D", "F"}


@pytest.mark.parametrize("symbols", ["A", "AB", "ABCDE"])
@pytest.mark.usefixtures("slept")
def test_no_answer_at_all_is_an_error_of_the_source(symbols: str) -> None:
    ask, _ = failing(set("ABCDE"))
    with pytest.raises(SourceError, match=rf"V is down: none of {len(symbols)} symbols was answered; busy"):
        fetch_each("V", symbols, ask, PACING)


@pytest.mark.usefixtures("slept")
def test_only_unknown_symbols_are_no_error_of_the_source() -> None:
    ask, _ = failing(set(), set("AB"))
    assert fetch_each("V", "AB", ask, PACING) == ({}, {"A": "unknown", "B": "unknown"})


@pytest.mark.parametrize(
    "settings", [{"pause_seconds": -1.0}, {"attempts": 0}, {"timeout_seconds": 0.0}, {"give_up_after": 0}]
)
def test_limits_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be negative|must be positive"):
        Pacing(**({"pause_seconds": 1.0} | settings))
