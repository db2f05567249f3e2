"""A rehearsal of live evenings: every session is answered, and every exception is visible afterwards."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from regime_assets_tests.library.market.vendor_server import running_server
from regime_assets_tests.library.steps.evenings import NEW_NAME, Evenings, Script, told


def weekdays(first: date, count: int) -> list[date]:
    from regime_assets_tests.library.market.fixtures import WEEKDAYS

    start = WEEKDAYS.all_sessions.index(first)
    return [day for day in WEEKDAYS.all_sessions[start:] if day not in HOLIDAYS][:count]


HOLIDAYS = {date(2022, 5, 30), date(2022, 6, 20), date(2022, 7, 4)}
SHORT = Script(closing=2, halt=(4, 5), rename=7, silent=12, late_dividend=(6, 11), split=14, crash=(3, 11), late=13)


@pytest.mark.parametrize(("count", "script"), [(16, SHORT)], ids=["short"])
def test_the_daily_run_answers_on_every_session_and_every_exception_is_visible(
    tmp_path: Path, count: int, script: Script
) -> None:
    sessions = weekdays(date(2022, 5, 2), count)
    with running_server() as server:
        evenings = Evenings(server, tmp_path, sessions, script)
        evenings.rehearse()
    work, last = evenings.workspace, sessions[-1]
    assert len(evenings.seen) == count - 1, "every session but the one that was none"
    closing, late = evenings.blocks
    assert "rule: unknown_closing, reason" in closing
    assert "run again later" in late
    kept = told(evenings)
    assert {"unknown_closing", "complete"} <= set(kept["rule"])
    assert {"BBB", "CCC", "GGG"} <= set(kept["symbol"])
    missing = kept[kept["rule"] == "complete"]
    assert not missing.duplicated(["symbol", "session"]).any(), (
        "what is missing is refused once, though asked for again"
    )
    prices = evenings.window(last).prices
    assert NEW_NAME in prices.columns
    halted = [pd.Timestamp(sessions[n]) for n in range(script.halt[0], script.halt[1] + 1)]
    assert prices["BBB"][prices["BBB"].isna()].index.tolist() == [day for day in halted if day in prices.index]
    assert prices.drop(columns="BBB").notna().all(axis=None), "what came late is there"
    assert work.decided(last), "what was accepted by command is on record"
    assert prices["HHH"].pct_change().min() < -0.9, "and all its sessions were asked for again"
    assert prices["EEE"].pct_change().abs().max() < 0.05, "its split is applied"
    actions = work.market.actions(last, sessions[0], last, work.calendar)
    assert set(zip(actions["symbol"], actions["kind"], strict=True)) == {("DDD", "dividend"), ("EEE", "split")}
    measured = work.settling.measured(work.calendar)
    assert measured.evening_bars > 0
    assert 0 < measured.revised < measured.evening_bars
