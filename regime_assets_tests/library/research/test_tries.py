"""Another design beside the universe's own: counted before it is known, resumable, deflated by all that was tried."""

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.library.evaluation.contenders import POLICY, RULE
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.research.long_walk import HistorySettings
from regime_assets.library.research.search import judged_by, read_space, search
from regime_assets.library.research.side_by_side import compare_sides
from regime_assets.library.research.tries import Pair, TryError, assigned, patched_design, try_design
from regime_assets.library.research.try_report import write_pair
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2012-01-03
first_partition: 2015-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
design:
  encoder: {hidden: [8], epochs: 6, warm_up_epochs: 2, steps_per_epoch: 4, fine_tune_epochs: 2}
  policy: {seeds: 2}
challengers:
  shorter: {regimes: {persistence: {target_switches_per_year: 4}}}
"""
LAST = date(2016, 3, 31)
SETTINGS = HistorySettings(date(2015, 10, 1), LAST, refit_every=30, policy_every=60, full_retrain_every=0)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("universe")
    (folder / "tiny.yaml").write_text(UNIVERSE)
    opened = Workspace(load_universe(folder / "tiny.yaml"), Home(folder / "home"))
    fetched = SampleSource().fetch(opened.universe.instruments, opened.universe.history_start, LAST)
    opened.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), opened.calendar)
    return opened


def tried(workspace: Workspace) -> int:
    return workspace.ledger.statistics("tiny", workspace.universe.held).count


def test_a_try_walks_both_designs_over_the_same_sessions_and_goes_on_where_it_was_stopped(workspace: Workspace) -> None:
    design = patched_design(workspace.universe, assigned(["encoder.n_latents=4"]))
    seen: list[tuple[str, int]] = []

    def stopped(whose: str, number: int, *_: object) -> None:
        seen.append((whose, number))
        if (whose, number) == ("try", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_design(workspace, "long", design, SETTINGS, stopped)
    assert tried(workspace) == 2, "the design and the try, though it was stopped"
    again: list[tuple[str, int]] = []
    pair = try_design(workspace, "long", design, SETTINGS, lambda whose, number, *_: again.append((whose, number)))
    assert again == [("try", number) for number in range(3, seen[-1][1] + 3) if number <= 5], "from the third refit on"
    assert tried(workspace) == 2, "one design, tried twice"
    assert pair.sessions[0] == pd.Timestamp("2015-10-01")
    assert pair.sessions[-1] == pd.Timestamp(LAST)
    assert set(pair.tests) == {RULE, POLICY}
    assert pair.trials == 2
    assert [sentence.partition(":")[0] for sentence in pair.verdict()] == [RULE, POLICY]
    report = write_pair(workspace, "long", pair, design.hash_for("long")[:12])
    assert "try: regime rule" in report.read_text()


def test_a_design_and_a_challenger_are_put_side_by_side(workspace: Workspace) -> None:
    found = compare_sides(workspace, "long", ("design", "shorter"), SETTINGS, lambda *_: None)
    pair, notes = found.pair, found.notes
    assert pair.names == ("design", "shorter")
    assert len(pair.table) == 5
    assert notes == ()


def test_a_search_charges_every_trial_and_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    (tmp_path / "space.yaml").write_text(
        "encoder.n_latents: {int: [2, 5]}\nencoder.beta: {float: [0.5, 2], log: true}\n"
    )
    space = read_space(tmp_path / "space.yaml")
    seen: list[int] = []

    def searched(trials: int) -> Pair | None:
        found, best = search(workspace, "long", space, SETTINGS, trials, 2, "test", lambda one: seen.append(one.number))
        assert len(found) == trials
        return best

    searched(2)
    before = tried(workspace)
    assert before >= 3, "two proposals, and the design that they are walked beside"
    best = searched(3)
    assert len(seen) == 3, "what was walked before is not walked again"
    assert tried(workspace) == before + 1
    assert best is not None
    assert best.trials == before + 1
    with pytest.raises(TryError, match="begun with another space, so that its trials cannot be compared"):
        search(workspace, "long", {"encoder.beta": {"float": [1, 2]}}, SETTINGS, 4, 2, "test", lambda _: None)


def test_a_search_compares_policies_where_it_changes_one() -> None:
    assert judged_by({"encoder.n_latents": {"int": [2, 3]}}) == "rule"
    assert judged_by({"encoder.n_latents": {"int": [2, 3]}, "policy.seeds": {"int": [2, 3]}}) == "policy"


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["encoder.latents=4"], "encoder.latents: .*nexpected"),
        (["encoder=4"], "encoder"),
        (["n_latents"], "is no setting"),
        (["regimes.n_regimes=9"], "n_regimes"),
    ],
)
def test_what_is_no_setting_is_refused(workspace: Workspace, assignments: list[str], words: str) -> None:
    with pytest.raises(TryError, match=words):
        patched_design(workspace.universe, assigned(assignments))


def test_the_universes_own_design_is_nothing_to_try(workspace: Workspace) -> None:
    with pytest.raises(TryError, match="own design"):
        try_design(workspace, "long", workspace.design, SETTINGS, lambda *_: None)


def test_a_name_that_is_no_design_is_refused(workspace: Workspace) -> None:
    with pytest.raises(TryError, match="there are design, shorter"):
        compare_sides(workspace, "long", ("design", "longer"), SETTINGS, lambda *_: None)
