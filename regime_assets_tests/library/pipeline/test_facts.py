"""The assets of facts and of corporate actions, with the real clients against servers on this machine."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.definitions import build_definitions
from regime_assets.library.chain import Chain
from regime_assets.library.home import Home
from regime_assets.library.pipeline.facts import known_facts
from regime_assets.library.universe import load_universe
from regime_assets_tests.chain_run import QUIET
from regime_assets_tests.library.market import vendor_formats as vendor
from regime_assets_tests.library.market.vendor_formats import Vintage
from regime_assets_tests.library.market.vendor_server import VendorServer, running_server

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


def test_a_series_that_the_source_does_not_know_fails_the_asset_by_name_and_stores_nothing(universes: Path) -> None:
    path = universes / "tiny.yaml"
    path.write_text(path.read_text().replace("[PAYEMS]", "[PAYEMS, GONE]"))
    (result,) = materialize(universes, "macro", FRIDAY)
    assert not result.success
    (failure,) = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert failure is not None
    assert "GONE" in str(failure.to_string())
    universe = load_universe(path)
    assert universe.macro is not None
    assert known_facts(Chain(universe, Home(universes.parent)), universe.macro, date(2020, 3, 6)).latest.empty


def test_without_configuration_there_is_no_asset_of_facts(universes: Path) -> None:
    path = universes / "tiny.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("macro", "fundamentals"))]
    path.write_text("\n".join(lines))
    keys = build_definitions(Home(universes.parent), universes).resolve_asset_graph().materializable_asset_keys
    assert {key.path[-1] for key in keys}.isdisjoint({"macro", "fundamentals"})
    assert dg.AssetKey(["tiny", "corporate_actions"]) in keys


def test_corporate_actions_are_those_that_were_ex_and_known(universes: Path) -> None:
    rows = ["session,close,split,dividend"]
    chain = Chain(load_universe(universes / "tiny.yaml"), Home(universes.parent))
    for session in chain.calendar.sessions(date(2020, 1, 2), date(2020, 3, 10)):
        split = 4 if session == date(2020, 3, 6) else ""
        dividend = 0.5 if session == date(2020, 2, 7) else ""
        rows.append(f"{session},{100 + session.day % 3 if session < date(2020, 3, 6) else 25},{split},{dividend}")
    (universes.parent / "prices" / "AAPL.csv").write_text("\n".join(rows))
    assert all(result.success for result in materialize(universes, "raw_prices", FRIDAY))
    thursday, friday = (metadata(result) for result in materialize(universes, "corporate_actions", THURSDAY, FRIDAY))
    assert (thursday["dividends"].value, thursday["splits"].value) == (1, 0)
    assert (friday["dividends"].value, friday["splits"].value, friday["going_ex_on_the_session"].value) == (1, 1, 1)
