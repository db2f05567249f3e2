"""A stored price that comes again otherwise is warned of once, under the first session whose decision it reaches."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from regime_assets.checks import bar_tables
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.steps.raw_prices import ingest, judge_stored_bars
from regime_assets.library.steps.revised_bars import revised_since_last_decision
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace

UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
history_start: 2018-01-02
first_partition: 2018-06-01
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
quality: {{revision: 0.002}}
"""
WEDNESDAY, THURSDAY, FRIDAY = date(2018, 6, 20), date(2018, 6, 21), date(2018, 6, 22)
REVISED = date(2018, 6, 18)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Files that end with Thursday, stored before Thursday's decision."""
    fetched = SampleSource().fetch(["AAPL", "JPM", "KO"], date(2018, 1, 2), FRIDAY)
    for symbol, rows in fetched.bars.groupby("symbol"):
        rows[["session", "close"]].to_csv(tmp_path / f"{symbol}.csv", index=False)
    (tmp_path / "tiny.yaml").write_text(UNIVERSE.format(folder=tmp_path))
    made = Workspace(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "home"))
    known = replace(fetched, bars=fetched.bars[fetched.bars["session"] <= pd.Timestamp(THURSDAY)])
    made.market.ingest(known, "files", night_after(THURSDAY), made.calendar)
    return made


def night_after(session: date) -> datetime:
    """After midnight in New York, before the session's decision."""
    return datetime(session.year, session.month, session.day, 5, tzinfo=UTC) + timedelta(days=1)


def revise(workspace: Workspace, session: date, factor: float, at: datetime) -> float:
    """A source gives JPM's close otherwise; returns the close that was stored."""
    bars = workspace.market.bars(FRIDAY, session, session, workspace.calendar, ["JPM"])
    fetched = SampleSource().fetch(["JPM"], session, session)
    changed = replace(fetched, bars=bars.assign(close=bars["close"] * factor))
    workspace.market.ingest(changed, "files", at, workspace.calendar)
    return float(bars["close"].iloc[0])


def warned(workspace: Workspace, session: date) -> str:
    (outcome,) = judge_stored_bars(workspace, session, ["revisions"])
    assert outcome.passed == (not outcome.detail)
    assert not outcome.blocking
    return outcome.detail


def test_a_revision_is_warned_of_once_with_old_and_new_value(workspace: Workspace) -> None:
    stored = revise(workspace, REVISED, 1.01, night_after(FRIDAY))
    assert warned(workspace, THURSDAY) == ""
    detail = warned(workspace, FRIDAY)
    assert detail.startswith(f"JPM {REVISED} close {1.01 * stored:.6g}: revisions demands {stored:.6g} as before")
    (row,) = revised_since_last_decision(workspace, FRIDAY).to_dict("records")
    assert (row["symbol"], row["session"], row["field"]) == ("JPM", pd.Timestamp(REVISED), "close")
    assert (row["before"], row["now"]) == (stored, 1.01 * stored)
    assert warned(workspace, date(2018, 6, 25)) == ""


def test_the_check_shows_a_table_of_what_changed(workspace: Workspace) -> None:
    stored = revise(workspace, REVISED, 1.01, night_after(FRIDAY))
    assert "revisions" not in bar_tables(workspace, [THURSDAY])
    shown = bar_tables(workspace, [THURSDAY, FRIDAY])["revisions"]["revised"]
    assert isinstance(shown, dg.TableMetadataValue)
    (row,) = [record.data for record in shown.records]
    assert row["symbol"] == "JPM"
    assert float(str(row["before"])) == pytest.approx(stored, rel=1e-4)
    assert float(str(row["now"])) == pytest.approx(1.01 * stored, rel=1e-4)
    assert str(FRIDAY) in str(row["known_as_of"])


def test_the_threshold_is_the_universes(workspace: Workspace) -> None:
    revise(workspace, REVISED, 1.0019, night_after(FRIDAY))
    assert warned(workspace, FRIDAY) == ""


def test_a_bar_that_settles_before_its_own_decision_is_no_revision(workspace: Workspace) -> None:
    revise(workspace, THURSDAY, 1.01, night_after(THURSDAY) + timedelta(hours=1))
    assert warned(workspace, THURSDAY) == warned(workspace, FRIDAY) == ""


def test_an_overlap_fetch_shows_what_it_brought_with_its_newest_session(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "JPM.csv"
    rows = pd.read_csv(path)
    at = rows["session"] == REVISED.isoformat()
    before = float(rows.loc[at, "close"].iloc[0])
    rows.loc[at, "close"] = before * 1.01
    rows.to_csv(path, index=False)
    warnings = ingest(workspace, [THURSDAY, FRIDAY], lambda _: None)
    assert "revisions" not in set(warnings.coverage(THURSDAY).warnings["rule"])
    shown = warnings.coverage(FRIDAY).warnings
    (row,) = shown[shown["rule"] == "revisions"].to_dict("records")
    assert (row["symbol"], row["session"], row["value"]) == ("JPM", pd.Timestamp(REVISED), pytest.approx(1.01 * before))
