"""A backup is one consistent state, taken while others write; a restored folder is that state, to the byte."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.artifact import Parts, read_artifact, write_artifact
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.shared_storage import CATALOG_VARIABLE, STORAGE_VARIABLE
from regime_assets.library.upkeep.backup import Backup, BackupError, backups, restore, take_backup, verify


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A universe's tables, MLflow's store, a model and a lock."""
    home = Home(tmp_path / "data")
    DatabaseFile(home.database("u")).replace_partition("t", {"session": 1}, pd.DataFrame({"value": [1.0]}))
    with closing(sqlite3.connect(home.root / "mlflow.db")) as store, store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("CREATE TABLE runs (name TEXT)")
        store.execute("INSERT INTO runs VALUES ('first')")
    write_artifact(home.root / "models" / "vae", Parts({"w": np.array([2.0])}, {}))
    home.locks.mkdir()
    (home.locks / "u.short.lock").touch()
    return home


def test_a_restored_folder_holds_what_was_there(home: Home, tmp_path: Path) -> None:
    taken = take_backup(home, tmp_path / "kept")
    assert verify(tmp_path / "kept", taken.name) == []
    again = Home(tmp_path / "another" / "place")
    assert restore(tmp_path / "kept", again).files == taken.files
    assert list(DatabaseFile(again.database("u")).query("SELECT value FROM t")["value"]) == [1.0]
    assert list(read_artifact(again.root / "models" / "vae").arrays["w"]) == [2.0]
    with closing(sqlite3.connect(again.root / "mlflow.db")) as store:
        assert store.execute("SELECT name FROM runs").fetchall() == [("first",)]
    assert not again.locks.exists()


def test_a_second_backup_writes_what_is_new_and_either_can_be_restored(home: Home, tmp_path: Path) -> None:
    first = take_backup(home, tmp_path / "kept")
    (home.root / "note").write_text("later")
    second = take_backup(home, tmp_path / "kept")
    assert second.written <= len("later")
    assert backups(tmp_path / "kept") == [first.name, second.name]
    restore(tmp_path / "kept", Home(tmp_path / "old"), first.name)
    restore(tmp_path / "kept", Home(tmp_path / "new"))
    assert [(tmp_path / name / "note").exists() for name in ("old", "new")] == [False, True]


def test_tables_and_models_of_a_backup_agree_although_somebody_writes(home: Home, tmp_path: Path) -> None:
    stopping = threading.Event()
    database = DatabaseFile(home.database("u"))

    def refit() -> None:
        number = 2
        while not stopping.wait(0.15):
            number += 1
            parts = Parts({"w": np.full(1000, float(number))}, {})
            write_artifact(home.root / "models" / "vae", parts)
            database.replace_partition("models", {"kind": "vae"}, pd.DataFrame({"number": [number]}))

    database.replace_partition("models", {"kind": "vae"}, pd.DataFrame({"number": [2]}))
    writer = threading.Thread(target=refit)
    writer.start()
    try:
        take_backup(home, tmp_path / "kept")
    finally:
        stopping.set()
        writer.join()
    again = Home(tmp_path / "again")
    restore(tmp_path / "kept", again)
    (recorded,) = DatabaseFile(again.database("u")).query("SELECT number FROM models")["number"]
    stored = read_artifact(again.root / "models" / "vae").arrays["w"]
    assert set(stored) <= {recorded, recorded + 1}, "the row's model, or the one that was just replacing it"


def test_a_damaged_or_missing_object_is_named_and_no_folder_is_made(home: Home, tmp_path: Path) -> None:
    taken = take_backup(home, tmp_path / "kept")
    damaged = tmp_path / "kept" / "objects" / taken.files["mlflow.db"][:2] / taken.files["mlflow.db"]
    damaged.write_bytes(b"flipped")
    assert verify(tmp_path / "kept", taken.name) == [taken.files["mlflow.db"]]
    with pytest.raises(BackupError, match=f"{damaged.name}: damaged.*no folder was made"):
        restore(tmp_path / "kept", Home(tmp_path / "again"))
    damaged.unlink()
    with pytest.raises(BackupError, match=f"{damaged.name}: missing"):
        restore(tmp_path / "kept", Home(tmp_path / "again"))
    assert not (tmp_path / "again").exists()
    assert take_backup(home, tmp_path / "kept").written > 0, "the next backup heals the target"
    restore(tmp_path / "kept", Home(tmp_path / "again"))


def test_what_is_there_is_never_overwritten(home: Home, tmp_path: Path) -> None:
    take_backup(home, tmp_path / "kept")
    with pytest.raises(BackupError, match="holds something already, and is left as it is"):
        restore(tmp_path / "kept", home)


@pytest.mark.parametrize(
    ("target", "words"),
    [("data/models", "lies in the data folder"), ("/proc/kept", "cannot be written")],
)
def test_an_impossible_target_is_one_sentence(home: Home, tmp_path: Path, target: str, words: str) -> None:
    with pytest.raises(BackupError, match=words):
        take_backup(home, tmp_path / target)


def test_a_target_without_backups_says_so(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no backup in it"):
        restore(tmp_path / "empty", Home(tmp_path / "again"))


@pytest.mark.parametrize("command", [take_backup, lambda home, target: restore(target, home)])
def test_of_what_machines_share_it_is_said_what_to_copy(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[[Home, Path], Backup]
) -> None:
    monkeypatch.setenv(CATALOG_VARIABLE, "postgresql://quant:s3cret@db:5432/regimes")
    monkeypatch.setenv(STORAGE_VARIABLE, "s3://bucket/prefix")
    told = r"postgresql://quant@db:5432/regimes and s3://bucket/prefix: dump the database first \(pg_dump\)"
    with pytest.raises(BackupError, match=told):
        command(home, tmp_path / "target")
    assert not (tmp_path / "target").exists()
