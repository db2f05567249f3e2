"""A data folder moves into shared tables and storage, whole and verified, and back again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import psycopg
import pytest

from regime_assets.cli import main
from regime_assets.library.artifact import Parts, read_artifact, read_newest, write_artifact, write_newest
from regime_assets.library.database import DatabaseError
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.open_database import ledger_database, universe_database
from regime_assets.library.production.bundle import save_bundle
from regime_assets.library.production.registry import Registry
from regime_assets.library.production.registry_store import RegistryStore
from regime_assets.library.shared_files import read_file, write_file
from regime_assets.library.shared_storage import CATALOG_VARIABLE, STORAGE_VARIABLE, SharedStorage
from regime_assets.library.upkeep import data_format
from regime_assets.library.upkeep.data_format import DataFolderError, open_data_folder
from regime_assets.library.upkeep.file_copies import FileCopyError
from regime_assets.library.upkeep.filled_deployment import UnfinishedDeploymentError
from regime_assets.library.upkeep.sharing import Copied, SharingError, bring_back, share
from regime_assets.library.upkeep.table_copies import fill_file
from regime_assets_tests.library.production.bundles import SESSION, stored_only_bundle
from regime_assets_tests.postgres_server import PostgresServer

MODEL = "us.short"
DAY = {"universe": "us", "as_of": date(2022, 3, 1)}
UNORDERED = np.random.default_rng(0).permutation(3000)


@dataclass(frozen=True)
class Desk:
    """A data folder with something of every kind, and the deployment that it may be shared with.

    Attributes:
        home: the folder.
        shared: the deployment.
        vae: hash of a fitted model that a table records.
        patch: what stands behind `monkeypatch`.
    """

    home: Home
    shared: SharedStorage
    vae: str
    patch: pytest.MonkeyPatch

    def on(self, machine: Path) -> Home:
        """From now on this process is a machine of the deployment with that data folder."""
        self.patch.setenv(CATALOG_VARIABLE, self.shared.catalog)
        self.patch.setenv(STORAGE_VARIABLE, self.shared.storage)
        self.patch.setenv(HOME_VARIABLE, str(machine))
        return Home.from_environment()

    def alone(self, folder: Path) -> Home:
        """From now on this process is on a machine of its own."""
        self.patch.delenv(CATALOG_VARIABLE, raising=False)
        self.patch.delenv(STORAGE_VARIABLE, raising=False)
        self.patch.setenv(HOME_VARIABLE, str(folder))
        return Home.from_environment()

    def share(self, said: object = None) -> Copied | None:
        return share(self.on(self.home.root), self.shared, said if callable(said) else lambda _: None)


@pytest.fixture(scope="module")
def filled_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Tables, a model, thresholds and a report; and the hash of the model."""
    home = Home(tmp_path_factory.mktemp("desk") / "data")
    open_data_folder(home)
    database = DatabaseFile(home.database("us"))
    database.replace_partition("wide", DAY, pd.DataFrame({"value": UNORDERED, "note": ["a", None, "c"] * 1000}))
    database.replace_partition("wide", {**DAY, "as_of": date(2022, 2, 28)}, pd.DataFrame({"value": [1.5]}))
    folder = home.model("us", "short", "d" * 64, "vae", SESSION)
    sha256 = write_artifact(folder, Parts({"w": np.arange(3.0)}, {"kind": "vae"}))
    database.replace_partition("models", DAY, pd.DataFrame({"kind": ["vae"], "sha256": [sha256]}))
    DatabaseFile(home.ledger).replace_partition("trials", {"universe": "us"}, pd.DataFrame({"sharpe": [0.5]}))
    write_newest(home.drift_thresholds("us", SESSION, "rules"), Parts({"t": np.array([2.0])}, {}))
    write_file(home.report("us", "short", "backtest", SESSION), b"<html>report</html>")
    return home.root, sha256


@pytest.fixture(scope="module")
def registered_folder(filled_folder: tuple[Path, str]) -> Path:
    """The same with two versions of a model, one of which serves; beside it MLflow's store of a server without them."""
    home = Home(filled_folder[0].with_name("registered"))
    shutil.copytree(filled_folder[0], home.root)
    registry = registry_of(home, f"sqlite:///{home.root / 'mlflow.db'}", DatabaseFile(home.database("us")))
    for number in (1.0, 2.0):
        built = save_bundle(stored_only_bundle(SESSION, number), home.root / "bundles" / str(number))
        registry.register(home.root / "bundles" / str(number), MODEL, built, {"settings_hash": "d" * 64})
    registry.describe(MODEL, 1, "# the first")
    registry.set_challenger(MODEL, 2)
    registry.promote(MODEL, 1, "test", "passed")
    server = shutil.copy(home.root / "mlflow.db", home.root.parent / "mlflow.db")
    RegistryStore(f"sqlite:///{server}", home.root.parent, home.locks).forget(MODEL)
    return home.root


def registry_of(home: Home, uri: str, database: object) -> Registry:
    return Registry(uri, home.mlflow_artifacts, home.locks, database)  # pyright: ignore


@pytest.fixture
def desk(
    filled_folder: tuple[Path, str],
    shared_storage: SharedStorage,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Desk]:
    assert shared_storage
    shutil.copytree(filled_folder[0], tmp_path / "desk")
    name = f"desk_{uuid4().hex}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # pyright: ignore
    shared = SharedStorage(postgres.url(name), f"file://{tmp_path / 'shared'}")
    yield Desk(Home(tmp_path / "desk"), shared, filled_folder[1], monkeypatch)
    data_format._opened_deployment.cache_clear()


@pytest.fixture
def registered(desk: Desk, registered_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """One with versions of a model, and MLflow's store of the deployment."""
    shutil.rmtree(desk.home.root)
    shutil.copytree(registered_folder, desk.home.root)
    (tmp_path / "server").mkdir()
    shutil.copy(registered_folder.parent / "mlflow.db", tmp_path / "server" / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'server' / 'mlflow.db'}")
    return desk


def test_every_machine_finds_what_the_folder_held(registered: Desk, tmp_path: Path) -> None:
    copied = registered.share()
    assert copied is not None
    assert copied.tables["us"].rows == 3001 + 1 + 2 + 1
    assert copied.versions == 2
    there = open_data_folder(registered.on(tmp_path / "worker"))
    database = universe_database(there, "us")
    assert list(database.read_partition("wide", DAY)["value"]) == list(UNORDERED), "in the order of the file"
    assert ledger_database(there).rows("SELECT sharpe FROM trials") == [(0.5,)]
    model = read_artifact(there.model("us", "short", "d" * 64, "vae", SESSION), registered.vae)
    assert list(model.arrays["w"]) == [0.0, 1.0, 2.0]
    newest = read_newest(there.drift_thresholds("us", SESSION, "rules"))
    assert newest is not None
    assert list(newest.arrays["t"]) == [2.0]
    assert read_file(there.report("us", "short", "backtest", SESSION)) == b"<html>report</html>"
    registry = registry_of(there, there.mlflow_uri, database)
    champion, challenger = registry.champion(MODEL), registry.challenger(MODEL)
    assert champion is not None
    assert challenger is not None
    assert (champion.version, challenger.version) == (1, 2)
    assert registry.disagreements(MODEL) == []
    assert RegistryStore(there.mlflow_uri, there.mlflow_artifacts, there.locks).description(MODEL, 1) == "# the first"
    assert registered.share() is None, "a second time copies nothing"


def test_what_was_cut_short_is_refused_to_others_and_goes_on(desk: Desk, tmp_path: Path) -> None:
    def cut_short(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.share(cut_short)
    with pytest.raises(
        UnfinishedDeploymentError, match=r"half filled from .*/desk, begun .*: run `regime-assets share`"
    ):
        open_data_folder(desk.on(tmp_path / "worker"))
    shutil.copytree(desk.home.root, tmp_path / "another")
    with pytest.raises(SharingError, match=r"is half filled from .*/desk, begun .*: share that folder, or let"):
        share(desk.on(tmp_path / "another"), desk.shared, print)
    copied = desk.share()
    assert copied is not None
    assert copied.tables["us"].written == (), "what was there is not written twice"
    assert copied.tables["ledger"].written == ("trials",)
    open_data_folder(desk.on(tmp_path / "worker"))


def test_versions_of_a_copy_that_was_cut_short_keep_their_numbers(registered: Desk) -> None:
    begun = iter(["us", "ledger", "files"])

    def register_one_and_die(line: str) -> None:
        if next(begun) == "files":
            assert line.startswith("files")
            store = RegistryStore(
                Home.from_environment().mlflow_uri, registered.home.mlflow_artifacts, registered.home.locks
            )
            store.create_version(MODEL, "a" * 64, None, {"sha256": "a" * 64, "session": "2022-03-01"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registered.share(register_one_and_die)
    copied = registered.share()
    assert copied is not None
    assert copied.versions == 2
    assert copied.files.written == 0


def test_a_target_that_holds_something_else_is_refused_and_stays(registered: Desk) -> None:
    home = registered.on(registered.home.root)
    universe_database(home, "other").replace_partition("t", DAY, pd.DataFrame({"value": [1.0]}))
    with pytest.raises(SharingError, match="schema universe_other: holds rows in t, which would be lost"):
        registered.share()
    universe_database(home, "other").delete_partition("t", DAY)
    write_file(home.reports / "foreign.html", b"theirs")
    with pytest.raises(SharingError, match=r"foreign\.html: there is a file already, which would be lost"):
        registered.share()
    Path(registered.shared.storage.removeprefix("file://"), "reports", "foreign.html").unlink()
    store = RegistryStore(home.mlflow_uri, home.mlflow_artifacts, home.locks)
    store.create_version(MODEL, "a" * 64, None, {"sha256": "a" * 64, "session": "2022-03-01"})
    with pytest.raises(SharingError, match=f"MLflow has a model {MODEL} of other versions"):
        registered.share()
    store.forget(MODEL)
    assert registered.share() is not None


def test_a_folder_that_is_written_meanwhile_is_not_taken_for_copied(desk: Desk) -> None:
    def written(line: str) -> None:
        if line.startswith("files"):
            DatabaseFile(desk.home.database("us")).replace_partition("wide", DAY, pd.DataFrame({"value": [9.0]}))

    with pytest.raises(SharingError, match="its tables changed while they were copied; end what runs on it"):
        desk.share(written)
    copied = desk.share()
    assert copied is not None
    assert copied.tables["us"].written == ("wide",)


def test_a_damaged_model_is_named_and_the_deployment_stays_closed(desk: Desk, tmp_path: Path) -> None:
    folder = desk.home.model("us", "short", "d" * 64, "vae", SESSION)
    (folder / "arrays.safetensors").write_bytes(b"flipped")
    with pytest.raises(FileCopyError, match=f"{folder}: not a readable artifact.*doctor --repair"):
        desk.share()
    with pytest.raises(UnfinishedDeploymentError):
        open_data_folder(desk.on(tmp_path / "worker"))
    with pytest.raises(UnfinishedDeploymentError):
        bring_back(desk.on(tmp_path / "back"), desk.shared, print)


def test_an_empty_deployment_makes_no_folder(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(SharingError, match="no tables to copy; REGIME_ASSETS_CATALOG names the database"):
        bring_back(desk.on(tmp_path / "back"), desk.shared, print)
    assert not (tmp_path / "back" / "unfinished.json").exists()


@pytest.mark.parametrize("what", ["nothing", "an older format"])
def test_what_is_no_folder_of_this_version_is_refused(desk: Desk, tmp_path: Path, what: str) -> None:
    home = desk.on(tmp_path / "empty" if what == "nothing" else desk.home.root)
    if what != "nothing":
        (home.root / "format.json").write_text('{"format": 4}')
    told = "no data folder with tables" if what == "nothing" else "format 4, and this version shares format 5: run"
    with pytest.raises(SharingError, match=told):
        share(home, desk.shared, print)


def test_a_deployment_comes_back_as_a_folder_with_the_same_content(registered: Desk, tmp_path: Path) -> None:
    sent = registered.share()
    assert sent is not None
    home = registered.on(tmp_path / "back")
    write_artifact(home.model("us", "short", "d" * 64, "vae", SESSION), Parts({"w": np.array([9.0])}, {}))
    shutil.rmtree(home.root)  # a model that no table names yet is in the storage, beside the one that is named
    received = bring_back(home, registered.shared, lambda _: None)
    assert {name: each.contents for name, each in received.tables.items()} == {
        name: each.contents for name, each in sent.tables.items()
    }
    alone = open_data_folder(registered.alone(tmp_path / "back"))
    database = universe_database(alone, "us")
    assert list(database.read_partition("wide", DAY)["value"]) == list(UNORDERED)
    assert read_artifact(alone.model("us", "short", "d" * 64, "vae", SESSION), registered.vae)
    assert read_newest(alone.drift_thresholds("us", SESSION, "rules")) is not None
    assert alone.report("us", "short", "backtest", SESSION).read_bytes() == b"<html>report</html>"
    registry = registry_of(alone, alone.mlflow_uri, database)
    assert [version.version for version in registry.versions(MODEL)] == [1, 2]
    again = registered.on(tmp_path / "back")
    with pytest.raises(SharingError, match=r"holds format\.json, databases.* already, and is left as it is"):
        bring_back(again, registered.shared, print)


def test_half_a_folder_is_refused_and_goes_on(desk: Desk, tmp_path: Path) -> None:
    desk.share()

    def cut_short(line: str) -> None:
        if line.startswith("us"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring_back(desk.on(tmp_path / "back"), desk.shared, cut_short)
    with pytest.raises(DataFolderError, match="only half of a deployment was copied into it"):
        open_data_folder(desk.alone(tmp_path / "back"))
    received = bring_back(desk.on(tmp_path / "back"), desk.shared, lambda _: None)
    assert received.tables["us"].written == ()
    open_data_folder(desk.alone(tmp_path / "back"))


def test_a_table_that_arrives_otherwise_is_written_again(desk: Desk, tmp_path: Path) -> None:
    desk.share()
    home = desk.on(tmp_path / "back")
    fill_file(universe_database(home, "us"), home.database("us"))
    DatabaseFile(home.database("us")).query("UPDATE wide SET value = 0 WHERE value = 7")
    assert fill_file(universe_database(home, "us"), home.database("us")).written == ("wide",)


def test_a_folder_of_a_newer_duckdb_is_shared_once_it_is_prepared(desk: Desk, tmp_path: Path) -> None:
    def with_the_newer(script: str) -> str:
        """What it prints where DuckDB is that of one machine."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        for variable in (CATALOG_VARIABLE, STORAGE_VARIABLE):
            environment.pop(variable, None)
        command = [sys.executable, "-c", script, str(tmp_path / "newer")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    written = with_the_newer(
        "import sys, duckdb, pandas as pd; from pathlib import Path; from regime_assets.library.home import Home; "
        "from regime_assets.library.open_database import universe_database; "
        "from regime_assets.library.upkeep.data_format import open_data_folder; "
        "universe_database(open_data_folder(Home(Path(sys.argv[1]))), 'us')"
        ".replace_partition('t', {'session': 1}, pd.DataFrame({'value': [2.0], 'refusal': [None]})); "
        "print(duckdb.__version__)"
    )
    if written.startswith("1."):
        pytest.skip("no newer DuckDB is installed here")
    newer = desk.on(tmp_path / "newer")
    with pytest.raises(DatabaseError, match=r"written by a newer DuckDB than 1\.5\.5: .*regime-assets share --prepare"):
        share(newer, desk.shared, print)
    with_the_newer(
        "import sys; from pathlib import Path; from regime_assets.library.home import Home; "
        "from regime_assets.library.upkeep.readable_tables import make_readable; make_readable(Home(Path(sys.argv[1])))"
    )
    share(newer, desk.shared, print)
    database = universe_database(newer, "us")
    assert database.rows("SELECT value, refusal FROM t") == [(2.0, None)]
    database.replace_partition("t", {"session": 2}, pd.DataFrame({"value": [3.0], "refusal": ["collapsed"]}))
    assert database.rows("SELECT refusal FROM t WHERE session = 2") == [("collapsed",)], "typed by its first value"


def test_the_command_says_what_it_did_and_that_nothing_is_shared_on_one_machine(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.patch.delenv("DAGSTER_HOME", raising=False)
    desk.alone(desk.home.root)
    assert main(["share"]) == 1
    assert "REGIME_ASSETS_CATALOG and REGIME_ASSETS_STORAGE name" in capsys.readouterr().err
    desk.on(desk.home.root)
    assert main(["share"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "us: 2 tables, 3002 rows, of which 2 tables were written"
    assert printed[-2].endswith("3003 rows and 4 files, each held against its count or hash")
    assert "s3cret" not in printed[-2]
    assert printed[-1].startswith("Dagster: DAGSTER_HOME is not set, and no Dagster was told")
