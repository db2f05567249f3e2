"""A history goes on at its own prices: rescaled by the vendor, with late actions, longer, or from another source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.home import Home
from regime_assets.library.market.price_basis import AskedWith, PriceBasisError, changed_currencies
from regime_assets.library.steps.raw_prices import Ingested, RejectedDataError, ingest, reload_history
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.arrivals.streamed_bars import streamed

START, THURSDAY, FRIDAY = date(2018, 1, 2), date(2018, 6, 21), date(2018, 6, 22)
SYMBOLS = ("AAPL", "JPM", "KO", "GE")
UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{folder}", {options}}}}}
calendar: {calendar}
history_start: {start}
first_partition: 2018-06-01
symbols: [{symbols}]
"""


class Desk:
    """A folder of files, a universe over them, and the store that it fills."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[str] = []
        self.write()
        for number, symbol in enumerate(SYMBOLS):
            sessions = self.workspace.calendar.sessions(START, FRIDAY)
            steps = np.random.default_rng(number).normal(0.0, 0.01, len(sessions))
            rows = streamed(symbol, sessions, np.round(100.0 * np.exp(np.cumsum(steps)), 2))
            self.files(symbol, lambda _, rows=rows: rows.drop(columns="symbol"))

    def write(
        self,
        *,
        options: str = "",
        start: date = START,
        calendar: str = "XNYS",
        symbols: tuple[str, ...] = SYMBOLS,
        more: str = "",
    ) -> None:
        text = UNIVERSE.format(
            folder=self.root, options=options, start=start, calendar=calendar, symbols=", ".join(symbols)
        )
        (self.root / "tiny.yaml").write_text(text + more)
        self.workspace = Workspace(load_universe(self.root / "tiny.yaml"), Home(self.root / "home"))

    def files(self, symbol: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        path = self.root / f"{symbol}.csv"
        rows = pd.read_csv(path, dtype={"session": str}) if path.exists() else pd.DataFrame()
        change(rows).to_csv(path, index=False)

    def rescale(self, symbol: str, factor: float, before: date) -> None:
        def change(rows: pd.DataFrame) -> pd.DataFrame:
            rows.loc[rows["session"] < before.isoformat(), ["open", "high", "low", "close"]] *= factor
            return rows

        self.files(symbol, change)

    def run(self, session: date) -> Ingested:
        return ingest(self.workspace, [session], self.log.append)

    def closes(self, symbol: str, as_of: date = FRIDAY) -> pd.Series[float]:
        bars = self.workspace.market.bars(as_of, START, as_of, self.workspace.calendar, [symbol])
        return bars.set_index("session")["close"]

    def returns(self, symbol: str) -> pd.Series[float]:
        closes = self.workspace.market.adjusted_closes(FRIDAY, [symbol], START, FRIDAY, self.workspace.calendar)
        return closes[symbol].pct_change()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.run(THURSDAY)
    made.log.clear()
    return made


def act(session: date, kind: str, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[rows["session"] == session.isoformat(), kind] = value
        return rows

    return change


def test_a_rescaled_history_without_an_action_blocks_and_names_the_factor(desk: Desk) -> None:
    before = desk.closes("JPM")
    desk.rescale("JPM", 0.946, FRIDAY)
    with pytest.raises(RejectedDataError, match=r"JPM 2018-06-22 0\.946: rescaled demands .*split of 1\.05708"):
        desk.run(FRIDAY)
    pd.testing.assert_series_equal(desk.closes("JPM"), before)


def test_an_accepted_factor_is_kept_as_a_split(desk: Desk) -> None:
    before, level = desk.closes("JPM"), float(desk.closes("JPM").iloc[-1])
    desk.rescale("JPM", 0.946, FRIDAY)
    accepted = '{symbol: JPM, session: 2018-06-22, rule: rescaled, reason: "a spin-off", by: "A. Quant"}'
    desk.write(more=f"accept: [{accepted}]\n")
    assert "accepted" in desk.run(FRIDAY).warnings.set_index("rule").loc["rescaled", "message"]
    pd.testing.assert_series_equal(desk.closes("JPM")[:-1], before)
    rescaled = pd.read_csv(desk.root / "JPM.csv")["close"].iloc[-2]
    assert rescaled == pytest.approx(0.946 * level)
    newest = desk.workspace.market.adjusted_closes(FRIDAY, ["JPM"], START, FRIDAY, desk.workspace.calendar)["JPM"]
    np.testing.assert_allclose(newest, pd.read_csv(desk.root / "JPM.csv")["close"], rtol=1e-6)


def test_a_split_that_came_with_the_rescaled_history_leaves_the_stored_prices_as_they_were_traded(desk: Desk) -> None:
    before, level = desk.closes("JPM"), float(desk.closes("JPM").iloc[-1])
    desk.rescale("JPM", 0.5, FRIDAY)
    desk.rescale("JPM", 2.0, FRIDAY)
    desk.files("JPM", lambda rows: rows.assign(**{c: rows[c] * 0.5 for c in ("open", "high", "low", "close")}))
    desk.files("JPM", act(FRIDAY, "split", 2.0))
    warnings = desk.run(FRIDAY).warnings
    assert "the split of 2 on 2018-06-22 explains it" in warnings.set_index("rule").loc["rescaled", "message"]
    pd.testing.assert_series_equal(desk.closes("JPM")[:-1], before)
    assert desk.closes("JPM").iloc[-1] == pytest.approx(level / 2.0, rel=0.05)
    assert abs(desk.returns("JPM").iloc[-1]) < 0.05


def test_prices_that_their_vendor_adjusts_learn_each_factor(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write(options="adjusted: true")
    desk.run(THURSDAY)
    before = desk.closes("KO")
    wanted = pd.read_csv(desk.root / "KO.csv")["close"].pct_change()
    desk.rescale("KO", 0.992, FRIDAY)
    after = pd.read_csv(desk.root / "KO.csv")["close"].pct_change()
    desk.run(FRIDAY)
    pd.testing.assert_series_equal(desk.closes("KO")[:-1], before)
    np.testing.assert_allclose(desk.returns("KO").iloc[1:], after.iloc[1:], atol=1e-6)
    assert abs(after.iloc[-1] - wanted.iloc[-1]) > 0.005


def test_one_revised_bar_is_no_rescaling(desk: Desk) -> None:
    desk.files("GE", lambda rows: rows.assign(close=rows["close"].mask(rows["session"] == "2018-06-19", rows["high"])))
    rules = set(desk.run(FRIDAY).warnings["rule"])
    assert "revisions" in rules
    assert "rescaled" not in rules


def test_an_action_that_is_published_months_later_is_learned(desk: Desk) -> None:
    late = desk.workspace.calendar.sessions(START, FRIDAY)[10]
    desk.files("GE", act(late, "dividend", 0.48))
    assert desk.run(FRIDAY).report.new_actions == 1
    today = desk.workspace.calendar.all_sessions[-1]
    known = desk.workspace.market.actions(today, START, FRIDAY, desk.workspace.calendar)
    assert known[["symbol", "kind", "value"]].to_numpy().tolist() == [["GE", "dividend", 0.48]]


def test_an_earlier_start_asks_for_what_is_missing(desk: Desk) -> None:
    earlier = date(2017, 12, 1)
    desk.write(start=earlier)
    for symbol in SYMBOLS:
        days = desk.workspace.calendar.sessions(earlier, date(2017, 12, 29))
        level = float(desk.closes(symbol).iloc[0])
        flat = level * (1.0 + 0.002 * (np.arange(len(days)) % 2))
        rows = streamed(symbol, days, np.round(flat, 2)).drop(columns="symbol")
        desk.files(symbol, lambda old, rows=rows: pd.concat([rows, old]))
    ingested = desk.run(FRIDAY)
    assert ingested.changes == ("history_start: 2018-01-02 before, 2017-12-01 now",)
    assert any("changed since the last run: history_start" in line for line in desk.log)
    sessions = desk.workspace.calendar.sessions(earlier, FRIDAY)
    assert desk.workspace.market.stored_counts(SYMBOLS, sessions) == dict.fromkeys(SYMBOLS, len(sessions))


def test_another_calendar_asks_for_the_sessions_that_only_it_knows(desk: Desk) -> None:
    holiday = date(2018, 1, 15)
    desk.write(calendar="XLON")
    assert desk.workspace.calendar.is_session(holiday)
    with pytest.raises(RejectedDataError, match="2018-01-15 4: unknown_closing"):
        desk.run(FRIDAY)
    assert any("2018-01-15" in line and "fetching" in line for line in desk.log)


def test_a_source_of_another_price_basis_is_refused_with_what_to_do(desk: Desk) -> None:
    before = desk.closes("KO")
    desk.write(options="adjusted: true")
    with pytest.raises(PriceBasisError, match=r"tiny: the stored bars came from files and are as traded.*reload tiny"):
        desk.run(FRIDAY)
    pd.testing.assert_series_equal(desk.closes("KO"), before)


def test_bars_of_files_whose_basis_was_never_stated_are_not_continued_by_another_source(desk: Desk) -> None:
    with desk.workspace.database.transaction() as connection:
        connection.execute("DELETE FROM price_basis")  # as in folders of before it was kept
    path = next(desk.root.glob("*.yaml"))
    stated = path.read_text()
    source = next(line for line in stated.splitlines() if line.startswith("source:"))
    path.write_text(stated.replace(source, "source: {kind: sample}"))
    other = Workspace(load_universe(path), desk.workspace.home)
    with pytest.raises(PriceBasisError, match=r"nobody has stated .* run once: that is kept; or .*reload tiny"):
        ingest(other, [FRIDAY], lambda _: None)
    desk.run(FRIDAY)
    with pytest.raises(PriceBasisError, match="came from files and are as traded"):
        ingest(other, [FRIDAY], lambda _: None)


def test_a_reload_is_a_new_version_and_leaves_earlier_answers(desk: Desk) -> None:
    split = desk.workspace.calendar.sessions(START, FRIDAY)[-30]
    desk.files("KO", act(split, "dividend", 0.39))
    desk.run(THURSDAY)
    before, moment = desk.closes("KO", THURSDAY), datetime(2018, 6, 22, 9, tzinfo=UTC)
    desk.write(options="adjusted: true, fields: [close]")
    desk.files("KO", lambda rows: rows.drop(columns="dividend"))
    desk.rescale("KO", 0.9, FRIDAY)
    desk.rescale("KO", 1 / 0.9, date(2018, 3, 1))
    report = reload_history(desk.workspace, FRIDAY, desk.log.append)
    assert report.revised_bars > 0
    pd.testing.assert_series_equal(desk.closes("KO", THURSDAY), before)
    newest = desk.workspace.calendar.all_sessions[-1]
    calendar = desk.workspace.calendar
    reloaded = desk.workspace.market.bars(newest, START, FRIDAY, calendar, ["KO"]).set_index("session")["close"]
    np.testing.assert_allclose(reloaded, pd.read_csv(desk.root / "KO.csv")["close"], rtol=1e-6)
    assert desk.workspace.market.actions(newest, START, FRIDAY, calendar).empty
    assert moment < datetime.now(UTC)
    desk.run(FRIDAY)


def test_what_changed_in_the_file_is_named_once(desk: Desk) -> None:
    desk.write(symbols=SYMBOLS[:3])
    assert desk.run(THURSDAY).changes == ("symbols no longer asked for: GE",)
    assert desk.run(THURSDAY).changes == ()


def test_a_symbol_whose_currency_changes_blocks() -> None:
    (finding,) = changed_currencies({"TEM.L": "GBp", "KO": "USD"}, {"TEM.L": "GBP", "KO": "USD"}, FRIDAY)
    assert finding.severity == "error"
    assert "TEM.L 2018-06-22: currency demands prices in GBp" in finding.message


def test_changes_are_sentences() -> None:
    one = AskedWith("yahoo", "as traded", "XNYS", "2015-01-02", ("A",), {"short_calendar_days": 365}, {})
    other = AskedWith("alpha_vantage", "as traded", "XNYS", "2015-01-02", ("A", "B"), {"short_calendar_days": 250}, {})
    assert other.changes_since(one) == [
        "source: yahoo (as traded) before, alpha_vantage (as traded) now",
        "short_calendar_days: 365 before, 250 now",
        "new symbols: B",
    ]
