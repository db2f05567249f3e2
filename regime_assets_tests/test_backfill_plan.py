"""A backfill from the asset graph as Dagster plans it: one run for a chunk of sessions, the next chunk after it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView
from dagster._core.definitions.temporal_context import TemporalContext
from dagster._core.execution.asset_backfill import AssetBackfillData, execute_asset_backfill_iteration_inner
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import ModuleTarget

from regime_assets.definitions import UNIVERSES_VARIABLE
from regime_assets.library.home import HOME_VARIABLE
from regime_assets.library.market.calendar import load_calendar

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2015-01-02
first_partition: 2016-01-04
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
macro: {kind: fred, series: [UNRATE], features: [UNRATE]}
"""


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AssetGraphView]:
    """The universe's graph as the daemon sees it."""
    (tmp_path / "universes").mkdir()
    (tmp_path / "universes" / "tiny.yaml").write_text(UNIVERSE)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv(UNIVERSES_VARIABLE, str(tmp_path / "universes"))
    with ExitStack() as open_until_the_end:
        instance = open_until_the_end.enter_context(dg.instance_for_test())
        target = ModuleTarget("regime_assets.definitions", None, None, "regime_assets")
        loaded = open_until_the_end.enter_context(
            create_test_daemon_workspace_context(workspace_load_target=target, instance=instance)
        )
        now = TemporalContext(effective_dt=datetime.now(UTC), last_event_id=None)
        yield AssetGraphView(
            temporal_context=now, instance=instance, asset_graph=loaded.create_request_context().asset_graph
        )


def planned(view: AssetGraphView, first: date, last: date, folder: Path) -> list[tuple[int, str, str]]:
    """The runs that the first tick of a backfill asks for: number of assets, first and last session."""
    sessions = load_calendar("XNYS", date(2015, 1, 2), folder / "calendars").sessions(first, last)
    assets = [key for key in view.asset_graph.materializable_asset_keys if key.path[-1] != "walk_forward"]
    data = AssetBackfillData.from_asset_partitions(
        view.asset_graph, [day.isoformat() for day in sessions], assets, view.instance, time.time(), False
    )
    done = execute_asset_backfill_iteration_inner("one", data, view, time.time(), logging.getLogger("plan"), None)
    return [
        (
            len(run.asset_selection or ()),
            run.tags["dagster/asset_partition_range_start"],
            run.tags["dagster/asset_partition_range_end"],
        )
        for run in done.run_requests
    ]


def test_sessions_of_one_chunk_are_one_run_of_all_assets_and_a_later_chunk_waits(
    graph: AssetGraphView, tmp_path: Path
) -> None:
    count = len([key for key in graph.asset_graph.materializable_asset_keys if key.path[-1] != "walk_forward"])
    three = planned(graph, date(2017, 6, 26), date(2017, 6, 28), tmp_path)
    assert three == [(count, "2017-06-26", "2017-06-28")]
    two_months = planned(graph, date(2017, 1, 3), date(2017, 2, 28), tmp_path)
    assert two_months == [(count, "2017-01-03", "2017-02-01")], "21 sessions, in order"
