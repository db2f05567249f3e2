"""Days on which exchanges and their calendar disagreed: closes and volumes are those of the days.

A vendor lacks a session that the calendar has, or fills a holiday with a copy of the day before.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.steps.raw_prices import Ingested, RejectedDataError, ingest
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.arrivals.streamed_bars import streamed

LACKED = {
    "DAX, Unity Day 2011": ("XETR", "09-29 5639.58 09-30 5502.02 10-04 5216.71 10-05 5473.03", 2011, ["10-03"]),
    "DAX, Unity Day 2012": ("XETR", "10-01 7326.73 10-02 7305.86 10-04 7305.21 10-05 7397.87", 2012, ["10-03"]),
    "DAX, Unity Day 2013": ("XETR", "10-01 8689.14 10-02 8629.42 10-04 8622.97 10-07 8591.58", 2013, ["10-03"]),
    "FTSE MIB 2019": ("XMIL", "09-25 21788 09-26 21948 09-30 22108 10-01 21928", 2019, ["09-27"]),
    "Nikkei 2009": ("XTKS", "08-28 10534.1 08-31 10492.5 09-02 10280.5 09-03 10214.6", 2009, ["09-01"]),
    "Nikkei, July 2010": ("XTKS", "07-15 9685.53 07-16 9408.36 07-21 9278.83 07-22 9220.88", 2010, ["07-20"]),
    "Nikkei, September 2010": ("XTKS", "09-13 9321.82 09-14 9299.31 09-16 9509.5 09-17 9626.09", 2010, ["09-15"]),
    "Hang Seng 2012": ("XHKG", "03-15 21353.5 03-16 21317.8 03-20 20888.2 03-21 20856.6", 2012, ["03-19"]),
    "Hang Seng, typhoon and rainstorm": (
        "XHKG",
        "08-30 18482.9 08-31 18382.1 09-04 18844.2 09-05 18456.9 09-06 18450 09-07 18202.1 09-11 18096.4 09-12 18025.9",
        2023,
        ["09-01", "09-08"],
    ),
}
"""(calendar, closes by day, year, sessions of the calendar that the vendor lacks)."""

COPIED = {
    "FTSE MIB, Easter 2004": ("XMIL", "04-07 27888 04-08 27985 04-09 27985 04-12 27985 04-13 28430", 2004),
    "a fund in Milan, New Year's Eve": (
        "XMIL",
        "12-28 161.468 12-29 161.468 12-30 164.683 12-31 164.683 2016-01-04 164.683",
        2015,
    ),
    "Nikkei, Marine Day": ("XTKS", "07-12 22188 07-13 22597.3 07-16 22597.3 07-17 22697.4", 2018),
    "ICBC, typhoon Utor": ("XHKG", "08-12 5.13 08-13 5.28 08-14 5.28 08-15 5.29", 2013),
    "Bank of China, typhoon Utor": ("XHKG", "08-12 3.24 08-13 3.34 08-14 3.34 08-15 3.34", 2013),
}
"""(calendar, closes by day, year): each with a day off on which the vendor repeats the close before."""

UNIVERSE = """\
name: exchange
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
calendar: {calendar}
history_start: {first}
first_partition: {later}
symbols: [INDEX]
"""


class Exchange:
    """One index of one exchange, in a universe of its own."""

    def __init__(self, root: Path, calendar: str, closes: str, year: int) -> None:
        words = closes.split()
        self.days = [date.fromisoformat(day if len(day) > 5 else f"{year}-{day}") for day in words[::2]]
        frame = pd.DataFrame({"session": [day.isoformat() for day in self.days], "close": words[1::2]})
        frame.to_csv(root / "INDEX.csv", index=False)
        self._root = root
        later = self.days[0] + timedelta(days=1)
        self._text = UNIVERSE.format(folder=root, calendar=calendar, first=self.days[0], later=later)
        self.write("")

    def write(self, more: str) -> None:
        path = self._root / "exchange.yaml"
        path.write_text(self._text + more)
        self.workspace = Workspace(load_universe(path), Home(self._root / "home"))

    def load(self) -> Ingested:
        with clock.at(datetime.combine(self.days[-1], datetime.min.time(), UTC) + timedelta(days=1)):
            return ingest(self.workspace, [self.days[-1]], lambda _: None)


@pytest.mark.parametrize(("calendar", "closes", "year", "lacked"), LACKED.values(), ids=LACKED)
def test_a_session_that_a_vendor_lacks_is_asked_about_once_and_is_none_when_that_is_accepted(
    tmp_path: Path, calendar: str, closes: str, year: int, lacked: list[str]
) -> None:
    exchange = Exchange(tmp_path, calendar, closes, year)
    with pytest.raises(RejectedDataError) as refused:
        exchange.load()
    lines = [f"{{session: {year}-{day}, rule: unknown_closing, reason: ..., by: ...}}" for day in lacked]
    assert all(line in str(refused.value) for line in lines)
    assert "quarantine correct exchange --symbol INDEX" in str(refused.value), "it may be the vendor that lost the day"
    assert len(refused.value.findings) == len(lacked)
    signed = [line.replace("reason: ...", "reason: closed").replace("by: ...", "by: ann") for line in lines]
    exchange.write(f"accept: [{', '.join(signed)}]\n")
    assert exchange.load().report.new_bars == len(exchange.days)


@pytest.mark.parametrize(("calendar", "closes", "year"), COPIED.values(), ids=COPIED)
def test_a_holiday_that_a_vendor_fills_with_the_day_before_is_left_out_and_told(
    tmp_path: Path, calendar: str, closes: str, year: int
) -> None:
    exchange = Exchange(tmp_path, calendar, closes, year)
    off = [day for day in exchange.days if not exchange.workspace.calendar.is_session(day)]
    assert off
    told = exchange.load().warnings
    assert [day.date() for day in told[told["rule"] == "unknown_session"]["session"]] == off
    assert exchange.workspace.market.stored_sessions("INDEX") == set(exchange.days) - set(off)


def test_a_typhoon_that_the_calendar_does_not_know_is_seen_where_a_vendor_fills_it_in(tmp_path: Path) -> None:
    """As on 2013-08-14 in Hong Kong: the close before, at a volume of zero."""
    exchange = Exchange(tmp_path, "XHKG", "08-12 5.13 08-13 5.28 08-14 5.28 08-15 5.29", 2013)
    sessions = exchange.workspace.calendar.sessions(date(2014, 3, 3), date(2014, 3, 14))
    names = ("A", "B", "C")
    for number, name in enumerate(names):
        steps = np.random.default_rng(number).normal(0.0, 0.01, len(sessions))
        rows = streamed(name, sessions, np.round(20.0 * np.exp(np.cumsum(steps)), 2)).drop(columns="symbol")
        rows.loc[6, ["open", "high", "low", "close"]] = rows.loc[5, "close"]
        rows.loc[6, "volume"] = 0.0
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    text = UNIVERSE.replace(", fields: [close]", "").replace("INDEX", ", ".join(names))
    path = tmp_path / "exchange.yaml"
    path.write_text(text.format(folder=tmp_path, calendar="XHKG", first=sessions[0], later=sessions[1]))
    workspace = Workspace(load_universe(path), Home(tmp_path / "other"))
    with pytest.raises(RejectedDataError, match=f"session: {sessions[6]}, rule: unknown_closing"):
        ingest(workspace, [sessions[-1]], lambda _: None)


def test_the_london_example_accepts_the_range_that_its_vendor_never_put_in_order(tmp_path: Path) -> None:
    """RELX on 2024-07-31: a close far outside its bar's high and low."""
    example = (Path(__file__).parents[3] / "docs" / "universes" / "london.yaml").read_text()
    text = example.replace("{kind: yahoo}", f'{{kind: files, options: {{folder: "{tmp_path}"}}}}')
    text = text.replace("2012-01-03", "2024-07-01").replace("2016-01-04", "2024-07-02").replace("calendar: XLON", "")
    path = tmp_path / "london.yaml"
    path.write_text(f"{text}\ncalendar: XLON\n")
    workspace, day = Workspace(load_universe(path), Home(tmp_path / "home")), date(2024, 7, 31)
    sessions = workspace.calendar.sessions(date(2024, 7, 1), day)
    for number, symbol in enumerate(workspace.universe.instruments):
        steps = np.random.default_rng(number).normal(0.0, 0.01, len(sessions))
        rows = streamed(symbol, sessions, np.round(100.0 * np.exp(np.cumsum(steps)), 2)).drop(columns="symbol")
        if symbol == "REL.L":
            rows.loc[len(rows) - 1, ["open", "high", "low"]] = rows["close"].iloc[-1] * 0.97
        rows.to_csv(tmp_path / f"{symbol}.csv", index=False)
    with clock.at(datetime(2024, 8, 1, tzinfo=UTC)):
        told = ingest(workspace, [day], lambda _: None).warnings
    (ordered,) = told[told["rule"] == "ordered"]["message"]
    assert "REL.L 2024-07-31" in ordered
    assert "accepted: REL.L 2024-07-31" in ordered
    assert day in workspace.market.stored_sessions("REL.L")
