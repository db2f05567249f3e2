"""A real data folder of format 3, of one lane a horizon: its models find themselves in their design's lane."""

import tarfile
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.home import Home
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.steps.answer_replay import replay
from regime_assets.library.steps.backtest_record import read_record
from regime_assets.library.steps.judgement import find_judgement
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.upkeep.data_format import open_data_folder
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.upkeep.test_upgrade import UNIVERSE, needs_its_duckdb

pytestmark = needs_its_duckdb
ARCHIVE = Path(__file__).parent / "folder-of-format-3.tar.xz"
SESSIONS = (date(2018, 12, 18), date(2018, 12, 19))
NEXT = date(2018, 12, 20)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("format 3")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root / "home", filter="data")
    (root / "tiny.yaml").write_text(f"{UNIVERSE}walk_forward: {{sessions: 126, refit_every: 63}}\n")
    return Workspace(load_universe(root / "tiny.yaml"), open_data_folder(Home(root / "home")))


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_next_session_starts_from_the_models_that_were_there(workspace: Workspace, horizon: str) -> None:
    lineage = workspace.lineage("short" if horizon == "short" else "long")
    store = LineageModels(lineage)
    for kind in KINDS:
        ancestor, notes = store.ancestor(kind, NEXT)
        assert ancestor is not None, "the design of the file is the one that had decided"
        assert (ancestor.session, notes) == (SESSIONS[1], ())
    assert set(store.path(SESSIONS[1]).names) == {"calm", "turbulent"}
    assert len(lineage.curves("vae", SESSIONS[0])) > 0


def test_verdicts_and_answers_are_read_as_before(workspace: Workspace) -> None:
    for horizon in HORIZONS:
        for session in SESSIONS:
            assert read_record(workspace, horizon, session).figures
            judged = find_judgement(workspace, horizon, session)
            assert judged is not None
            assert judged.rules
            assert replay(workspace, horizon, session).differences == ()
        drift = workspace.lineage(horizon, design="").outcomes("drift_report", SESSIONS[1])
        assert [rule.rule for rule in drift] == ["no_drift"]


def test_what_was_there_is_kept(workspace: Workspace) -> None:
    assert (workspace.home.root / "backups" / "before-format-4" / "tiny.duckdb").exists()
