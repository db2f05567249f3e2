"""Streamed bars join the stored ones point in time, or are refused one by one; the sensor asks for each file once."""

import os
import time
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from regime_assets.definitions import build_definitions
from regime_assets.library.arrivals.micro_batches import StreamError, append_bars, read_batch
from regime_assets.library.database import Database
from regime_assets.library.steps import bar_decisions
from regime_assets.library.steps.raw_prices import RejectedDataError, ingest
from regime_assets.library.workspace import Workspace
from regime_assets_tests.chain_run import QUIET
from regime_assets_tests.library.arrivals.streamed_bars import FRIDAY, LOADED, bar, last_close, loaded_chain

AFTERNOON, EVENING = datetime(2020, 6, 26, 18, tzinfo=UTC), datetime(2020, 6, 26, 22, tzinfo=UTC)
BATCH = "symbol,session,open,high,low,close,volume\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "stream").mkdir()
    return loaded_chain(tmp_path, f'stream: {{folder: "{tmp_path}/stream"}}')


def test_a_streamed_bar_is_read_like_any_other(workspace: Workspace) -> None:
    appended = append_bars(workspace, bar(workspace, move=1.01), "stream", AFTERNOON)
    assert (appended.sessions, appended.report.new_bars) == ((FRIDAY,), 1)
    version = workspace.market.versions("AAPL", FRIDAY).iloc[0]
    assert (version["known_at"], version["known_basis"]) == (pd.Timestamp("2020-06-26 18:00"), "observed")
    assert last_close(workspace, FRIDAY) == pytest.approx(last_close(workspace, LOADED) * 1.01)


def test_a_provisional_bar_is_revised_by_the_next_batch_and_kept(workspace: Workspace) -> None:
    append_bars(workspace, bar(workspace, move=1.01), "stream", AFTERNOON)
    appended = append_bars(workspace, bar(workspace, move=1.02), "stream", EVENING)
    assert (appended.report.new_bars, appended.report.revised_bars) == (0, 1)
    assert len(workspace.market.versions("AAPL", FRIDAY)) == 2
    assert append_bars(workspace, bar(workspace, move=1.02), "stream", EVENING).report.written == 0


def test_the_daily_run_goes_on_where_the_stream_was(workspace: Workspace, tmp_path: Path) -> None:
    append_bars(workspace, bar(workspace, move=1.01), "stream", AFTERNOON)
    for symbol in ("AAPL", "MSFT"):
        path = tmp_path / "prices" / f"{symbol}.csv"
        rows = pd.read_csv(path, dtype={"session": str})
        following = bar(workspace, move=1.02 if symbol == "AAPL" else 1.0, symbol=symbol).drop(columns="symbol")
        pd.concat([rows, following]).to_csv(path, index=False)
    report = ingest(workspace, [FRIDAY], log=lambda _: None).report
    assert (report.new_bars, report.revised_bars) == (1, 1)
    assert workspace.market.versions("AAPL", FRIDAY)["source"].tolist() == ["stream", "files"]


def test_a_refused_bar_stays_on_record_with_the_time_at_which_a_good_one_came(workspace: Workspace) -> None:
    for at in (AFTERNOON, EVENING):
        with pytest.raises(RejectedDataError):
            append_bars(workspace, bar(workspace).assign(close=-1.0), "stream", at)
    append_bars(workspace, bar(workspace), "stream", datetime(2020, 6, 26, 23, tzinfo=UTC))
    negative = workspace.quarantine.history().query("rule == 'positive'")
    assert negative["close"].tolist() == [-1.0, -1.0]
    assert negative["known_at"].tolist() == [pd.Timestamp("2020-06-26 18:00"), pd.Timestamp("2020-06-26 22:00")]
    assert negative["accepted_at"].tolist() == [pd.Timestamp("2020-06-26 23:00")] * 2


def test_the_checks_show_what_was_held_back_of_their_session(definitions: dg.Definitions, workspace: Workspace) -> None:
    with pytest.raises(RejectedDataError):
        append_bars(workspace, bar(workspace, LOADED).assign(close=-1.0), "stream", AFTERNOON)
    with dg.instance_for_test() as instance:
        run = definitions.resolve_job_def("tiny_daily").execute_in_process(
            instance=instance,
            partition_key=LOADED.isoformat(),
            asset_selection=[dg.AssetKey(["tiny", "raw_prices"])],
            run_config=QUIET,
        )
    checked = {event.check_name: event for event in run.get_asset_check_evaluations()}
    assert checked["positive"].passed
    quarantined = checked["positive"].metadata["quarantined"]
    assert isinstance(quarantined, dg.TableMetadataValue)
    assert [record.data["symbol"] for record in quarantined.records] == ["AAPL"]
    assert "close -1" in str(quarantined.records[0].data["held back"])
    assert quarantined.records[0].data["accepted at"] != "never", "the run fetched it again"
    assert "quarantined" not in checked["finite"].metadata


def test_what_breaks_a_blocking_rule_is_refused_with_its_way_out_and_the_rest_is_stored(workspace: Workspace) -> None:
    broken = pd.concat([bar(workspace, move=1.01), bar(workspace, symbol="MSFT").assign(close=-1.0)])
    appended = append_bars(workspace, broken, "stream", AFTERNOON)
    assert workspace.market.newest_sessions() == {"AAPL": FRIDAY, "MSFT": LOADED}
    (refused,) = appended.refused.query("rule == 'positive'").to_dict("records")
    assert refused["message"].startswith("MSFT 2020-06-26 close -1: positive")
    assert "quarantine correct tiny --symbol MSFT --session 2020-06-26" in refused["way_out"]
    assert set(workspace.quarantine.history()["symbol"]) == {"MSFT"}


def test_a_level_in_doubt_holds_back_the_later_bars_of_that_symbol_too(workspace: Workspace) -> None:
    monday = workspace.calendar.next(FRIDAY)
    halved = pd.concat([bar(workspace, FRIDAY, 0.01), bar(workspace, monday, 0.01), bar(workspace, FRIDAY, 1, "MSFT")])
    appended = append_bars(workspace, halved, "stream", datetime(2020, 6, 29, 22, tzinfo=UTC))
    assert workspace.market.newest_sessions() == {"AAPL": LOADED, "MSFT": FRIDAY}
    assert set(appended.refused["symbol"]) == {"AAPL"}


def test_what_somebody_accepted_or_corrected_is_stored_when_it_comes_again(workspace: Workspace) -> None:
    fallen = bar(workspace, FRIDAY, 0.05)
    with pytest.raises(RejectedDataError, match="quarantine accept tiny --symbol AAPL") as refused:
        append_bars(workspace, fallen, "stream", AFTERNOON)
    for rule in set(refused.value.findings["rule"]):
        bar_decisions.accept(workspace, "AAPL", FRIDAY, str(rule), "news of the day", "ann")
    assert append_bars(workspace, fallen, "stream", EVENING).report.new_bars == 1
    with pytest.raises(RejectedDataError):
        append_bars(workspace, bar(workspace, symbol="MSFT").assign(close=-1.0), "stream", AFTERNOON)
    close = round(last_close(workspace, LOADED, "MSFT"), 2)
    bar_decisions.correct(workspace, "MSFT", FRIDAY, {"close": close}, "typo", "ann")
    append_bars(workspace, bar(workspace, symbol="MSFT").assign(close=-1.0), "stream", EVENING)
    assert workspace.market.versions("MSFT", FRIDAY)["close"].tolist() == [-1.0, close]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbol": "GONE"}, "GONE is no instrument of tiny"),
        ({"session": "2020-06-27"}, "no session of XNYS; .*rule: unknown_session"),
        ({"session": "2020-06-29"}, "lies ahead"),
    ],
)
def test_a_bar_that_does_not_belong_here_is_refused_and_kept_on_record(
    workspace: Workspace, change: dict[str, str], words: str
) -> None:
    foreign = bar(workspace, symbol="MSFT").assign(**change)
    with pytest.raises(RejectedDataError, match=words):
        append_bars(workspace, foreign, "stream", AFTERNOON)
    assert set(workspace.market.newest_sessions().values()) == {LOADED}
    assert workspace.quarantine.history()["rule"].tolist() == ["expected"]
    append_bars(workspace, pd.concat([bar(workspace), foreign]), "stream", AFTERNOON)
    assert workspace.market.newest_sessions()["AAPL"] == FRIDAY, "the others are stored"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"session": "26.06.2020"}, "unreadable"),
        ({"session": "2020-06-26 14:30"}, "unreadable"),
        ({"close": "high"}, "unreadable"),
    ],
)
def test_what_is_no_table_of_bars_is_refused(workspace: Workspace, change: dict[str, str], words: str) -> None:
    with pytest.raises(StreamError, match=words):
        append_bars(workspace, bar(workspace).assign(**change), "stream", AFTERNOON)
    assert set(workspace.market.newest_sessions().values()) == {LOADED}


def test_a_missing_column_an_empty_batch_and_a_time_without_zone_are_refused(workspace: Workspace) -> None:
    with pytest.raises(StreamError, match="no column volume"):
        append_bars(workspace, bar(workspace).drop(columns="volume"), "stream", AFTERNOON)
    with pytest.raises(StreamError, match="without bars"):
        append_bars(workspace, bar(workspace).iloc[:0], "stream", AFTERNOON)
    with pytest.raises(ValueError, match="time zone"):
        append_bars(workspace, bar(workspace), "stream", AFTERNOON.replace(tzinfo=None))


def test_a_stream_that_would_leave_a_gap_is_refused(workspace: Workspace) -> None:
    with pytest.raises(RejectedDataError, match="sessions are missing after 2020-06-25"):
        append_bars(workspace, bar(workspace, date(2020, 7, 31)), "stream", datetime(2020, 8, 1, tzinfo=UTC))


def test_an_old_bar_may_be_corrected(workspace: Workspace) -> None:
    old = date(2020, 6, 18)
    appended = append_bars(workspace, bar(workspace, old, 1.001), "stream", datetime(2120, 1, 1, tzinfo=UTC))
    assert appended.report.revised_bars == 1


def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    for name in ("bad.parquet", "missing.csv"):
        with pytest.raises(StreamError, match=name):
            read_batch(tmp_path / name)


@pytest.fixture
def definitions(workspace: Workspace, tmp_path: Path) -> dg.Definitions:
    return build_definitions(workspace.home, tmp_path / "universes")


def drop(folder: Path, name: str, text: str, seconds_old: float = 60.0) -> None:
    (folder / "stream" / name).write_text(text)
    at = time.time() - seconds_old
    os.utime(folder / "stream" / name, (at, at))


def evaluate(definitions: dg.Definitions, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    sensor = definitions.resolve_sensor_def("tiny_stream_sensor")
    with dg.instance_for_test() as instance:
        result = sensor(dg.build_sensor_context(instance=instance, definitions=definitions, cursor=cursor))
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def asked(result: dg.SensorResult | dg.SkipReason) -> list[str]:
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    return request.run_config["ops"]["tiny_store_batches"]["config"]["files"]


def test_each_file_is_asked_for_once_and_again_when_it_changes(definitions: dg.Definitions, tmp_path: Path) -> None:
    assert isinstance(evaluate(definitions), dg.SkipReason)
    drop(tmp_path, "b.csv", BATCH, 60)
    drop(tmp_path, "a.csv", BATCH, 30)
    for ignored in (".c.csv", "notes.txt"):
        drop(tmp_path, ignored, BATCH)
    drop(tmp_path, "still_written.csv", BATCH, -60)
    first = evaluate(definitions)
    assert asked(first) == ["b.csv", "a.csv"], "in the order in which they came"
    assert isinstance(first, dg.SensorResult)
    assert isinstance(evaluate(definitions, first.cursor), dg.SkipReason)
    drop(tmp_path, "a.csv", BATCH, 10)
    second = evaluate(definitions, first.cursor)
    assert asked(second) == ["a.csv"]


def test_a_tick_opens_no_database(definitions: dg.Definitions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Database) -> None:
        raise AssertionError(f"{self.path} was opened")

    monkeypatch.setattr(Database, "connect", refuse)
    drop(tmp_path, "a.csv", BATCH)
    assert asked(evaluate(definitions)) == ["a.csv"]


def test_the_job_stores_the_good_files_and_names_the_bad_ones(
    definitions: dg.Definitions, workspace: Workspace, tmp_path: Path
) -> None:
    session = workspace.calendar.next(LOADED)
    drop(tmp_path, "bad.csv", "symbol,session\nAAPL,2020-06-26\n")
    drop(tmp_path, "good.csv", bar(workspace, session, 1.01).to_csv(index=False))
    result = evaluate(definitions)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    with dg.instance_for_test() as instance:
        run = definitions.resolve_job_def("tiny_stream").execute_in_process(
            instance=instance, run_config={**request.run_config, **QUIET}, raise_on_error=False
        )
        observed = instance.fetch_observations(dg.AssetKey(["tiny", "raw_prices"]), limit=5).records
    assert not run.success
    (failed,) = [event.step_failure_data for event in run.all_events if event.is_step_failure]
    assert "bad.csv: no column" in str(failed.error)
    assert "good.csv" not in str(failed.error)
    assert workspace.market.newest_sessions() == {"AAPL": session, "MSFT": LOADED}
    assert [record.partition_key for record in observed] == [session.isoformat()]


def test_a_universe_without_a_stream_has_no_job_for_it(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "universes" / "tiny.yaml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("stream")))
    definitions = build_definitions(workspace.home, tmp_path / "universes")
    assert not [name for name in map(str, definitions.get_repository_def().job_names) if "stream" in name]
