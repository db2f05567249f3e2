"""A project of one's own: what `regime-assets init` writes loads, and what it cannot use it refuses in words."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import date
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from tempfile import gettempdir

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from dagster.components.testing import create_defs_folder_sandbox

from regime_assets.cli import main
from regime_assets.definitions import universes_folder
from regime_assets.library.home import HOME_VARIABLE
from regime_assets.library.market.calendar import load_calendar
from regime_assets.library.universe import load_universe
from regime_assets.universe_component import UniverseComponent

NEW_YORK = load_calendar("XNYS", date(2019, 1, 2), Path(gettempdir()) / "regime_assets_test_calendars")
DAYS = [day.isoformat() for day in NEW_YORK.sessions(date(2019, 1, 2), date(2022, 12, 30))]


def price_files(
    folder: Path, symbols: str = "ABCDE", change: Callable[[pd.DataFrame], pd.DataFrame] | None = None
) -> Path:
    folder.mkdir()
    for number, symbol in enumerate(symbols):
        steps = np.random.default_rng(number).normal(0.0, 0.01, len(DAYS))
        rows = pd.DataFrame({"session": DAYS, "close": np.round(50.0 * np.exp(np.cumsum(steps)), 2)})
        (change(rows) if change else rows).to_csv(folder / f"{symbol}.csv", index=False)
    return folder


def test_a_new_project_has_a_universe_that_loads_and_dagster_finds_its_definitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "my_desk")]) == 0
    assert "first-run" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path / "my_desk")
    monkeypatch.delenv("REGIME_ASSETS_UNIVERSES", raising=False)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    assert universes_folder() == Path("universes")
    assert main(["check-universes"]) == 0
    assert "my_desk: 10 symbols from sample" in capsys.readouterr().out
    monkeypatch.syspath_prepend(str(tmp_path / "my_desk"))
    definitions: dg.Definitions = import_module("my_desk.definitions").defs
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert "my_desk/daily_signal" in keys
    project = tomllib.loads((tmp_path / "my_desk" / "pyproject.toml").read_text())
    assert project["tool"]["dg"]["project"]["code_location_target_module"] == "my_desk.definitions"
    assert (tmp_path / "my_desk" / "data" / "dagster" / "dagster.yaml").is_file()


def test_a_new_project_passes_the_lint_of_its_own_workflow(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "desk")]) == 0
    assert "ruff check" in (tmp_path / "desk" / ".github" / "workflows" / "ci.yml").read_text()
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
    ended = subprocess.run(command, cwd=tmp_path / "desk", capture_output=True, text=True)  # noqa: PLW1510
    assert ended.returncode == 0, ended.stdout


def test_own_price_files_become_a_universe_with_their_dates_and_columns(tmp_path: Path) -> None:
    prices = price_files(tmp_path / "prices")
    assert main(["init", str(tmp_path / "desk"), "--prices", str(prices)]) == 0
    universe = load_universe(tmp_path / "desk" / "universes" / "desk.yaml")
    assert universe.symbols == tuple("ABCDE")
    assert universe.source.options == {"folder": str(prices), "fields": ["close"]}
    assert (universe.history_start, universe.last_partition) == (date(2019, 1, 2), date(2022, 12, 30))
    assert universe.first_partition == date.fromisoformat(DAYS[599])


MISTAKES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "another name for the day": (
        lambda rows: rows.rename(columns={"session": "Date"}),
        "no column `session`, but Date",
    ),
    "day before month": (
        lambda rows: rows.assign(session=pd.to_datetime(rows["session"]).dt.strftime("%d/%m/%Y")),
        "write days as 2024-06-28",
    ),
    "no close": (lambda rows: rows.rename(columns={"close": "Price"}), "no column `close`, but session, Price"),
    "another exchange": (
        lambda rows: rows[~pd.to_datetime(rows["session"]).dt.day.isin([1, 15])],
        "the files and the calendar XNYS differ on",
    ),
    "a year of prices": (lambda rows: rows.tail(250), "a first fit needs 600"),
}


@pytest.mark.parametrize(("change", "words"), MISTAKES.values(), ids=MISTAKES)
def test_files_that_cannot_be_used_are_refused_in_words_and_nothing_is_written(
    change: Callable[[pd.DataFrame], pd.DataFrame], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = price_files(tmp_path / "prices", change=change)
    assert main(["init", str(tmp_path / "desk"), "--prices", str(prices)]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "desk").exists()


def test_a_calendar_that_does_not_fit_is_named_with_one_that_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = price_files(tmp_path / "prices")
    assert main(["init", str(tmp_path / "desk"), "--prices", str(prices), "--calendar", "XLON"]) == 1
    assert "try --calendar XNYS" in capsys.readouterr().err


def test_the_own_feature_of_a_new_project_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regime_assets.library.components import load_component
    from regime_assets.library.features.protocol import FeatureInputs, compute_feature

    assert main(["init", str(tmp_path / "own_desk")]) == 0
    monkeypatch.syspath_prepend(str(tmp_path / "own_desk"))
    component = load_component("features", "own_desk.features:half_year_stretch")
    days = pd.bdate_range("2020-01-01", periods=400)
    returns = pd.Series(np.random.default_rng(0).normal(0.0, 0.01, 400), index=days)
    settings = component.Settings()
    inputs = FeatureInputs(returns.to_frame("A"), returns, days[300:])
    whole = compute_feature(component, "stretch", inputs, settings)
    assert list(whole.columns) == ["half_year_stretch"]
    spoiled = returns.where(returns.index <= days[350], 0.5)
    again = compute_feature(component, "stretch", FeatureInputs(spoiled.to_frame("A"), spoiled, days[300:]), settings)
    pd.testing.assert_frame_equal(whole[: days[350]], again[: days[350]])


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "mine.txt").write_text("mine")
    assert main(["init", str(tmp_path / "desk")]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "desk").iterdir()] == ["mine.txt"]
    assert main(["init", str(tmp_path / "My Desk")]) == 1
    assert "small letters, digits and _" in capsys.readouterr().err


def test_a_scaffolded_component_is_one_universe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(UniverseComponent, defs_path="crypto")
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, definitions):
            assert isinstance(component, UniverseComponent)
            keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
            assert "crypto/daily_signal" in keys


def test_a_live_universe_goes_stale_after_the_longest_break_and_a_finished_one_never(tmp_path: Path) -> None:
    from regime_assets.definitions import SHIPPED_UNIVERSES, build_definitions
    from regime_assets.library.home import Home

    text = (SHIPPED_UNIVERSES / "us_large_cap.yaml").read_text()
    (tmp_path / "ended.yaml").write_text(text.replace("name: us_large_cap", "name: ended"))
    running = text.replace("name: us_large_cap", "name: running").replace("last_partition: 2022-12-28", "")
    (tmp_path / "running.yaml").write_text(running)
    graph = build_definitions(Home(tmp_path / "home"), tmp_path).resolve_asset_graph()
    policies = {name: graph.get(dg.AssetKey([name, "daily_signal"])).freshness_policy for name in ("ended", "running")}
    assert policies["ended"] is None
    assert isinstance(policies["running"], dg.FreshnessPolicy)


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    root = Path(__file__).parent.parent
    declared = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "regime_assets"
    ]
    package = root / "regime_assets"
    others = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and ".ruff_cache" not in path.parts
    ]
    assert [
        path for path in others if not any(fnmatch(path, pattern.replace("**/", "*")) for pattern in declared)
    ] == []
