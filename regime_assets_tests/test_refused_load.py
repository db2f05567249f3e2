"""A load that is refused: the rule that it broke is red with its findings, and no other check claims to have failed."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from regime_assets.checks import BAR_RULES
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets_tests.chain_run import materialize, opened

KEY = dg.AssetKey(["tiny", "raw_prices"])
SYMBOLS = ["AAPL", "JPM", "KO", "XOM"]
SESSION = date(2018, 12, 18)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    root = tmp_path_factory.mktemp("refused")
    home, universes, bars = Home(root / "home"), root / "universes", root / "bars"
    universes.mkdir()
    bars.mkdir()
    fetched = SampleSource().fetch([*SYMBOLS, "SP500"], date(2016, 1, 4), SESSION)
    for symbol, of_symbol in fetched.bars.groupby("symbol"):
        kept = of_symbol if symbol != "SP500" else of_symbol[of_symbol["session"] != pd.Timestamp(2018, 12, 17)]
        kept[["session", "close"]].to_csv(bars / f"{symbol}.csv", index=False)
    (universes / "tiny.yaml").write_text(
        f"name: tiny\nsource: {{kind: files, options: {{folder: {bars}, fields: [close]}}}}\n"
        "history_start: 2016-01-04\nfirst_partition: 2018-06-01\nlast_partition: 2018-12-31\n"
        f"symbols: [{', '.join(SYMBOLS)}]\ntraded: [SP500]\n"
    )
    for _ in range(2):  # the second time as the first: it is asked for again until the source is in order
        result = materialize(home, universes, "tiny_daily", SESSION.isoformat(), ["tiny/raw_prices"])
        (failed,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        assert failed.error is not None
        assert "was refused" in failed.error.message
    with opened(home) as instance:
        yield instance


def shown(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    """The newest evaluation of each check, as the UI shows it."""
    keys = [dg.AssetCheckKey(KEY, name) for name in BAR_RULES]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    found = {key.name: record.event for key, record in records.items()}
    assert all(event is not None and event.asset_check_evaluation is not None for event in found.values())
    return {name: event.asset_check_evaluation for name, event in found.items()}  # pyright: ignore


def test_the_broken_rule_is_red_with_its_findings(refused: dg.DagsterInstance) -> None:
    broken = shown(refused)["complete"]
    assert not broken.passed
    assert broken.severity == dg.AssetCheckSeverity.ERROR
    assert broken.partition == SESSION.isoformat()
    assert "SP500" in str(broken.description)
    (record,) = broken.metadata["findings"].records
    assert record.data["symbol"] == "SP500"
    assert record.data["session"] == "2018-12-17", "a day without a time of day"


def test_no_other_check_claims_to_have_failed(refused: dg.DagsterInstance) -> None:
    assert {name for name, check in shown(refused).items() if not check.passed} == {"complete"}


def test_a_session_that_no_window_reaches_back_from_fails_before_anything_is_fetched(tmp_path: Path) -> None:
    universes = tmp_path / "universes"
    universes.mkdir()
    (universes / "tiny.yaml").write_text(
        f"name: tiny\nsource: {{kind: files, options: {{folder: {tmp_path}}}}}\nhistory_start: 2017-01-03\n"
        "first_partition: 2018-01-02\nlast_partition: 2018-12-31\nsymbols: [AAPL, JPM, KO]\n"
    )
    home = Home(tmp_path / "home")
    result = materialize(home, universes, "tiny_daily", "2018-01-02", ["tiny/raw_prices"])
    (failed,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failed.error is not None
    assert "tiny.yaml:4: first_partition: 2018-01-02 is too early to be fitted" in failed.error.message
    assert "the first possible one is 2019-03-" in failed.error.message
    assert "check tiny --fix" in failed.error.message
