"""What a session's run materializes: on a session without a refit, the champion answers from new data."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from regime_assets.assets.drift_report import EPISODE_METADATA
from regime_assets.assets.lane import Lane
from regime_assets.definitions import build_definitions
from regime_assets.jobs import full_retrain
from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.market.calendar import load_calendar
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.partitions import session_partitions
from regime_assets.session_run import REFIT_ASSETS, session_assets

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2015-01-02
first_partition: 2019-01-02
last_partition: 2022-12-28
symbols: [AAPL, MSFT, JPM]
traded: [SP500]
macro: {kind: fred, series: [UNRATE]}
"""
NEW_DATA = {
    *("tiny/raw_prices", "tiny/corporate_actions", "tiny/macro", "tiny/daily_signal"),
    *(f"tiny/{h}/{n}" for h in HORIZONS for n in ("validated_window", "drift_report", "live_performance")),
}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def opened(folder: Path, every: str, more: str = "") -> Lane:
    (folder / "tiny.yaml").write_text(f"{UNIVERSE}refit: {{every: {every}}}\n{more}")
    universe = load_universe(folder / "tiny.yaml")
    calendar = load_calendar("XNYS", universe.history_start, folder / "calendars")
    return Lane(universe, session_partitions(universe, calendar))


def promoted(instance: dg.DagsterInstance, *horizons: str) -> None:
    for horizon in horizons:
        key = ["tiny", horizon, "promotion"]
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition="2022-11-16"))


def asked(folder: Path, lane: Lane, instance: dg.DagsterInstance, session: date) -> set[str] | None:
    """The assets that the daily sensor asks for on the morning after a session; None for all of the job's."""
    calendar = load_calendar("XNYS", lane.universe.history_start, folder / "calendars")
    answered = dg.AssetMaterialization(["tiny", "daily_signal"], partition=calendar.previous(session).isoformat())
    instance.report_runless_asset_event(answered)
    morning = datetime(session.year, session.month, session.day, 1, tzinfo=ZoneInfo(calendar.timezone))
    definitions = build_definitions(Home(folder), folder)
    sensor = definitions.resolve_sensor_def("daily_sensor")
    with clock.at(morning + timedelta(days=1)):
        tick = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=definitions))
    (request,) = tick.run_requests or ()
    assert request.partition_key == session.isoformat()
    return None if request.asset_selection is None else {key.to_user_string() for key in request.asset_selection}


@pytest.mark.parametrize(
    ("every", "refit", "held"),
    [("weekly", date(2022, 12, 16), date(2022, 12, 20)), ("monthly", date(2022, 11, 30), date(2022, 12, 23))],
)
def test_between_two_refits_the_champion_answers_from_new_data(
    tmp_path: Path, instance: dg.DagsterInstance, every: str, refit: date, held: date
) -> None:
    lane = opened(tmp_path, every)
    promoted(instance, *HORIZONS)
    assert asked(tmp_path, lane, instance, refit) is None
    assert asked(tmp_path, lane, instance, held) == NEW_DATA


def test_each_horizon_may_have_its_own_cadence(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lane = opened(tmp_path, "{short: weekly, long: monthly}")
    promoted(instance, *HORIZONS)
    friday = asked(tmp_path, lane, instance, date(2022, 12, 23))
    assert friday == NEW_DATA | {f"tiny/short/{name}" for name in REFIT_ASSETS}


def test_a_horizon_that_never_was_fitted_is_fitted_on_any_session(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    lane = opened(tmp_path, "monthly")
    promoted(instance, "long")
    tuesday = asked(tmp_path, lane, instance, date(2022, 12, 20))
    assert tuesday == NEW_DATA | {f"tiny/short/{name}" for name in REFIT_ASSETS}


def test_what_is_left_out_are_the_assets_of_the_refit_and_nothing_else(tmp_path: Path) -> None:
    lane = opened(tmp_path, "weekly")
    job = build_definitions(Home(tmp_path), tmp_path).resolve_job_def("tiny_daily")
    models = {lane.of(horizon).key(name) for horizon in HORIZONS for name in REFIT_ASSETS}
    assert set(session_assets(lane, []) or []) | models == job.asset_layer.selected_asset_keys
    assert models.isdisjoint(session_assets(lane, []) or [])


def test_the_signal_waits_for_the_windows_that_it_reads(tmp_path: Path) -> None:
    opened(tmp_path, "weekly")
    graph = build_definitions(Home(tmp_path), tmp_path).resolve_asset_graph()
    signal = graph.get(dg.AssetKey(["tiny", "daily_signal"]))
    assert {dg.AssetKey(["tiny", horizon, "validated_window"]) for horizon in HORIZONS} <= signal.parent_keys


@pytest.mark.parametrize(("every", "whole"), [("weekly", False), ("daily", True)])
def test_a_drift_episode_between_two_refits_refreshes_its_horizon(
    tmp_path: Path, instance: dg.DagsterInstance, every: str, whole: bool
) -> None:
    opened(tmp_path, every)
    drifting = dg.AssetMaterialization(
        ["tiny", "short", "drift_report"], partition="2022-12-20", metadata={EPISODE_METADATA: "drift-2022-12-20"}
    )
    instance.report_runless_asset_event(drifting)
    definitions = build_definitions(Home(tmp_path), tmp_path)
    sensor = definitions.resolve_sensor_def("drift_sensor")
    tick = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=definitions))
    (request,) = tick.run_requests or ()
    selection = request.asset_selection
    assert (selection is None) == whole
    job = definitions.resolve_job_def("tiny_daily").get_subset(asset_selection=set(selection) if selection else None)
    assert dg.validate_run_config(job, request.run_config)
    if selection:
        names = {key.to_user_string() for key in selection}
        assert names == NEW_DATA | {f"tiny/short/{name}" for name in REFIT_ASSETS}


def test_a_challenger_is_refitted_and_retrained_with_the_universes_own_design(tmp_path: Path) -> None:
    lane = opened(tmp_path, "weekly", "challengers: {four: {encoder: {n_latents: 4}}}\n")
    keys = session_assets(lane, ["short"])
    assert keys is not None
    theirs = {tuple(key.path) for key in keys if "four" in key.path}
    assert theirs == {("tiny", "short", "four", name) for name in REFIT_ASSETS}
    retrained = full_retrain(lane.of("long"))["ops"]
    assert set(retrained) == {f"tiny__long__{name}" for name in ("vae", "rl_policy", "four__vae", "four__rl_policy")}
