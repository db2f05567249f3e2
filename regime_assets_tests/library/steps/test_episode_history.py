"""The table of drift episodes, as of a session."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.library.home import Home
from regime_assets.library.steps.drift_report import TABLE
from regime_assets.library.steps.episode_history import episode_history
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2012-01-03
first_partition: 2015-01-02
symbols: [AAPL, JPM, KO]
"""
STATES = {
    date(2020, 2, 27): ("drift-2020-02-27", False, 1.2),
    date(2020, 2, 28): ("drift-2020-02-27", True, 1.6),
    date(2020, 3, 2): (None, True, 0.5),
    date(2020, 6, 1): ("drift-2020-06-01", False, 1.1),
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    return Workspace(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "home"))


def test_before_the_first_report_there_are_no_episodes(workspace: Workspace) -> None:
    assert episode_history(workspace, "long", date(2020, 6, 1)).empty


def test_each_episode_is_a_row_newest_first_and_says_whether_it_goes_on(workspace: Workspace) -> None:
    for session, (episode, refitted, largest) in STATES.items():
        row = pd.DataFrame([{"episode_id": episode, "refitted": refitted, "largest": largest}])
        workspace.database.replace_partition(
            TABLE, workspace.key("long", session), row.astype({"episode_id": "string"})
        )
    found = episode_history(workspace, "long", date(2020, 6, 1))
    assert list(found["episode"]) == ["drift-2020-06-01", "drift-2020-02-27"]
    assert list(found["state"]) == ["waits for a retrain", "ended"]
    assert found.iloc[1][["opened", "last_session", "sessions", "largest"]].tolist() == [
        "2020-02-27",
        "2020-02-28",
        2,
        1.6,
    ]
    during = episode_history(workspace, "long", date(2020, 2, 28))
    assert list(during["state"]) == ["retrained"]
    assert episode_history(workspace, "short", date(2020, 6, 1)).empty
