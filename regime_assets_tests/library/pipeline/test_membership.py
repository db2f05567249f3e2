"""A symbol that leaves the universe is asked for up to its last session, and leaves the windows with it."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from regime_assets.checks import BAR_RULES
from regime_assets.library.chain import Chain
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.market.window import WindowError
from regime_assets.library.pipeline.ingestion import ingest, judge_stored_bars
from regime_assets.library.universe import load_universe

UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
history_start: 2016-01-04
first_partition: 2018-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO, {{symbol: GE, to: {last}}}]
traded: [SP500]
"""
BEFORE, LAST, AFTER = date(2018, 6, 22), date(2018, 6, 25), date(2018, 6, 26)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """The files of a symbol that was delisted: its bars end with its last session."""
    fetched = SampleSource().fetch(["AAPL", "JPM", "KO", "GE", "SP500"], date(2016, 1, 4), date(2018, 12, 31))
    for symbol, rows in fetched.bars.groupby("symbol"):
        kept = rows if symbol != "GE" else rows[rows["session"] <= LAST.isoformat()]
        kept[["session", "close"]].to_csv(tmp_path / f"{symbol}.csv", index=False)
    (tmp_path / "tiny.yaml").write_text(UNIVERSE.format(folder=tmp_path, last=LAST))
    return Chain(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "home"))


def quiet(_: str) -> None:
    pass


def columns(chain: Chain, session: date) -> list[str]:
    return list(chain.read_window("short", session).prices.columns)


@pytest.mark.parametrize("runs", [[[BEFORE, LAST, AFTER]], [[BEFORE], [LAST], [AFTER]]])
def test_windows_consist_of_the_members_of_their_session(chain: Chain, runs: list[list[date]]) -> None:
    for sessions in runs:
        ingest(chain, sessions, quiet)
    assert columns(chain, BEFORE) == columns(chain, LAST) == ["AAPL", "JPM", "KO", "GE", "SP500"]
    assert columns(chain, AFTER) == ["AAPL", "JPM", "KO", "SP500"]
    assert chain.market.newest_sessions()["GE"] == LAST
    for session in (LAST, AFTER):
        outcomes = judge_stored_bars(chain, session, tuple(BAR_RULES))
        assert [outcome.rule for outcome in outcomes if outcome.blocking] == []


def test_a_symbol_that_left_before_is_not_asked_for(chain: Chain) -> None:
    coverage = ingest(chain, [AFTER], quiet).coverage(AFTER)
    assert "GE" not in chain.market.newest_sessions()
    assert "GE" not in coverage.present.columns
    with pytest.raises(WindowError, match="GE"):
        chain.read_window("short", BEFORE)


def test_a_later_departure_changes_no_earlier_window(chain: Chain, tmp_path: Path) -> None:
    ingest(chain, [BEFORE], quiet)
    (tmp_path / "tiny.yaml").write_text(UNIVERSE.format(folder=tmp_path, last="2018-12-31"))
    staying = Chain(load_universe(tmp_path / "tiny.yaml"), chain.home)
    one, other = chain.read_window("long", BEFORE), staying.read_window("long", BEFORE)
    assert one.data_hash == other.data_hash
    assert np.isfinite(one.prices.to_numpy()).all()
