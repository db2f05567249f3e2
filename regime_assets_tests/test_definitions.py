"""What the code location offers, and what loading it costs."""

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import PartitionLoadingContext
from dagster._core.definitions.temporal_context import TemporalContext

from regime_assets.checks import BAR_RULES, DRIFT_RULES, MODEL_RULES, WINDOW_RULES
from regime_assets.definitions import SHIPPED_UNIVERSES, build_definitions
from regime_assets.library.home import Home
from regime_assets.library.universe.design_section import TAKEN

EXAMPLES = Path(__file__).parent.parent / "docs" / "universes"
CHAIN = ["validated_window", "vae", "latents", "gmm", "rl_policy", "backtest_report", "promotion"]
HEAVY = ("torch", "mlflow", "evidently", "stable_baselines3", "sklearn", "yfinance", "pandas", "exchange_calendars")


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(Home(tmp_path_factory.mktemp("home")), SHIPPED_UNIVERSES)


def test_every_universe_is_a_chain_of_two_lanes(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for horizon in ("short", "long"):
        upstream = dg.AssetKey(["us_large_cap", "raw_prices"])
        for name in CHAIN:
            key = dg.AssetKey(["us_large_cap", horizon, name])
            assert upstream in graph.get(key).parent_keys, f"{key} does not follow {upstream}"
            upstream = key
        champion = dg.AssetKey(["us_large_cap", horizon, "champion"])
        assert graph.get(champion).parent_keys == {upstream}
        assert not graph.get(champion).is_materializable, "it is the registry's answer"
        for reader in (["us_large_cap", "daily_signal"], ["us_large_cap", horizon, "drift_report"]):
            assert champion in graph.get(dg.AssetKey(reader)).parent_keys


def test_actions_follow_the_prices_and_facts_are_there_when_they_are_asked_for(
    definitions: dg.Definitions, tmp_path: Path
) -> None:
    graph = definitions.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["us_large_cap", "corporate_actions"])).parent_keys == {
        dg.AssetKey(["us_large_cap", "raw_prices"])
    }
    shipped = (SHIPPED_UNIVERSES / "us_large_cap.yaml").read_text()
    (tmp_path / "us_large_cap.yaml").write_text(
        f"{shipped}macro: {{kind: fred, series: [UNRATE]}}\nfundamentals: {{kind: sec}}\n"
        "stream: {folder: incoming, kafka: {bootstrap_servers: 'broker:9092', topic: bars}}\n"
    )
    asking = build_definitions(Home(tmp_path), tmp_path)
    added = asking.resolve_asset_graph().materializable_asset_keys - graph.materializable_asset_keys
    assert {key.path[-1] for key in added} == {"macro", "fundamentals"}
    for arrival in ("stream", "kafka"):
        assert asking.resolve_sensor_def(f"us_large_cap_{arrival}_sensor").job_name == f"us_large_cap_{arrival}"


def test_a_universe_that_does_not_load_shows_why_and_the_others_work(tmp_path: Path) -> None:
    shipped = (SHIPPED_UNIVERSES / "us_large_cap.yaml").read_text()
    (tmp_path / "us_large_cap.yaml").write_text(shipped)
    (tmp_path / "typing.yaml").write_text(shipped.replace("symbols:", "symbls:"))
    other = shipped.replace("name: us_large_cap", "name: shanghai")
    (tmp_path / "shanghai.yaml").write_text(other.replace("calendar: XNYS", "calendar: XSGH"))
    both = build_definitions(Home(tmp_path), tmp_path)
    graph = both.resolve_asset_graph()
    assert dg.AssetKey(["us_large_cap", "daily_signal"]) in graph.materializable_asset_keys
    for name, words in (("typing", "symbls"), ("shanghai", "did you mean XSHG")):
        broken = dg.AssetKey([name, "universe_file"])
        assert words in (graph.get(broken).description or "")
        assert {key for key in graph.materializable_asset_keys if key.path[0] == name} == {broken}


def test_every_asset_says_what_it_is_and_who_owns_it(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.description, key
        assert node.owners == ["team:quant"], key
        assert node.kinds, key


def test_groups_follow_each_other_and_no_arrow_leads_back(definitions: dg.Definitions) -> None:
    from graphlib import TopologicalSorter

    graph = definitions.resolve_asset_graph()
    before: dict[str, set[str]] = {}
    for key in graph.materializable_asset_keys:
        group = str(graph.get(key).group_name)
        parents = {str(graph.get(parent).group_name) for parent in graph.get(key).parent_keys}
        before.setdefault(group, set()).update(parents - {group})
    order = [group.removeprefix("us_large_cap_") for group in TopologicalSorter(before).static_order()]
    assert order[0] == "market"
    assert set(order[1:3]) == {"short", "long"}
    assert order[3:] == ["signal", "monitoring"]


def test_a_sensor_is_shown_with_the_jobs_that_it_starts(definitions: dg.Definitions) -> None:
    started = {job.name for job in definitions.resolve_sensor_def("decision_sensor").jobs}
    assert started == {"us_large_cap_daily", "us_large_cap_roll_back"}


def test_partitions_are_the_sessions_of_the_exchange(definitions: dg.Definitions) -> None:
    partitions = definitions.resolve_asset_graph().get(dg.AssetKey(["us_large_cap", "raw_prices"])).partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys()
    assert keys[-1] == "2022-12-28"
    assert "2022-12-26" not in keys, "the Monday after Christmas was a holiday"
    assert "2022-12-24" not in keys, "a Saturday"
    assert "2012-10-29" not in keys, "the exchange was closed for a hurricane"
    assert len([key for key in keys if key.startswith("2019")]) == 252


def test_the_newest_partitions_that_the_ui_asks_for_are_the_newest_with_data(definitions: dg.Definitions) -> None:
    partitions = definitions.resolve_asset_graph().get(dg.AssetKey(["us_large_cap", "raw_prices"])).partitions_def
    assert partitions is not None
    now = TemporalContext(effective_dt=datetime.now(UTC), last_event_id=None)
    context = PartitionLoadingContext(temporal_context=now, dynamic_partitions_store=None)
    newest = partitions.get_paginated_partition_keys(context, limit=120, ascending=False)
    assert list(newest.results) == partitions.get_partition_keys()[:-121:-1]
    before = partitions.get_paginated_partition_keys(context, limit=2, ascending=False, cursor=newest.cursor)
    assert list(before.results[:2]) == partitions.get_partition_keys()[-121:-123:-1]


def test_backfills_run_in_chunks_on_the_whole_chain_and_a_walk_forward_in_one_run(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        whole_range = key.path[-1] == "walk_forward"
        expected = dg.BackfillPolicy.single_run() if whole_range else dg.BackfillPolicy.multi_run(21)
        assert graph.get(key).backfill_policy == expected, key


def test_the_daily_job_holds_the_whole_universe_but_its_walk_forwards(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    daily = definitions.resolve_job_def("us_large_cap_daily").asset_layer.executable_asset_keys
    assert {key.path[-1] for key in graph.materializable_asset_keys - daily} == {"walk_forward"}


def test_checks_block_where_bad_data_must_go_no_further(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = {(key.asset_key.path[-1], key.name) for key in graph.asset_check_keys if graph.get(key).blocking}
    assert {("raw_prices", rule) for rule in ("finite", "unique", "ordered", "complete")} <= blocking
    assert {("validated_window", rule) for rule in ("finite", "unique", "complete")} <= blocking
    assert {asset for asset, _ in blocking} == {"raw_prices", "validated_window"}, "a refused model goes no further"
    assert ("raw_prices", "outlier") not in blocking
    shared = len(WINDOW_RULES) + len(DRIFT_RULES)
    expected = len(BAR_RULES) + 2 * (shared + sum(len(rules) for rules in MODEL_RULES.values()))
    assert len(list(graph.asset_check_keys)) == expected


def test_each_challenger_is_a_lane_with_keys_a_group_and_checks_of_its_own(
    definitions: dg.Definitions, tmp_path: Path
) -> None:
    shipped = (SHIPPED_UNIVERSES / "us_large_cap.yaml").read_text()
    (tmp_path / "us_large_cap.yaml").write_text(f"{shipped}challengers: {{four: {{encoder: {{n_latents: 4}}}}}}\n")
    alone = definitions.resolve_asset_graph()
    graph = build_definitions(Home(tmp_path), tmp_path).resolve_asset_graph()
    added = graph.materializable_asset_keys - alone.materializable_asset_keys
    assert {tuple(key.path[2:]) for key in added} == {("four", name) for name in CHAIN[1:]}
    assert {graph.get(key).group_name for key in added} == {"us_large_cap_short_four", "us_large_cap_long_four"}
    for horizon in ("short", "long"):
        first = dg.AssetKey(["us_large_cap", horizon, "four", "vae"])
        assert graph.get(first).parent_keys == {dg.AssetKey(["us_large_cap", horizon, "validated_window"])}
        last = dg.AssetKey(["us_large_cap", horizon, "four", "promotion"])
        assert last in graph.get(dg.AssetKey(["us_large_cap", horizon, "champion"])).parent_keys
    checks = [key for key in graph.asset_check_keys if "four" in key.asset_key.path]
    assert len(checks) == 2 * sum(len(rules) for rules in MODEL_RULES.values())
    assert not any(graph.get(key).blocking for key in checks), "a challenger stops nothing"


def test_no_challenger_can_take_the_name_of_an_asset_or_a_horizon(definitions: dg.Definitions) -> None:
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert {part for key in keys for part in key.path[1:]} <= TAKEN


def test_a_universe_added_as_a_file_adds_its_own_chain(tmp_path: Path) -> None:
    (tmp_path / "crypto.yaml").write_text(
        "name: crypto\nsource: {kind: yahoo}\ncalendar: 24/7\nhistory_start: 2018-01-01\n"
        "first_partition: 2021-01-01\nlast_partition: 2021-12-31\nsymbols: [BTC-USD, ETH-USD, SOL-USD]\n"
        "sessions_per_year: 365\n"
    )
    (tmp_path / "london.yaml").write_text(
        "name: london\nsource: {kind: files, options: {folder: bars}}\ncalendar: XLON\nhistory_start: 2015-01-02\n"
        "first_partition: 2018-01-02\nlast_partition: 2018-12-31\nsymbols: [VOD.L]\n"
    )
    graph = build_definitions(Home(tmp_path), tmp_path).resolve_asset_graph()
    crypto = graph.get(dg.AssetKey(["crypto", "raw_prices"])).partitions_def
    london = graph.get(dg.AssetKey(["london", "raw_prices"])).partitions_def
    assert crypto is not None
    assert london is not None
    assert len(crypto.get_partition_keys()) == 365
    assert "2018-08-27" not in london.get_partition_keys(), "the summer bank holiday"


UNIVERSES = [SHIPPED_UNIVERSES / "us_large_cap.yaml", *sorted(EXAMPLES.glob("*.yaml"))]


@pytest.mark.parametrize("path", UNIVERSES, ids=[path.stem for path in UNIVERSES])
def test_partitions_follow_the_calendar_of_sessions_exactly(tmp_path: Path, path: Path) -> None:
    from regime_assets.library.market.calendar import load_calendar
    from regime_assets.library.universe import load_universe
    from regime_assets.partitions import session_partitions

    universe = load_universe(path)
    exchange = load_calendar(universe.calendar, universe.history_start, tmp_path, today=date(2026, 6, 1))
    calendar = exchange.with_exceptions(universe.opened, universe.closed)
    now = datetime(2026, 6, 1)
    keys = session_partitions(universe, calendar, now).get_partition_keys(current_time=now)
    sessions = calendar.sessions(universe.first_partition, universe.last_partition or date(2026, 5, 31))
    assert keys == [session.isoformat() for session in sessions]


def test_the_examples_are_chains_beside_each_other(tmp_path: Path) -> None:
    graph = build_definitions(Home(tmp_path), EXAMPLES).resolve_asset_graph()
    for name in ("crypto", "hong_kong", "london"):
        for horizon in ("short", "long"):
            assert graph.get(dg.AssetKey([name, horizon, "promotion"])).partitions_def is not None


def test_loading_the_definitions_imports_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\nimport regime_assets.definitions as d\nd.defs.resolve_asset_graph()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    environment = {"PATH": "/usr/bin:/bin", "REGIME_ASSETS_HOME": str(tmp_path)}
    outputs = [
        subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert outputs[1].stdout.strip() == "[]", "with its calendar cached, the code location stays lean"
