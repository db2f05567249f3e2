"""A range of partitions is walked forward in one run of the real graph, and goes on where a killed one stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.definitions import build_definitions
from regime_assets.library.design import Design
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.research import long_walk
from regime_assets.library.research.walk_store import SEGMENTS
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.research.test_long_walk import LAST, UNIVERSE, quick_chain

FIRST = date(2016, 1, 4)
KEY = dg.AssetKey(["tiny", "short", "walk_forward"])
pytestmark = pytest.mark.xdist_group("walk_forward_asset")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A small universe with stored prices, whose models are fitted within tenths of a second in the graph as well."""
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    workspace = quick_chain(tmp_path)
    quick: Design = workspace.design
    monkeypatch.setattr(Workspace, "design", property(lambda _: quick))
    monkeypatch.setenv(HOME_VARIABLE, str(workspace.home.root))
    fetched = SampleSource().fetch(workspace.universe.instruments, workspace.universe.history_start, LAST)
    workspace.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), workspace.calendar)
    return workspace


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def materialize(
    workspace: Workspace, instance: dg.DagsterInstance, first: date = FIRST, last: date = LAST, **config: object
) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(workspace.home, workspace.home.root.parent)
    asset = definitions.resolve_assets_def(KEY)
    return dg.materialize(
        [asset],
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
        },
        run_config={
            "ops": {
                asset.op.name: {"config": {"refit_every": 10, "policy_every": 20, "full_retrain_every": 40} | config}
            }
        },
        raise_on_error=False,
    )


def test_a_range_is_decided_and_scored_in_one_run(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    done = materialize(workspace, instance)
    assert done.success
    sessions = workspace.calendar.sessions(FIRST, LAST)
    decided = workspace.database.query(f"SELECT DISTINCT session FROM {SEGMENTS} ORDER BY session")["session"]
    assert [day.date() for day in decided] == list(sessions)
    assert len(instance.get_materialized_partitions(KEY)) == len(sessions)

    event = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=KEY, asset_partitions=[LAST.isoformat()]), 1
    )
    metadata = event.records[0].asset_materialization.metadata
    assert metadata["sessions"].value == len(sessions)
    assert [row.data["strategy"] for row in metadata["comparison"].records][:2] == ["learned policy", "regime rule"]
    report = workspace.home.report("tiny", "short", "walk-forward", LAST)
    assert str(metadata["report"].value).endswith(f"/reports/tiny/short/{report.name}")
    assert "out of sample" in report.read_text()


def test_a_run_that_broke_off_is_continued_by_the_next(
    workspace: Workspace, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = long_walk.StoredRun.store
    kept: list[date] = []

    def breaks_at_the_fourth(run: long_walk.StoredRun, segment: object) -> None:
        if len(kept) == 3:
            raise RuntimeError("the machine went away")
        stored(run, segment)
        kept.append(segment.session.date())

    monkeypatch.setattr(long_walk.StoredRun, "store", breaks_at_the_fourth)
    assert not materialize(workspace, instance).success
    assert len(kept) == 3

    refitted: list[date] = []

    def counted(run: long_walk.StoredRun, segment: object) -> None:
        refitted.append(segment.session.date())
        stored(run, segment)

    monkeypatch.setattr(long_walk.StoredRun, "store", counted)
    assert materialize(workspace, instance).success
    assert len(refitted) == 4
    assert min(refitted) > max(kept), "what was stored is not fitted again"


def test_a_range_that_begins_before_the_history_suffices_says_so(
    workspace: Workspace, instance: dg.DagsterInstance
) -> None:
    (workspace.home.root.parent / "tiny.yaml").write_text(UNIVERSE.replace("2012-01-03", "2013-03-01"))
    late = Workspace(load_universe(workspace.home.root.parent / "tiny.yaml"), workspace.home)
    refused = materialize(late, instance, date(2015, 1, 2), date(2015, 2, 27))
    assert not refused.success
    failure = refused.failure_data_for_node("tiny__short__walk_forward")
    assert failure is not None
    assert "252 sessions to train on" in str(failure.error)


DESIGN = """\
design:
  encoder: {hidden: [8], epochs: 6, warm_up_epochs: 2, steps_per_epoch: 4, fine_tune_epochs: 2}
  policy: {seeds: 2}
"""


def test_another_design_is_walked_beside_the_universes_own_from_run_config(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE + DESIGN)
    opened = Workspace(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "home"))
    monkeypatch.setenv(HOME_VARIABLE, str(opened.home.root))
    fetched = SampleSource().fetch(opened.universe.instruments, opened.universe.history_start, LAST)
    opened.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), opened.calendar)
    done = materialize(opened, instance, design={"encoder": {"n_latents": 2}}, refit_every=30, policy_every=60)
    assert done.success
    (event,) = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=KEY, asset_partitions=[LAST.isoformat()]), 1
    ).records
    metadata = event.asset_materialization.metadata
    shown = [row.data["strategy"] for row in metadata["comparison"].records]
    assert shown[:2] == ["try: regime rule", "design: regime rule"]
    assert "as the best of 2 designs tried on this history" in str(metadata["verdict"].value)
    assert opened.ledger.statistics("tiny", opened.universe.held).count == 2
