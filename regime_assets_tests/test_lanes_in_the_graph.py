"""Challengers in the real graph: refitted in the champion's run, failing by themselves, added and removed at will."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.steps.fits import fit
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.chain_run import materialize, opened
from regime_assets_tests.library.steps.lanes import SMALL, SMALL_ENCODER, own_package

pytestmark = pytest.mark.xdist_group("end_to_end")

UNIVERSE = f"""\
name: tiny
source: {{kind: sample}}
history_start: 2015-01-02
first_partition: 2016-01-04
last_partition: 2017-06-30
symbols: [AAPL, JPM, KO]
traded: [SP500]
walk_forward: {{sessions: 66, refit_every: 66}}
gate: {{turnover_limit: 100, drawdown_limit: .9}}
schedule: {{retries: 0}}
{SMALL}"""
OWN = f"""\
challengers:
  theirs:
    features: [market_risk, {{use: "their_designs.features:told", symbol: KO}}]
    encoder: {{use: "their_designs.encoders:LinearVae", {SMALL_ENCODER}}}
"""
MORE = f"""{OWN}\
  four_latents: {{encoder: {{n_latents: 4}}}}
  mistaken: {{features: ["their_designs.features:broken"]}}
  peeks: {{features: [{{use: "their_designs.features:told", symbol: KO, ahead: 1}}]}}
"""
FIRST, SECOND = date(2017, 6, 28), date(2017, 6, 29)


@dataclass(frozen=True)
class Ran:
    """Two sessions of one folder, with four challengers and then with one of them."""

    folder: Path
    first: dg.ExecuteInProcessResult
    second: dg.ExecuteInProcessResult

    def workspace(self, lane: str = "design") -> Workspace:
        (self.folder / "tiny.yaml").write_text(UNIVERSE + MORE)
        return Workspace(load_universe(self.folder / "tiny.yaml"), Home(self.folder / "home")).of_lane(lane)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("lanes")
    home = Home(folder / "home")
    with own_package(tmp_path_factory.mktemp("theirs")):
        (folder / "tiny.yaml").write_text(UNIVERSE + MORE)
        first = materialize(home, folder, "tiny_daily", FIRST.isoformat())
        (folder / "tiny.yaml").write_text(UNIVERSE + OWN)
        second = materialize(home, folder, "tiny_daily", SECOND.isoformat())
        yield Ran(folder, first, second)


def succeeded(result: dg.ExecuteInProcessResult) -> list[str]:
    return [str(event.step_key) for event in result.all_events if event.is_step_success]


def test_what_fails_in_a_challengers_lane_fails_that_lane_and_nothing_else(ran: Ran) -> None:
    failed = {str(event.step_key) for event in ran.first.all_events if event.is_step_failure}
    assert failed == {f"tiny__{horizon}__{name}__vae" for horizon in HORIZONS for name in ("peeks", "mistaken")}
    done = set(succeeded(ran.first))
    assert "tiny__daily_signal" in done
    for horizon in HORIZONS:
        assert {f"tiny__{horizon}__{name}" for name in ("promotion", "drift_report", "live_performance")} <= done
        assert {f"tiny__{horizon}__{name}__promotion" for name in ("four_latents", "theirs")} <= done
    assert ran.second.success


def test_the_lane_that_looks_ahead_is_named_with_the_session(ran: Ran) -> None:
    told = {
        str(event.step_key): str(event.step_failure_data.error)
        for event in ran.first.all_events
        if event.is_step_failure and event.step_failure_data.error
    }
    assert (
        "their_designs.features:told is not admitted: it looks ahead: its row of 2015-"
        in told["tiny__short__peeks__vae"]
    )
    assert "a mistake of the user's" in told["tiny__short__mistaken__vae"]


def test_the_signal_comes_after_every_lane(ran: Ran) -> None:
    order = succeeded(ran.first)
    last = max(place for place, step in enumerate(order) if step.endswith("__promotion"))
    assert order.index("tiny__daily_signal") > last
    own = max(order.index(f"tiny__{horizon}__promotion") for horizon in HORIZONS)
    assert own < min(order.index(f"tiny__{horizon}__four_latents__vae") for horizon in HORIZONS)


def test_the_champion_is_shown_with_the_design_that_it_is_of(ran: Ran) -> None:
    with opened(Home(ran.folder / "home")) as instance:
        record = instance.fetch_materializations(dg.AssetKey(["tiny", "short", "champion"]), 1).records[0]
    assert record.asset_materialization is not None
    shown = record.asset_materialization.metadata
    assert (shown["design"].value, shown["fitted_on"].value) == ("design", SECOND.isoformat())
    assert record.asset_materialization.partition == SECOND.isoformat()


def test_each_lane_goes_on_from_its_own_models(ran: Ran) -> None:
    for horizon in HORIZONS:
        for name in ("design", "theirs"):
            lineage = ran.workspace(name).lineage(horizon)
            parents = lineage.require("vae", SECOND).parent, lineage.require("vae", FIRST).sha256
            assert parents[0] == parents[1], (horizon, name)
    used = ran.workspace("theirs").lineage("short").load(ran.workspace("theirs").lineage("short").require("vae", FIRST))
    assert used.document["use"] == "their_designs.encoders:LinearVae"
    assert "told" in used.document["feature_names"]


def test_what_a_removed_challenger_left_stays_readable(ran: Ran) -> None:
    gone = ran.workspace("four_latents").lineage("short")
    assert [gone.require(kind, FIRST).accepted for kind in KINDS] == [True] * len(KINDS)
    assert gone.path(FIRST).latents.shape[1] == 4
    assert gone.find("vae", SECOND) is None
    assert ran.workspace("four_latents").report("short", "backtest", FIRST).exists()


def test_the_champions_line_is_what_it_is_without_challengers(ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    alone = Workspace(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "home"))
    fetched = SampleSource().fetch(alone.universe.instruments, alone.universe.history_start, date(2017, 6, 30))
    alone.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), alone.calendar)
    beside = ran.workspace()
    for session in (FIRST, SECOND):
        validate_window(alone, "short", session)
        for kind in KINDS:
            fit(alone, "short", session, kind)
        ours, theirs = (one.lineage("short").of_session(session) for one in (beside, alone))
        assert {kind: one.sha256 for kind, one in ours.items()} == {kind: one.sha256 for kind, one in theirs.items()}
