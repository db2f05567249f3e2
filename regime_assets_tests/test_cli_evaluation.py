"""The commands `walk-forward` and `proofs`, on a small universe that is the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from regime_assets.cli import main
from regime_assets.definitions import UNIVERSES_VARIABLE
from regime_assets.library.home import HOME_VARIABLE
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.research import proofs
from regime_assets.library.research.proofs import Proof
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.research.test_long_walk import LAST, UNIVERSE, quick_chain

WALK = ["walk-forward", "tiny", "short", "--first", "2016-02-01", "--last", str(LAST), "--refit-every", "20"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The universe's file and an empty home, as the environment names them; models are small."""
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    workspace = quick_chain(tmp_path)
    quick = workspace.design
    monkeypatch.setattr(Workspace, "design", property(lambda _: quick))
    monkeypatch.setenv(HOME_VARIABLE, str(workspace.home.root))
    monkeypatch.setenv(UNIVERSES_VARIABLE, str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return workspace


@pytest.fixture
def stored(workspace: Workspace) -> Workspace:
    fetched = SampleSource().fetch(workspace.universe.instruments, workspace.universe.history_start, LAST)
    workspace.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), workspace.calendar)
    return workspace


@pytest.mark.usefixtures("stored")
def test_a_walk_forward_shows_progress_and_a_table_and_asked_again_only_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(WALK) == 0
    first = capsys.readouterr().out
    assert "refit 1 of 3, as of 2016-02-01" in first
    assert "tiny, short: out of sample, net of costs, 2016-02-01 to 2016-03-31" in first
    report = Path(first.split("Report:")[1].strip().replace("\n", ""))
    assert report.is_file()
    assert main(WALK) == 0
    again = capsys.readouterr().out
    assert "refit" not in again
    assert again in first, "what is stored gives the same table"


def test_a_walk_forward_without_prices_says_what_to_do(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["walk-forward", "tiny", "short"]) == 1
    told = capsys.readouterr().err
    assert "no prices of" in told
    assert "materialize a session first" in told
    assert not (workspace.home.root / "walk_forward").exists()


def test_both_horizons_walk_in_processes_of_their_own_and_one_that_fails_is_told(
    workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["walk-forward", "tiny", "both", "--first", "2016-02-01"]) == 1
    assert capfd.readouterr().err.count(f"no prices of {workspace.universe.instruments[0]}") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--refit-every", "0"], "refit_every is 0, must be at least 1"),
        (["--first", "2012-06-01"], "252 sessions to train on"),
    ],
)
@pytest.mark.usefixtures("stored")
def test_a_walk_forward_that_cannot_be_is_refused_in_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WALK, *options]) == 1
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
@pytest.mark.usefixtures("stored")
def test_the_proofs_command_fails_when_one_of_them_does(
    holds: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proofs themselves are tested where they are; here they are stood in for, because they take minutes."""

    def shown(workspace: Workspace, end: date, scratch: Path) -> Iterator[Proof]:
        assert (workspace.universe.name, end, scratch.is_dir()) == ("tiny", LAST, True)
        yield Proof("no look-ahead", True, "equal to the bit")
        yield Proof("an oracle is found", holds, "3.1 standard errors")

    monkeypatch.setattr(proofs, "run_proofs", shown)
    assert main(["proofs", "tiny"]) == code
    told = capsys.readouterr().out
    assert "holds: no look-ahead" in told
    assert ("FAILED: an oracle is found" in told) == (not holds)
