"""`regime-assets check`: the file against the source, with lines to write."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.cli import main
from regime_assets.library.home import HOME_VARIABLE
from regime_assets.library.universe import load_universe
from regime_assets_tests.library.arrivals.streamed_bars import streamed
from regime_assets_tests.library.market.fixtures import WEEKDAYS

SESSIONS = [day for day in WEEKDAYS.all_sessions if day <= date(2023, 3, 10)]
HALT = [day for day in SESSIONS if date(2022, 3, 1) <= day <= date(2022, 3, 31)]
TYPHOON = date(2022, 8, 3)
UNIVERSE = """\
# my own list
name: tiny
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
calendar: 24/5
history_start: 2021-01-04
first_partition: 2021-06-01   # early
last_partition: 2023-03-10
symbols: [AA, BB, CC, LATE, HALT, GONE]
traded: [SPY]
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIME_ASSETS_UNIVERSES", str(tmp_path))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    lives = {
        "LATE": [day for day in SESSIONS if day >= date(2021, 9, 1)],
        "HALT": [day for day in SESSIONS if day not in HALT],
        "GONE": [day for day in SESSIONS if day <= date(2022, 6, 30)],
    }
    for number, symbol in enumerate(("AA", "BB", "CC", "SPY", *lives)):
        days = [day for day in lives.get(symbol, SESSIONS) if day != TYPHOON]
        steps = np.random.default_rng(number).normal(0.0, 0.01, len(days))
        rows: pd.DataFrame = streamed(symbol, days, np.round(100.0 * np.exp(np.cumsum(steps)), 2))
        rows[["session", "close"]].to_csv(tmp_path / f"{symbol}.csv", index=False)
    (tmp_path / "tiny.yaml").write_text(UNIVERSE.format(folder=tmp_path))
    return tmp_path / "tiny.yaml"


def test_the_check_proposes_the_lines_and_writes_them(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = path.read_text()
    assert main(["check", "tiny"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "tiny.yaml:6: first_partition 2021-06-01 is too early: the first possible one is 20",
        "{symbol: LATE, from: 2021-09-01}",
        "{symbol: GONE, to: 2022-06-30}",
        "under suspended: - {symbol: HALT, from: 2022-03-01, to: 2022-03-31",
        "under accept: - {session: 2022-08-03, rule: unknown_closing",
        "--fix writes these lines",
    ):
        assert words in said, said
    assert path.read_text() == before, "without --fix nothing is written"
    assert main(["check", "tiny", "--fix"]) == 1
    fixed = path.read_text()
    assert "# my own list" in fixed
    assert "# early" in fixed
    universe = load_universe(path)
    assert universe.members(date(2021, 6, 1)) == ("AA", "BB", "CC", "HALT", "GONE")
    assert universe.members(date(2022, 3, 10)) == ("AA", "BB", "CC", "LATE", "GONE")
    assert universe.closed == (TYPHOON,)
    capsys.readouterr()
    assert main(["check", "tiny"]) == 0
    assert "partitions can be fitted from" in capsys.readouterr().out
