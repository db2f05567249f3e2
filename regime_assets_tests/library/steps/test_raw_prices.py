"""A first load goes in parts that stand on their own, and says how far it is."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.home import Home
from regime_assets.library.market.sources.files import FilesSource
from regime_assets.library.steps import requested_bars
from regime_assets.library.steps.raw_prices import RejectedDataError, ingest
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.arrivals.streamed_bars import streamed

SYMBOLS = ["AAPL", "JPM", "KO", "GE", "WMT"]
SESSION, NEXT = date(2018, 6, 25), date(2018, 6, 26)
UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
history_start: 2018-01-02
first_partition: 2018-06-01
symbols: [AAPL, JPM, KO, GE, WMT]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(requested_bars, "SYMBOLS_AT_ONCE", 2)
    (tmp_path / "tiny.yaml").write_text(UNIVERSE.format(folder=tmp_path))
    workspace = Workspace(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "home"))
    sessions = workspace.calendar.sessions(date(2018, 1, 2), SESSION)
    for number, symbol in enumerate(SYMBOLS):
        steps = np.random.default_rng(number).normal(0.0, 0.01, len(sessions))
        rows = streamed(symbol, sessions, 100.0 * np.exp(np.cumsum(steps)))
        rows[["session", "close"]].to_csv(tmp_path / f"{symbol}.csv", index=False)
    return workspace


def test_a_first_load_says_how_many_of_its_symbols_are_stored(workspace: Workspace) -> None:
    told: list[str] = []
    report = ingest(workspace, [SESSION], told.append).report
    assert [line.split(":")[1].strip() for line in told if "stored" in line] == [
        "1 of 5 symbols",
        "3 of 5 symbols",
        "5 of 5 symbols",
    ]
    assert report.new_bars == 5 * len(workspace.calendar.sessions(date(2018, 1, 2), SESSION))


def test_a_refused_part_is_named_the_others_are_stored_and_the_next_run_asks_for_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "JPM.csv"
    whole = path.read_text()
    path.write_text("\n".join(line for line in whole.splitlines() if not line.startswith("2018-03-05")))
    with pytest.raises(RejectedDataError, match="JPM 2018-03-05") as refused:
        ingest(workspace, [SESSION], lambda _: None)
    assert refused.value.findings["symbol"].tolist() == ["JPM"]
    assert set(workspace.market.newest_sessions()) == {"AAPL", "GE", "WMT"}
    path.write_text(whole)
    told: list[str] = []
    ingest(workspace, [SESSION], told.append)
    assert [line.split()[-2:] for line in told if "2018-01-02" in line] == [["JPM,", "KO"]]
    assert set(workspace.market.newest_sessions()) == set(SYMBOLS)


def test_a_source_that_dies_half_way_keeps_what_it_gave(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, calls = FilesSource.fetch, iter([True, False])

    def dying(self: FilesSource, *request: object) -> object:
        return fetch(self, *request) if next(calls) else 1 / 0  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patched:
        patched.setattr(FilesSource, "fetch", dying)
        with pytest.raises(ZeroDivisionError):
            ingest(workspace, [SESSION], lambda _: None)
    assert set(workspace.market.newest_sessions()) == {"AAPL"}
    assert ingest(workspace, [SESSION], lambda _: None).report.new_bars > 0
    assert set(workspace.market.newest_sessions()) == set(SYMBOLS)


def test_the_answer_of_the_session_before_is_no_answer_for_this_one(workspace: Workspace) -> None:
    ingest(workspace, [SESSION], lambda _: None)
    with pytest.raises(RejectedDataError, match=NEXT.isoformat()):
        ingest(workspace, [NEXT], lambda _: None)
    assert set(workspace.market.newest_sessions().values()) == {SESSION}
