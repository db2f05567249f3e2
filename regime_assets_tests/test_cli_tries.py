"""The commands `try`, `search`, `compare` and `backtest`, as they are typed, on a small universe of the user's own."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from regime_assets.cli import main
from regime_assets.definitions import UNIVERSES_VARIABLE
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.steps.backtest_report import backtest
from regime_assets.library.steps.fits import fit
from regime_assets.library.steps.promotion import register_and_promote
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.research.test_tries import UNIVERSE

LAST = date(2016, 3, 31)
REGISTERED = (date(2016, 2, 26), date(2016, 2, 29))
RANGE = ["--first", "2016-01-04", "--last", str(LAST)]
CADENCE = ["--refit-every", "40", "--policy-every", "80", "--full-retrain-every", "0"]
TRY = ["try", "tiny", "long", "--set", "encoder.n_latents=4", *RANGE, *CADENCE]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """With stored prices and two registered versions of the long horizon."""
    folder = tmp_path_factory.mktemp("universe")
    (folder / "tiny.yaml").write_text(f"{UNIVERSE}walk_forward: {{sessions: 66, refit_every: 66}}\n")
    opened = Workspace(load_universe(folder / "tiny.yaml"), Home(folder / "home"))
    fetched = SampleSource().fetch(opened.universe.instruments, opened.universe.history_start, LAST)
    opened.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), opened.calendar)
    for session in REGISTERED:
        validate_window(opened, "long", session)
        for kind in KINDS:
            fit(opened, "long", session, kind)
        backtest(opened, "long", session, lambda _: None, page=False)
        register_and_promote(opened, "long", session, None)
    return opened


@pytest.fixture(autouse=True)
def _chosen(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(workspace.home.root))
    monkeypatch.setenv(UNIVERSES_VARIABLE, str(workspace.home.root.parent))
    monkeypatch.setenv("COLUMNS", "200")


def test_a_try_prints_both_designs_and_what_the_pair_is_evidence_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(TRY) == 0
    told = capsys.readouterr().out
    assert "try: refit 1 of 2, as of 2016-01-04" in told
    assert "tiny, long: net of costs, 2016-01-04 to 2016-03-31" in told
    for strategy in ("try: regime rule", "design: regime rule", "buy & hold"):
        assert strategy in told
    assert "as the best of" in told
    assert "designs tried on this history" in told
    assert Path(told.split("Report:")[1].strip()).is_file()
    assert main(TRY) == 0
    assert "refit" not in capsys.readouterr().out, "asked again, it goes on where it is: at the end"


def test_what_a_try_changes_can_stand_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "four.yaml").write_text("encoder: {n_latents: 4}\n")
    written = ["try", "tiny", "long", "--design", str(tmp_path / "four.yaml"), *RANGE, *CADENCE]
    assert main(written) == 0
    assert "tiny, long: net of costs, 2016-01-04 to 2016-03-31" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["try", "tiny", "long", "--set", "encoder.latents=4"], "encoder.latents"),
        (["try", "tiny", "long"], "nothing differs, so there is nothing to try"),
        (["try", "tiny", "long", "--design", "nowhere.yaml"], "there is no file nowhere.yaml"),
        (["try", "tiny", "long", "--set", "encoder.n_latents=4", "--first", "2012-02-01"], "252 sessions to train on"),
        (["search", "tiny", "long", "nowhere.yaml"], "there is no file nowhere.yaml"),
        (["compare", "tiny", "long", "design", "9"], "tiny.long has no version 9; there are"),
        (["compare", "tiny", "long", "design", "longer"], "there are design, shorter"),
        (["backtest", "tiny", "long", "--version", "9"], "tiny.long has no version 9; there are"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1


def test_a_search_prints_every_trial_and_what_to_declare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    (tmp_path / "space.yaml").write_text("encoder.n_latents: {int: [4, 5]}\n")
    asked = ["search", "tiny", "long", str(tmp_path / "space.yaml"), "--trials", "2", "--processes", "1"]
    assert main([*asked, *RANGE, *CADENCE]) == 0
    told = capsys.readouterr().out
    assert "trial 1: encoder.n_latents=" in told
    assert "2 designs, 0 of them without a figure" in told
    assert "as the best of" in told
    assert "challengers:\n  found: {encoder: {n_latents: " in told


def test_two_registered_versions_are_compared_on_what_neither_has_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "tiny", "long", "1", "2", "--last", str(LAST)]) == 0
    told = capsys.readouterr().out
    assert f"tiny, long: net of costs, {REGISTERED[1]} to {LAST}" in told, "from the newer version's session on"
    assert "version 2: regime rule" in told
    assert f"version 1 was fitted on sessions up to {REGISTERED[0]}: every session shown is out of sample" in told


def test_a_version_and_a_challenger_are_compared_over_any_range(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "tiny", "long", "2", "shorter", *RANGE, *CADENCE]) == 0
    told = capsys.readouterr().out
    assert "shorter: refit 1 of" in told
    assert f"tiny, long: net of costs, 2016-01-04 to {LAST}" in told
    assert "are not out of sample, and its figures are better than what can be expected of it" in told


def test_a_frozen_version_is_scored_after_its_own_session(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "tiny", "long", "--version", "1", "--last", str(LAST)]) == 0
    told = capsys.readouterr().out
    assert f"tiny, long: version 1, {REGISTERED[0]} to {LAST}" in told
    assert "buy & hold" in told
    assert "every session shown is out of sample" in told
