"""An older data folder is brought forward with a backup, a newer one is refused, and an impossible one is named."""

import json
import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from regime_assets.library import tables
from regime_assets.library.clock import clock
from regime_assets.library.database import SCHEMA_VERSION, DatabaseError
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.evaluation.trials import TrialLedger, TrialStatistics
from regime_assets.library.home import Home
from regime_assets.library.production.deployments import DeploymentLog
from regime_assets.library.upkeep import data_format
from regime_assets.library.upkeep.data_format import FORMAT, DataFolderError, open_data_folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def test_a_new_folder_is_stamped_with_the_present_format(home: Home) -> None:
    open_data_folder(home)
    assert json.loads((home.root / "format.json").read_text()) == {"format": FORMAT}


def test_a_newer_folder_is_refused_and_left_alone(home: Home) -> None:
    home.root.mkdir()
    (home.root / "format.json").write_text('{"format": 99}')
    with pytest.raises(DataFolderError, match=r"format 99, this version of regime_assets knows .*restore a backup"):
        open_data_folder(home)
    assert (home.root / "format.json").read_text() == '{"format": 99}'


def test_a_damaged_format_file_is_named_with_its_remedy(home: Home) -> None:
    home.root.mkdir()
    (home.root / "format.json").write_text("{")
    with pytest.raises(DataFolderError, match=r"format\.json: damaged; .*doctor"):
        open_data_folder(home)


@pytest.mark.parametrize("root", ["/proc/data", "/dev/null/data"])
def test_an_impossible_folder_is_one_sentence(root: str) -> None:
    with pytest.raises(DataFolderError, match=f"{root}: not usable as the data folder: .*REGIME_ASSETS_HOME"):
        open_data_folder(Home(Path(root)))


def test_tables_of_a_newer_version_are_refused(home: Home) -> None:
    DatabaseFile(home.database("u")).query("SELECT 1")
    with duckdb.connect(str(home.database("u"))) as other:
        other.execute(f"UPDATE schema_version SET version = {SCHEMA_VERSION + 1}")
    with pytest.raises(DatabaseError, match=rf"u\.duckdb: its tables have version {SCHEMA_VERSION + 1}"):
        DatabaseFile(home.database("u")).query("SELECT 1")


@pytest.fixture
def shared_file(home: Home) -> Home:
    """A folder of format 1: one file, in which universes shared tables and even columns that differ by case only."""
    home.root.mkdir()
    with duckdb.connect(str(home.root / "regime_assets.duckdb")) as old:
        old.execute("CREATE TABLE bars (universe VARCHAR, day INTEGER, PRIMARY KEY (universe, day))")
        old.execute("INSERT INTO bars VALUES ('coins', 1), ('coins', 2), ('stocks', 1)")
        old.execute("CREATE TABLE figures (universe VARCHAR, sharpe DOUBLE)")
        old.execute("INSERT INTO figures VALUES ('stocks', 0.5)")
    return home


def test_universes_of_a_shared_file_get_a_file_each_with_its_keys(shared_file: Home) -> None:
    open_data_folder(shared_file)
    coins, stocks = (DatabaseFile(shared_file.database(name)) for name in ("coins", "stocks"))
    assert list(coins.query("SELECT day FROM bars ORDER BY day")["day"]) == [1, 2]
    assert coins.query("SELECT * FROM figures").empty
    assert list(stocks.query("SELECT sharpe FROM figures")["sharpe"]) == [0.5]
    with pytest.raises(duckdb.ConstraintException):
        coins.query("INSERT INTO bars VALUES ('coins', 1)")
    assert not (shared_file.root / "regime_assets.duckdb").exists()
    kept = shared_file.root / "backups" / "before-format-2" / "regime_assets.duckdb"
    assert DatabaseFile(kept).query("SELECT count(*) AS n FROM bars")["n"][0] == 3


def test_a_killed_migration_begins_anew(shared_file: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            open_data_folder(shared_file)
    assert (shared_file.root / "regime_assets.duckdb").exists()
    open_data_folder(shared_file)
    assert len(DatabaseFile(shared_file.database("coins")).query("SELECT * FROM bars")) == 2


def test_trials_of_all_universes_move_to_one_ledger_and_decisions_get_their_design(home: Home) -> None:
    home.root.mkdir()
    (home.root / "format.json").write_text('{"format": 2}')
    for universe, design in (("coins", "a"), ("stocks", "b")):
        database = DatabaseFile(home.database(universe))
        with database.transaction() as connection:
            connection.execute(
                "CREATE TABLE trials (universe VARCHAR, horizon VARCHAR, session DATE, design VARCHAR, sharpe DOUBLE, "
                "n_sessions INTEGER)"
            )
            connection.execute("INSERT INTO trials VALUES (?, 'long', '2020-01-06', ?, 0.5, 504)", [universe, design])
            connection.execute("CREATE TABLE decisions (universe VARCHAR, horizon VARCHAR, as_of DATE, session DATE)")
            connection.execute("INSERT INTO decisions VALUES (?, 'long', '2020-01-06', '2020-01-03')", [universe])
    open_data_folder(home)
    ledger = TrialLedger(DatabaseFile(home.ledger))
    assert ledger.statistics("stocks", []) == TrialStatistics(1, 0.0, 1)
    assert ledger.declared("stocks", "long", "b") == clock.today(), "the latest that it can have been"
    stocks = DatabaseFile(home.database("stocks"))
    assert list(stocks.query("SELECT design FROM decisions")["design"]) == ["b"]
    assert not stocks.has_table("trials")


def test_answers_for_one_session_keep_the_order_in_which_they_were_given(home: Home) -> None:
    home.root.mkdir()
    (home.root / "format.json").write_text('{"format": 4}')
    database = DatabaseFile(home.database("stocks"))
    with database.transaction() as connection:
        connection.execute(tables.DEPLOYMENTS.ddl.replace(', "number" BIGINT NOT NULL', ""))
        for version in (7, 3, 5):
            connection.execute(
                "INSERT INTO deployments VALUES ('stocks', 'long', '2020-01-06', ?, 'b', 'i', '{}', 'calm', '{}', 1.0, "
                "'{}', '[]', 0.0, '2020-01-06 22:00:00', 'champion')",
                [version],
            )
    open_data_folder(home)
    answers = DeploymentLog(database).answers("stocks", "long", date(2020, 1, 6))
    assert [one.model_version for one in answers] == [7, 3, 5]
    assert (home.root / "backups" / "before-format-5" / "stocks.duckdb").exists()
    later = replace(answers[0], decided_at=answers[0].decided_at + timedelta(hours=1))
    assert DeploymentLog(database).record(later)
    assert database.query("SELECT max(number) AS n FROM deployments")["n"].item() == 4


def test_two_universes_may_spell_a_symbol_differently(home: Home) -> None:
    for universe, symbol in (("a", "BTC-USD"), ("b", "btc-usd")):
        frame = pd.DataFrame({f"return {symbol}": [1.0]})
        database = DatabaseFile(home.database(universe))
        database.replace_partition("validated_window", {"universe": universe}, frame)
        assert list(database.read_partition("validated_window", {"universe": universe})) == [f"return {symbol}"]


@pytest.fixture(autouse=True)
def every_folder_is_new() -> None:
    data_format._opened.cache_clear()
