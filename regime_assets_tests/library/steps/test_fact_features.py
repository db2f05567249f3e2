"""A universe may name macro series and company facts as features: they stand behind those of the prices."""

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.definitions import build_definitions
from regime_assets.library.home import Home
from regime_assets.library.market.fact_features import FactFeatureError
from regime_assets.library.market.fact_store import FactsStore
from regime_assets.library.market.sources.base import FetchedFacts
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import WINDOWS_TABLE, Workspace

UNIVERSE = """\
name: {name}
source: {{kind: sample}}
history_start: 2015-01-02
first_partition: 2018-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
{facts}
"""
FACTS = """\
macro: {kind: fred, series: [UNRATE, DGS10], features: [UNRATE]}
fundamentals: {kind: sec, symbols: [AAPL, JPM], features: ["us-gaap:Assets USD"]}
"""
NAMES = ["macro_UNRATE", "fundamentals_us_gaap_Assets_USD"]
SESSION = date(2018, 6, 29)


def opened(folder: Path, name: str, facts: str) -> Workspace:
    (folder / f"{name}.yaml").write_text(UNIVERSE.format(name=name, facts=facts))
    workspace = Workspace(load_universe(folder / f"{name}.yaml"), Home(folder / "home"))
    fetched = SampleSource().fetch(workspace.universe.instruments, date(2015, 1, 2), SESSION)
    workspace.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), workspace.calendar)
    return workspace


def publish(workspace: Workspace, source: str, *rows: tuple[str, str, str, float, str]) -> None:
    """Facts as (subject, fact, period, value, day of publication)."""
    facts = pd.DataFrame(list(rows), columns=["subject", "fact", "period", "value", "known_at"])
    facts["known_at"] = pd.to_datetime(facts["known_at"]).dt.tz_localize("America/New_York") + pd.Timedelta(hours=23)
    at = datetime(2015, 1, 1, tzinfo=UTC)
    FactsStore(workspace.database, workspace.universe.name, source).ingest(FetchedFacts(facts, {}), at, at)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = opened(tmp_path, "facts", FACTS)
    publish(
        made,
        "fred",
        ("UNRATE", "level", "2014-11-01", 5.8, "2014-12-05"),
        ("UNRATE", "level", "2018-04-01", 3.9, "2018-05-04"),
    )
    assets = "us-gaap:Assets USD"
    publish(
        made,
        "sec",
        ("AAPL", assets, "2014-09-27", 230.0, "2014-10-27"),
        ("JPM", assets, "2014-09-30", 2500.0, "2014-11-03"),
        ("JPM", assets, "2018-03-31", 2600.0, "2018-05-02"),
    )
    return made


def test_facts_stand_behind_the_features_of_the_prices_and_change_no_bit_of_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    plain = opened(tmp_path, "plain", "")
    with_facts, without = (one.history("long", SESSION) for one in (workspace, plain))
    assert list(with_facts.features.columns) == [*without.features.columns, *NAMES]
    assert with_facts.features[without.features.columns].equals(without.features)
    assert with_facts.data_hash != without.data_hash
    assert without.data_hash == plain.read_window("long", SESSION).data_hash
    around = with_facts.features.loc["2018-05-01":"2018-05-04", NAMES]
    assert around["macro_UNRATE"].tolist() == [5.8, 5.8, 5.8, 3.9]
    assert around[NAMES[1]].tolist() == [1365.0, 1415.0, 1415.0, 1415.0]


def test_a_later_revision_changes_no_earlier_row(workspace: Workspace) -> None:
    before = workspace.history("long", SESSION).features
    publish(workspace, "fred", ("UNRATE", "level", "2018-04-01", 4.4, "2018-06-01"))
    after = workspace.history("long", SESSION).features
    changed = (before != after).any(axis=1)
    assert changed.idxmax() == pd.Timestamp("2018-06-01")
    earlier = workspace.history("long", date(2018, 5, 31)).features
    assert earlier.equals(after.loc[earlier.index])


def test_a_fact_that_is_not_known_from_the_start_is_named(tmp_path: Path) -> None:
    workspace = opened(tmp_path, "facts", FACTS)
    publish(workspace, "fred", ("UNRATE", "level", "2018-04-01", 3.9, "2018-05-04"))
    with pytest.raises(FactFeatureError, match="facts: UNRATE level from fred: first known on 2018-05-05 03:00 UTC"):
        workspace.history("long", SESSION)


def test_the_stored_window_keeps_the_order_whatever_another_universe_stored_before(workspace: Workspace) -> None:
    training = workspace.featured(workspace.read_window("short", SESSION))
    other = training.features[[*NAMES[::-1], *training.features.columns[:-2]]]
    for key, features in (
        ({"universe": "other", "horizon": "short", "as_of": SESSION}, other),
        (
            workspace.key("short", SESSION),
            training.features,
        ),
    ):
        rows = features.add_prefix("feature:").rename_axis("session").reset_index()
        rows["return:SP500"], rows["sample_weight"], rows["data_hash"] = 0.0, 1.0, "hash"
        workspace.database.replace_partition(WINDOWS_TABLE, key, rows)
    assert list(workspace.training_set("short", SESSION).features.columns[-2:]) == NAMES


def test_the_windows_wait_for_the_facts_that_they_read(tmp_path: Path) -> None:
    (tmp_path / "facts.yaml").write_text(UNIVERSE.format(name="facts", facts=FACTS.replace("features: [UNRATE]", "")))
    graph = build_definitions(Home(tmp_path), tmp_path).resolve_asset_graph()
    for horizon in ("short", "long"):
        (window,) = [key for key in graph.get_all_asset_keys() if key.path == ["facts", horizon, "validated_window"]]
        parents = {key.path[-1] for key in graph.get(window).parent_keys}
        assert parents == {"raw_prices", "fundamentals"}
