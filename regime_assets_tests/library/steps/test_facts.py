"""The assets of facts and of corporate actions, with the real clients against servers on this machine."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.definitions import build_definitions
from regime_assets.library.home import Home
from regime_assets.library.market.fact_store import FactsReport
from regime_assets.library.market.sources import SourceError
from regime_assets.library.steps.facts import known_facts, refresh_facts
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.chain_run import QUIET
from regime_assets_tests.library.market import vendor_formats as vendor
from regime_assets_tests.library.market.vendor_formats import Vintage
from regime_assets_tests.library.market.vendor_server import Answer, VendorServer, running_server

UNIVERSE = """\
name: tiny
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
history_start: 2020-01-02
first_partition: 2020-03-02
last_partition: 2020-12-31
symbols: [AAPL]
macro: {{kind: fred, series: [PAYEMS], options: {{base_url: "{url}", pause: 0.0, attempts: 1, backoff: 0.01}}}}
fundamentals: {{kind: sec, options: {{base_url: "{url}", pause: 0.0, attempts: 1, backoff: 0.01}}}}
"""
PAYROLLS = [
    Vintage("2020-02-07", "2020-01-01", "152.1"),
    Vintage("2020-03-06", "2020-01-01", "152.2"),
    Vintage("2020-03-06", "2020-02-01", "152.5"),
]
TODAY = datetime.now(UTC).date().isoformat()
THURSDAY, FRIDAY = "2020-03-05", "2020-03-06"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorServer]:
    monkeypatch.setenv("FRED_API_KEY", "abcdef0123456789abcdef0123456789")
    monkeypatch.setenv("SEC_CONTACT", "Test Person test@example.com")
    with running_server() as running:
        vendor.prepare_fred(running, "PAYEMS", PAYROLLS)
        vendor.prepare_sec(running, {"AAPL": 320193})
        filings = [
            vendor.sec_filing("2019-12-31", 100.0, "2020-01-29"),
            vendor.sec_filing("2019-12-31", 90.0, "2020-03-06", accession="0-20-2"),
        ]
        running.route(vendor.sec_filings_path(320193), vendor.sec_filings("2020-01-29", "2020-03-06"))
        running.route(vendor.sec_facts_path(320193), vendor.sec_facts({"Assets": {"USD": filings}}))
        yield running


@pytest.fixture
def universes(server: VendorServer, tmp_path: Path) -> Path:
    folder, prices = tmp_path / "universes", tmp_path / "prices"
    folder.mkdir()
    prices.mkdir()
    (folder / "tiny.yaml").write_text(UNIVERSE.format(url=server.base_url, folder=prices))
    return folder


def materialize(universes: Path, name: str, *sessions: str) -> list[dg.ExecuteInProcessResult]:
    definitions = build_definitions(Home(universes.parent), universes)
    job = definitions.resolve_job_def("tiny_daily")
    with dg.instance_for_test() as instance:
        return [
            job.execute_in_process(
                partition_key=session,
                instance=instance,
                asset_selection=[dg.AssetKey(["tiny", name])],
                raise_on_error=False,
                run_config=QUIET,
            )
            for session in sessions
        ]


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, dg.MetadataValue]:
    assert result.success
    (materialization,) = [event.materialization for event in result.get_asset_materialization_events()]
    return dict(materialization.metadata)


def latest(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    """The first row of the table that the UI shows."""
    shown = metadata(result)["latest"]
    assert isinstance(shown, dg.TableMetadataValue)
    return dict(shown.records[0].data)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("macro", ("2020-01-01", "152.1"), ("2020-02-01", "152.5")),
        ("fundamentals", ("2019-12-31", "100"), ("2019-12-31", "90")),
    ],
)
def test_a_session_shows_what_was_published_by_its_decision(
    universes: Path, name: str, before: tuple[str, str], after: tuple[str, str]
) -> None:
    results = [latest(result) for result in materialize(universes, name, THURSDAY, FRIDAY)]
    assert [(row["period"], row["value"]) for row in results] == [before, after]


def test_materializing_again_stores_nothing(universes: Path) -> None:
    first, second = materialize(universes, "macro", FRIDAY, FRIDAY)
    assert metadata(first)["dated_by_archive"].value == 3
    assert metadata(second)["dated_by_archive"].value == metadata(second)["known_late"].value == 0


def refreshed(universes: Path, name: str) -> FactsReport:
    universe = load_universe(universes / "tiny.yaml")
    choice = universe.macro if name == "macro" else universe.fundamentals
    assert choice is not None
    return refresh_facts(Workspace(universe, Home(universes.parent)), choice, [date(2020, 3, 6)], log=lambda _: None)


def test_the_next_run_asks_for_what_was_published_since(universes: Path, server: VendorServer) -> None:
    assert refreshed(universes, "macro") == FactsReport(3, 0)
    vendor.prepare_fred(server, "PAYEMS", [*PAYROLLS, Vintage(TODAY, "2020-03-01", "153.0")])
    server.asked.clear()
    assert refreshed(universes, "macro") == FactsReport(1, 0)
    overlap = (date.fromisoformat(TODAY) - timedelta(days=11)).isoformat()
    asked = [one.query["realtime_start"] for one in server.asked if one.path == vendor.FRED_OBSERVATIONS_PATH]
    assert asked == [overlap], "a day before the overlap, to tell what was valid from what is new"
    assert refreshed(universes, "macro") == FactsReport(0, 0), "the overlap brings nothing twice"


def test_the_next_run_reads_a_companys_facts_only_after_a_filing(universes: Path, server: VendorServer) -> None:
    facts = vendor.sec_facts_path(320193)
    assert refreshed(universes, "fundamentals") == FactsReport(2, 0)
    server.route(vendor.sec_filings_path(320193), vendor.sec_filings("2020-03-06"))
    assert refreshed(universes, "fundamentals") == FactsReport(0, 0)
    assert server.times_asked(facts) == 1
    server.route(vendor.sec_filings_path(320193), vendor.sec_filings("2020-03-06", TODAY))
    newest = [vendor.sec_filing("2019-12-31", 90.0, "2020-03-06"), vendor.sec_filing("2020-03-31", 95.0, TODAY)]
    server.route(facts, vendor.sec_facts({"Assets": {"USD": newest}}))
    assert refreshed(universes, "fundamentals") == FactsReport(1, 0)
    assert server.times_asked(facts) == 2


def test_another_request_or_a_quarter_of_a_year_asks_for_everything_again(
    universes: Path, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked_whole() -> bool:
        server.asked.clear()
        refreshed(universes, "macro")
        return any("realtime_start" not in one.query for one in server.asked)

    assert [asked_whole(), asked_whole()] == [True, False]
    path = universes / "tiny.yaml"
    path.write_text(path.read_text().replace("history_start: 2020-01-02", "history_start: 2019-01-02"))
    assert [asked_whole(), asked_whole()] == [True, False]
    monkeypatch.setattr("regime_assets.library.steps.facts.WHOLE_EVERY_DAYS", 0)
    assert asked_whole()


def test_a_series_that_fails_is_named_the_others_are_stored_and_the_next_run_asks_for_it(
    universes: Path, server: VendorServer
) -> None:
    path = universes / "tiny.yaml"
    path.write_text(path.read_text().replace("[PAYEMS]", "[GONE, PAYEMS]"))
    (result,) = materialize(universes, "macro", FRIDAY)
    assert not result.success
    (failure,) = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert failure is not None
    assert "failed for 1 of 2, the others are stored: GONE" in str(failure.to_string())
    universe = load_universe(path)
    assert universe.macro is not None
    known = known_facts(Workspace(universe, Home(universes.parent)), universe.macro, date(2020, 3, 6))
    assert known.latest["subject"].tolist() == ["PAYEMS"]
    vendor.prepare_fred(server, "GONE", [Vintage("2020-02-07", "2020-01-01", "7.0")])
    server.asked.clear()
    assert latest(materialize(universes, "macro", FRIDAY)[0])["subject"] == "GONE"
    whole = {one.query["series_id"] for one in server.asked if "realtime_start" not in one.query}
    assert whole == {"GONE"}


def test_a_source_that_dies_half_way_keeps_what_it_gave_and_the_next_run_goes_on(
    universes: Path, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regime_assets.library.steps.facts.SUBJECTS_AT_ONCE", 1)
    path = universes / "tiny.yaml"
    path.write_text(path.read_text().replace("[PAYEMS]", "[PAYEMS, UNRATE]"))
    server.route(vendor.FRED_VINTAGES_PATH, Answer("", status=503), query={"series_id": "UNRATE"})
    with pytest.raises(SourceError, match="down"):
        refreshed(universes, "macro")
    vendor.prepare_fred(server, "UNRATE", [Vintage("2020-02-07", "2020-01-01", "3.6")])
    assert refreshed(universes, "macro") == FactsReport(1, 0), "the first series is stored already"


def test_without_configuration_there_is_no_asset_of_facts(universes: Path) -> None:
    path = universes / "tiny.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("macro", "fundamentals"))]
    path.write_text("\n".join(lines))
    keys = build_definitions(Home(universes.parent), universes).resolve_asset_graph().materializable_asset_keys
    assert {key.path[-1] for key in keys}.isdisjoint({"macro", "fundamentals"})
    assert dg.AssetKey(["tiny", "corporate_actions"]) in keys


def test_corporate_actions_are_those_that_were_ex_and_known(universes: Path) -> None:
    rows, path = ["session,close,split,dividend"], universes / "tiny.yaml"
    path.write_text(path.read_text().replace("history_start: 2020-01-02", "history_start: 2017-10-02"))
    workspace = Workspace(load_universe(universes / "tiny.yaml"), Home(universes.parent))
    for session in workspace.calendar.sessions(date(2017, 10, 2), date(2020, 3, 10)):
        split = 4 if session == date(2020, 3, 6) else ""
        dividend = 0.5 if session == date(2020, 2, 7) else ""
        rows.append(f"{session},{100 + session.day % 3 if session < date(2020, 3, 6) else 25},{split},{dividend}")
    (universes.parent / "prices" / "AAPL.csv").write_text("\n".join(rows))
    assert all(result.success for result in materialize(universes, "raw_prices", FRIDAY))
    thursday, friday = (metadata(result) for result in materialize(universes, "corporate_actions", THURSDAY, FRIDAY))
    assert (thursday["dividends"].value, thursday["splits"].value) == (1, 0)
    assert (friday["dividends"].value, friday["splits"].value, friday["going_ex_on_the_session"].value) == (1, 1, 1)
