"""A symbol that joins or leaves is asked for, stored and read on the sessions on which it is a member, on no others."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.checks import BAR_RULES, WINDOW_RULES
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.market.window import WindowError
from regime_assets.library.steps.raw_prices import ingest, judge_stored_bars, judge_window
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace

UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
history_start: 2015-01-02
first_partition: 2018-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO, {{symbol: GE, {days}}}]
traded: [SP500]
"""
EVERYONE = ["AAPL", "JPM", "KO", "GE", "SP500"]
OTHERS = ["AAPL", "JPM", "KO", "SP500"]
BEFORE, LAST, AFTER = date(2018, 6, 22), date(2018, 6, 25), date(2018, 6, 26)
JOINED = date(2017, 3, 13)
SEASONED = date(2018, 5, 21)
"""The session of which GE has 300 returns as a member."""

Open = Callable[[str], Workspace]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """A chain on files of all sessions, and a home for each wording of GE's membership."""
    fetched = SampleSource().fetch(EVERYONE, date(2015, 1, 2), date(2018, 12, 31))
    for symbol, rows in fetched.bars.groupby("symbol"):
        rows[["session", "close"]].to_csv(tmp_path / f"{symbol}.csv", index=False)

    def made(days: str) -> Workspace:
        path = tmp_path / "tiny.yaml"
        path.write_text(UNIVERSE.format(folder=tmp_path, days=days))
        return Workspace(load_universe(path), Home(tmp_path / days.replace(" ", "")))

    return made


def quiet(_: str) -> None:
    pass


def columns(workspace: Workspace, session: date) -> list[str]:
    return list(workspace.read_window("short", session).prices.columns)


def stored(workspace: Workspace, symbol: str) -> list[date]:
    bars = workspace.market.bars(date(2018, 12, 31), date(2015, 1, 2), date(2018, 12, 31), workspace.calendar, [symbol])
    return [moment.date() for moment in bars["session"]]


def blocking(workspace: Workspace, session: date) -> list[str]:
    outcomes = (
        *judge_stored_bars(workspace, session, tuple(BAR_RULES)),
        *judge_window(workspace, "short", session, tuple(WINDOW_RULES)),
    )
    return [outcome.rule for outcome in outcomes if outcome.blocking]


@pytest.mark.parametrize("runs", [[[BEFORE, LAST, AFTER]], [[BEFORE], [LAST], [AFTER]]])
def test_a_symbol_that_leaves_keeps_its_prices_up_to_then(opened: Open, runs: list[list[date]]) -> None:
    workspace = opened(f"to: {LAST}")
    for sessions in runs:
        ingest(workspace, sessions, quiet)
    assert columns(workspace, BEFORE) == columns(workspace, LAST) == columns(workspace, AFTER) == EVERYONE
    assert stored(workspace, "GE")[-1] == LAST
    newest = workspace.read_window("short", AFTER).prices["GE"]
    assert newest.isna().tolist() == [False] * (len(newest) - 1) + [True]
    assert blocking(workspace, LAST) == blocking(workspace, AFTER) == []


@pytest.mark.parametrize("runs", [[[AFTER]], [[date(2018, 1, 2)], [AFTER]]])
def test_a_symbol_that_joins_is_loaded_from_then_on(opened: Open, runs: list[list[date]]) -> None:
    workspace = opened(f"from: {BEFORE}")
    for sessions in runs:
        ingest(workspace, sessions, quiet)
    assert stored(workspace, "GE") == [BEFORE, LAST, AFTER]
    assert columns(workspace, date(2018, 6, 21)) == OTHERS
    assert columns(workspace, BEFORE) == columns(workspace, AFTER) == EVERYONE
    assert workspace.read_window("short", AFTER).prices["GE"].notna().sum() == 3
    assert blocking(workspace, BEFORE) == blocking(workspace, AFTER) == []


def test_a_former_member_is_loaded_for_the_windows_that_reach_back_to_it(opened: Open) -> None:
    workspace = opened(f"to: {LAST}")
    coverage = ingest(workspace, [AFTER], quiet).coverage(AFTER)
    assert "GE" not in coverage.present.columns
    assert stored(workspace, "GE")[-1] == LAST
    asked: list[str] = []
    ingest(workspace, [date(2018, 6, 27)], asked.append)
    assert "4 symbols" in asked[0], "it is not asked for again"


def test_a_session_that_a_member_lacks_is_named(opened: Open) -> None:
    workspace = opened(f"from: {BEFORE}")
    ingest(workspace, [AFTER], quiet)
    workspace.market.retract("GE", LAST, workspace.calendar.decision_time(AFTER), "wrong")
    with pytest.raises(WindowError, match=f"GE on {LAST}"):
        workspace.read_window("short", AFTER)


def test_features_are_those_of_a_universe_without_it_until_it_has_their_memory(opened: Open) -> None:
    joining, leaving = opened(f"from: {JOINED}"), opened("to: 2015-01-02")
    for workspace in (joining, leaving):
        ingest(workspace, [AFTER], quiet)
    with_it, without_it = (workspace.history("long", AFTER).features for workspace in (joining, leaving))
    young = with_it.index < pd.Timestamp(SEASONED)
    assert with_it[young].equals(without_it[young])
    changed = (with_it != without_it).any(axis=1)
    assert changed.idxmax() == pd.Timestamp(SEASONED)
    assert np.isfinite(with_it.to_numpy()).all()


@pytest.mark.parametrize("later", [f"to: {AFTER}", f"from: {AFTER}", "to: 2018-12-31"])
def test_what_joins_or_leaves_later_changes_no_earlier_window(opened: Open, later: str) -> None:
    plain = opened("to: 2015-01-02" if "from" in later else f"to: {BEFORE}")
    changing = opened(later)
    for workspace in (plain, changing):
        ingest(workspace, [AFTER], quiet)
    for horizon in ("short", "long"):
        one, other = (workspace.read_window(horizon, BEFORE) for workspace in (plain, changing))
        assert one.sessions.equals(other.sessions)
        shared = [name for name in one.prices.columns if name in other.prices.columns]
        assert one.prices[shared].equals(other.prices[shared])
    one, other = (workspace.history("long", BEFORE).features for workspace in (plain, changing))
    assert one.equals(other)


def test_a_row_is_the_same_in_every_window_that_holds_it(opened: Open) -> None:
    workspace = opened(f"from: {JOINED}, to: {LAST}")
    ingest(workspace, [date(2018, 12, 31)], quiet)
    newest = workspace.history("long", date(2018, 12, 31)).features
    for session in (SEASONED, LAST, AFTER):
        earlier = workspace.history("long", session).features
        assert earlier.equals(newest.loc[earlier.index])


def test_what_is_stored_under_a_ticker_from_before_it_joined_is_another_listing(opened: Open, tmp_path: Path) -> None:
    """The files under GE's name first hold a company a hundred times dearer."""
    used_twice, alone = opened("to: 2018-12-31"), opened(f"from: {JOINED}")
    path = tmp_path / "GE.csv"
    rows = pd.read_csv(path)
    rows.loc[rows["session"] < JOINED.isoformat(), "close"] *= 100.0
    rows.to_csv(path, index=False)
    ingest(used_twice, [date(2017, 3, 10)], quiet)
    second = Workspace(alone.universe, used_twice.home)
    for workspace in (second, alone):
        ingest(workspace, [date(2018, 1, 2), AFTER], quiet)
    assert len(stored(second, "GE")) > len(stored(alone, "GE"))
    assert second.read_window("long", AFTER).data_hash == alone.read_window("long", AFTER).data_hash
    assert blocking(second, JOINED) == []
