"""The symbol and the field that decide are refused, the rest goes on; every block names its way out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.market.window import Rolling, Window, WindowError, read_window
from regime_assets.library.steps import bar_decisions
from regime_assets.library.steps.bar_decisions import DecisionError
from regime_assets.library.steps.raw_prices import Ingested, RejectedDataError, ingest, judge_stored_bars
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.arrivals.streamed_bars import streamed

START, WEDNESDAY, THURSDAY, FRIDAY = date(2018, 1, 2), date(2018, 6, 20), date(2018, 6, 21), date(2018, 6, 22)
WATCHED = ("JPM", "KO", "GE", "WMT", "XOM")
UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{folder}"}}}}
history_start: 2018-01-02
first_partition: 2018-06-01
symbols: [JPM, KO, GE, WMT, XOM]
traded: [AAPL]
"""


class Desk:
    """Files of five watched symbols and a traded one, loaded up to Wednesday evening."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("")
        self.sessions = self.workspace.calendar.sessions(START, FRIDAY)
        for number, symbol in enumerate(("AAPL", *WATCHED)):
            steps = np.random.default_rng(number).normal(0.0, 0.01, len(self.sessions))
            rows = streamed(symbol, self.sessions, np.round(100.0 * np.exp(np.cumsum(steps)), 2))
            rows.drop(columns="symbol").to_csv(root / f"{symbol}.csv", index=False)
        self.run(WEDNESDAY)

    def write(self, more: str) -> None:
        (self.root / "tiny.yaml").write_text(UNIVERSE.format(folder=self.root) + more)
        self.workspace = Workspace(load_universe(self.root / "tiny.yaml"), Home(self.root / "home"))

    def run(self, session: date) -> Ingested:
        """As on the evening of a session."""
        with clock.at(datetime(session.year, session.month, session.day, 22, 30, tzinfo=UTC)):
            return ingest(self.workspace, [session], lambda _: None)

    def change(self, symbol: str, session: date, **values: float) -> None:
        path = self.root / f"{symbol}.csv"
        rows = pd.read_csv(path, dtype={"session": str})
        row = rows["session"] == session.isoformat()
        for name, value in values.items():
            rows.loc[row, name] = value
        rows.to_csv(path, index=False)

    def drop(self, symbol: str, *sessions: date) -> pd.DataFrame:
        path = self.root / f"{symbol}.csv"
        rows = pd.read_csv(path, dtype={"session": str})
        rows[~rows["session"].isin([day.isoformat() for day in sessions])].to_csv(path, index=False)
        return rows

    def window(self, session: date, *, decided: bool = True) -> Window:
        work = self.workspace
        return read_window(
            work.market,
            work.calendar,
            horizon_name="short",
            shape=Rolling(60),
            as_of=session,
            symbols=work.universe.symbols,
            traded=work.universe.held,
            history_start=START,
            lookback=20,
            membership=work.membership(session),
            accepted=(*work.universe.accept, *(work.decided(session) if decided else ())),
        )


def fresh(files: Path, root: Path) -> Desk:
    """A desk of the same files that has loaded nothing yet."""
    desk = Desk.__new__(Desk)
    desk.root = root
    root.mkdir()
    for path in files.glob("*.csv"):
        (root / path.name).write_bytes(path.read_bytes())
    desk.write("")
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_watched_symbol_that_is_bad_is_held_back_and_the_others_go_on(desk: Desk) -> None:
    desk.change("KO", THURSDAY, close=-1.0)
    told = desk.run(THURSDAY).warnings
    assert told[told["rule"] == "held_back"]["symbol"].tolist() == ["KO"]
    prices = desk.window(THURSDAY).prices
    assert np.isnan(prices.loc[pd.Timestamp(THURSDAY), "KO"]), "nothing is filled in"
    assert prices.drop(columns="KO").notna().all(axis=None)
    (check,) = judge_stored_bars(desk.workspace, THURSDAY, ["held_back"])
    assert (check.passed, check.blocking) == (False, False)
    assert "KO 2018-06-21" in check.detail


def test_a_bar_that_comes_later_is_known_from_then_on_and_changes_no_earlier_window(desk: Desk) -> None:
    rows = desk.drop("KO", THURSDAY)
    desk.run(THURSDAY)
    before = desk.window(THURSDAY).data_hash
    rows.to_csv(desk.root / "KO.csv", index=False)
    desk.run(FRIDAY)
    assert desk.window(THURSDAY).data_hash == before
    assert desk.window(FRIDAY).prices.notna().all(axis=None)


def test_a_traded_symbol_blocks_and_the_message_names_the_way_out(desk: Desk) -> None:
    desk.drop("AAPL", THURSDAY)
    with pytest.raises(RejectedDataError, match="regime-assets quarantine correct tiny --symbol AAPL") as refused:
        desk.run(THURSDAY)
    assert refused.value.findings["way_out"].str.len().min() > 0
    bar_decisions.correct(desk.workspace, "AAPL", THURSDAY, {"close": 101.5}, "halted: its last price", "ann")
    desk.run(THURSDAY)
    assert desk.window(THURSDAY).prices.loc[pd.Timestamp(THURSDAY), "AAPL"] == 101.5


def test_more_than_a_share_of_the_watched_symbols_blocks(desk: Desk) -> None:
    for symbol in ("KO", "GE"):
        desk.drop(symbol, THURSDAY)
    with pytest.raises(RejectedDataError, match=r"at most 1 of 5 watched symbols held back \(GE, KO cannot be used\)"):
        desk.run(THURSDAY)
    desk.write("quality: {held_back_share: 0.4}\n")
    desk.run(THURSDAY)


def test_a_fault_in_a_field_that_no_window_reads_is_stored_as_it_came(desk: Desk) -> None:
    desk.change("AAPL", THURSDAY, volume=-5.0)
    told = desk.run(THURSDAY).warnings
    assert ("positive", "AAPL", "volume") in set(zip(told["rule"], told["symbol"], told["field"], strict=True))
    assert desk.workspace.market.versions("AAPL", THURSDAY)["volume"].tolist() == [-5.0]


def test_files_whose_range_is_empty_are_usable_since_windows_read_closes(tmp_path: Path) -> None:
    Desk(tmp_path)
    bare = fresh(tmp_path, tmp_path / "bare")
    for symbol in ("AAPL", *WATCHED):
        rows = pd.read_csv(bare.root / f"{symbol}.csv", dtype={"session": str})
        rows.assign(open=np.nan, high=np.nan, low=np.nan).to_csv(bare.root / f"{symbol}.csv", index=False)
    told = bare.run(WEDNESDAY).warnings
    assert bare.window(WEDNESDAY).prices.notna().all(axis=None)
    assert told["rule"].value_counts().to_dict() == {"finite": 18}, "three columns of six symbols, each told once"
    assert "none in" in told["message"].iloc[0]


def test_a_bar_that_comes_twice_is_stored_once_and_two_that_differ_are_corrected_by_the_words_of_the_message(
    desk: Desk,
) -> None:
    path = desk.root / "AAPL.csv"
    rows = pd.read_csv(path, dtype={"session": str})
    thursday = rows[rows["session"] == THURSDAY.isoformat()]
    pd.concat([rows, thursday]).to_csv(path, index=False)
    told = desk.run(THURSDAY).warnings
    assert (
        "2: unique demands one bar (all the same: one is stored)" in told[told["rule"] == "unique"]["message"].iloc[0]
    )
    friday = rows[rows["session"] == FRIDAY.isoformat()]
    pd.concat([rows, friday.assign(close=friday["close"] * 1.001)]).to_csv(path, index=False)
    with pytest.raises(RejectedDataError) as refused:
        desk.run(FRIDAY)
    assert "keep one of the rows of 2018-06-22 in the file of AAPL" in str(refused.value)
    assert "quarantine correct tiny --symbol AAPL --session 2018-06-22 --close" in str(refused.value)
    bar_decisions.correct(desk.workspace, "AAPL", FRIDAY, {"close": 101.0}, "the second row is the vendor's", "ann")
    desk.run(FRIDAY)
    assert desk.window(FRIDAY).prices["AAPL"].iloc[-1] == 101.0


def test_a_session_that_all_lack_is_the_calendars_question_and_an_accepted_closing_answers_it(desk: Desk) -> None:
    for symbol in ("AAPL", *WATCHED):
        desk.drop(symbol, THURSDAY)
    line = "- {session: 2018-06-21, rule: unknown_closing, reason: ..., by: ...}"
    with pytest.raises(RejectedDataError) as refused:
        desk.run(THURSDAY)
    assert line in str(refused.value)
    assert len(refused.value.findings) == 1, "one question, not one a symbol"
    desk.write(f"accept:\n  {line}\n".replace("reason: ...", "reason: mourning").replace("by: ...", "by: ann"))
    assert not desk.workspace.calendar.is_session(THURSDAY)
    desk.run(FRIDAY)
    window = desk.window(FRIDAY)
    assert pd.Timestamp(THURSDAY) not in window.prices.index
    assert window.accepted == ("all 2018-06-21: unknown_closing: mourning (ann)",)


def test_bars_on_an_unknown_session_are_asked_about_and_an_accepted_one_is_read(desk: Desk) -> None:
    saturday, sunday = date(2018, 6, 23), date(2018, 6, 24)
    for symbol in ("AAPL", *WATCHED):
        path = desk.root / f"{symbol}.csv"
        rows = pd.read_csv(path, dtype={"session": str})
        monday = rows.iloc[[-1]].assign(session="2018-06-25", close=lambda r: r["close"] * 1.004)
        extra = rows.iloc[[-1]].assign(session=saturday.isoformat(), close=lambda r: r["close"] * 1.001)
        pd.concat([rows, extra, monday]).to_csv(path, index=False)
    with pytest.raises(RejectedDataError, match=r"session: 2018-06-23, rule: unknown_session"):
        desk.run(date(2018, 6, 25))
    desk.write("accept: [{session: 2018-06-23, rule: unknown_session, reason: test of systems, by: ann}]\n")
    desk.run(date(2018, 6, 25))
    assert pd.Timestamp(saturday) in desk.window(date(2018, 6, 25)).prices.index
    assert not desk.workspace.calendar.is_session(sunday)


def test_a_refused_move_is_accepted_in_the_file_or_by_command_and_stays_visible(desk: Desk) -> None:
    old = pd.read_csv(desk.root / "AAPL.csv")["close"].iloc[-2]
    desk.change("AAPL", FRIDAY, open=old / 20, high=old / 20, low=old / 20, close=old / 20)
    with pytest.raises(RejectedDataError, match="--rule largest_move"):
        desk.run(FRIDAY)
    with pytest.raises(DecisionError, match="holds no unit_jump"):
        bar_decisions.accept(desk.workspace, "AAPL", FRIDAY, "unit_jump", "r", "ann")
    rules = sorted(set(desk.workspace.quarantine.history("AAPL", [FRIDAY])["rule"]))
    for rule in rules:
        bar_decisions.accept(desk.workspace, "AAPL", FRIDAY, rule, "news of the day", "ann")
    told = desk.run(FRIDAY).warnings
    assert "accepted: AAPL 2018-06-22" in " ".join(told["message"])
    assert desk.window(FRIDAY).prices["AAPL"].iloc[-1] == pytest.approx(old / 20)


def test_a_corrected_bar_keeps_the_vendors_and_stands_while_the_vendor_repeats_it(desk: Desk) -> None:
    desk.change("AAPL", THURSDAY, close=-3.0)
    with pytest.raises(RejectedDataError):
        desk.run(THURSDAY)
    bar_decisions.correct(desk.workspace, "AAPL", THURSDAY, {"close": 99.0}, "typo of the vendor", "ann")
    desk.run(THURSDAY)
    desk.run(FRIDAY)
    versions = desk.workspace.market.versions("AAPL", THURSDAY)
    assert versions["close"].tolist() == [-3.0, 99.0]
    assert versions["retracted"].tolist() == [True, False]
    desk.change("AAPL", THURSDAY, close=98.5, low=98.0)
    desk.run(FRIDAY)
    assert desk.workspace.market.versions("AAPL", THURSDAY)["close"].tolist() == [-3.0, 99.0, 98.5]


def test_a_decision_by_command_is_part_of_the_windows_that_stand_on_it(desk: Desk) -> None:
    desk.run(THURSDAY)
    before = desk.window(THURSDAY)
    old = desk.window(THURSDAY).prices["KO"].iloc[-1]
    desk.change("KO", FRIDAY, open=old / 20, high=old / 20, low=old / 20, close=old / 20)
    with clock.at(datetime(2018, 6, 22, 22, 30, tzinfo=UTC)):
        ingest(desk.workspace, [FRIDAY], lambda _: None)
        held_back = desk.window(FRIDAY)
        bar_decisions.accept(desk.workspace, "KO", FRIDAY, "largest_move", "news of the day", "ann")
        assert desk.window(FRIDAY).data_hash == held_back.data_hash, "no run has carried it out yet"
        ingest(desk.workspace, [FRIDAY], lambda _: None)
    decided = desk.window(FRIDAY)
    assert decided.accepted == ("KO 2018-06-22: accept largest_move: news of the day (ann)",)
    plain = desk.window(FRIDAY, decided=False)
    assert plain.prices.equals(decided.prices)
    assert plain.data_hash != decided.data_hash, "the decision is in the hash, beside the price that it let in"
    assert desk.window(THURSDAY).data_hash == before.data_hash


def test_a_stored_bar_is_taken_back(desk: Desk) -> None:
    desk.run(THURSDAY)
    with clock.at(datetime(2018, 6, 22, 12, tzinfo=UTC)):
        bar_decisions.retract(desk.workspace, "KO", WEDNESDAY, "another company's", "ann")
        with pytest.raises(DecisionError, match="correct it instead"):
            bar_decisions.retract(desk.workspace, "AAPL", WEDNESDAY, "r", "ann")
    desk.run(FRIDAY)
    assert np.isnan(desk.window(FRIDAY).prices.loc[pd.Timestamp(WEDNESDAY), "KO"])
    assert desk.window(THURSDAY).prices.notna().all(axis=None), "what was known before stays known"


def test_a_halt_and_an_end_hold_one_symbol_back_and_no_session(desk: Desk) -> None:
    rows = pd.read_csv(desk.root / "GE.csv", dtype={"session": str})
    rows[rows["session"] < "2018-06-20"].to_csv(desk.root / "GE.csv", index=False)
    for session in (THURSDAY, FRIDAY):
        desk.run(session)
    assert desk.window(FRIDAY).prices["GE"].isna().sum() == 2, "Wednesday was stored before"
    desk.write("suspended: [{symbol: GE, from: 2018-06-21, reason: pending news}]\n")
    desk.run(FRIDAY)
    (check,) = judge_stored_bars(desk.workspace, FRIDAY, ["complete"])
    assert check.passed


def test_a_delisted_symbol_ends_at_the_price_that_the_file_states(desk: Desk) -> None:
    desk.drop("GE", THURSDAY, FRIDAY)
    text = (desk.root / "tiny.yaml").read_text()
    entry = "{symbol: GE, to: 2018-06-21, last_price: 12.5}"
    (desk.root / "tiny.yaml").write_text(text.replace("GE, WMT", f"{entry}, WMT"))
    desk.workspace = Workspace(load_universe(desk.root / "tiny.yaml"), Home(desk.root / "home"))
    told = desk.run(THURSDAY).warnings
    assert "GE 2018-06-21 close 12.5: last_price" in " ".join(told["message"])
    assert desk.run(FRIDAY).warnings.query("rule == 'held_back'").empty, "it is asked for no more"
    prices = desk.window(FRIDAY).prices["GE"]
    assert prices.loc[pd.Timestamp(THURSDAY)] == 12.5
    assert np.isnan(prices.loc[pd.Timestamp(FRIDAY)])


def test_a_history_that_begins_later_is_loaded_from_then_on(tmp_path: Path) -> None:
    listed = date(2018, 5, 1)
    Desk(tmp_path)
    late = fresh(tmp_path, tmp_path / "late")
    late.drop("KO", *(day for day in late.workspace.calendar.sessions(START, WEDNESDAY) if day < listed))
    told = late.run(WEDNESDAY).warnings
    assert "held back to 2018-04-30" in " ".join(told["message"])
    assert late.window(WEDNESDAY).prices["KO"].first_valid_index() == pd.Timestamp(listed)
    assert late.run(THURSDAY).warnings.empty, "it is said once"


def test_a_ticker_with_a_long_gap_is_asked_about(desk: Desk) -> None:
    gap = [day for day in desk.sessions if date(2018, 2, 1) <= day <= date(2018, 4, 30)]
    desk.drop("KO", *gap)
    with pytest.raises(RejectedDataError, match=r"KO 2018-05-01: one_listing.*symbol: KO, from: 2018-05-01"):
        fresh(desk.root, desk.root / "fresh").run(WEDNESDAY)


def test_a_symbol_that_the_source_never_knew_blocks(desk: Desk) -> None:
    text = (desk.root / "tiny.yaml").read_text().replace("XOM]", "XOM, BRK.B]")
    (desk.root / "tiny.yaml").write_text(text)
    desk.workspace = Workspace(load_universe(desk.root / "tiny.yaml"), Home(desk.root / "home"))
    with pytest.raises(RejectedDataError, match=r"BRK\.B 2018-06-21: known_symbol"):
        desk.run(THURSDAY)


def test_a_missing_bar_that_nobody_held_back_still_is_an_error(desk: Desk) -> None:
    desk.workspace.market.retract("KO", WEDNESDAY, datetime(2018, 6, 21, 1, tzinfo=UTC), "by hand")
    with pytest.raises(WindowError, match="KO on 2018-06-20"):
        desk.window(WEDNESDAY)


def test_a_renamed_symbol_goes_on_as_one_listing(desk: Desk) -> None:
    (desk.root / "KO.csv").rename(desk.root / "COKE.csv")
    told = desk.run(THURSDAY).warnings
    assert told[told["rule"] == "held_back"]["symbol"].tolist() == ["KO"], "the vendor knows the former ticker no more"
    text = (desk.root / "tiny.yaml").read_text().replace("JPM, KO,", "JPM, COKE,")
    (desk.root / "tiny.yaml").write_text(f"{text}renamed: [{{symbol: COKE, formerly: KO, until: 2018-06-20}}]\n")
    desk.workspace = Workspace(load_universe(desk.root / "tiny.yaml"), Home(desk.root / "home"))
    desk.run(FRIDAY)
    prices = desk.window(FRIDAY).prices
    assert prices.notna().all(axis=None)
    assert len(desk.workspace.market.versions("COKE", WEDNESDAY)) == 1
