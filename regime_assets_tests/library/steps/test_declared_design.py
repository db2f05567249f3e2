"""A folder that an earlier version of the package wrote, whose hash of a design covered both windows, goes on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.design import Design
from regime_assets.library.evaluation.out_of_sample import read_track
from regime_assets.library.production.names import model_name
from regime_assets.library.report import page
from regime_assets.library.steps.served_track import read_served_track
from regime_assets_tests.library.steps.session_chain import QUICK, small_workspace
from regime_assets_tests.library.steps.test_challenge import run

FIRST, SECOND = date(2017, 6, 28), date(2017, 6, 29)
WINDOWS = {"short_calendar_days": 365, "long_half_life_sessions": 252}
"""Of these the short horizon's hash once covered the second one, too."""


def test_its_champion_is_refreshed_and_not_challenged_by_itself(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_pictures", lambda _: defaultdict(bytes))
        workspace = small_workspace(tmp_path, "home")
        workspace.__dict__["design"] = replace(QUICK, data={"windows": WINDOWS})
        with pytest.MonkeyPatch.context() as earlier:
            earlier.setattr(Design, "hash_for", lambda self, _: self.former_hash)
            assert run(workspace, FIRST).lane == "first"
        former, present = workspace.design.former_hash, workspace.design.hash_for("short")
        assert former != present
        recorded = read_track(workspace.database, "tiny", "short", FIRST, former)
        assert run(workspace, SECOND).lane == "refresh"
    champion = workspace.registry.champion(model_name("tiny", "short"))
    assert champion is not None
    assert champion.session == SECOND
    assert workspace.ledger.statistics("tiny", workspace.universe.held).count == 1
    track = read_track(workspace.database, "tiny", "short", SECOND, present)
    assert list(track.index[:-1]) == list(recorded.index), "the record goes on"
    assert read_track(workspace.database, "tiny", "short", SECOND, former).empty
    assert read_served_track(workspace, "short", FIRST).index[-1].date() == FIRST, "whose version has the former hash"
