"""A data folder copied into a deployment's shared tables and storage, and a deployment copied into a data folder.

Both are copies: what they read stays as it is. Both may be cut short at any moment and run again: what is there with
the same content is not written twice. Until a copy is whole, what it fills is refused to everybody else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.clock import clock
from regime_assets.library.database import VERSION_TABLE
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.deployment_lock import deployment_lock
from regime_assets.library.open_database import LEDGER, OF_A_UNIVERSE, ledger_database, universe_database
from regime_assets.library.production.promotion_journal import VERSIONS_TABLE, PromotionJournal
from regime_assets.library.production.registry import Registry
from regime_assets.library.production.registry_store import CHAMPION, PREVIOUS, RegistryStore
from regime_assets.library.read_memory import checkpoint_of
from regime_assets.library.shared_files import SHARED, files_below, shown_place
from regime_assets.library.shared_storage import CATALOG_VARIABLE, STORAGE_VARIABLE, SharedStorage
from regime_assets.library.upkeep.data_format import (
    FORMAT,
    FORMAT_FILE,
    UNFINISHED_FILE,
    stored_format,
)
from regime_assets.library.upkeep.file_copies import CopiedFiles, fill_folder, fill_storage
from regime_assets.library.upkeep.filled_deployment import begin_filling, end_filling, filled, refuse_unfinished
from regime_assets.library.upkeep.table_copies import CopiedTables, fill_file, fill_lake

if TYPE_CHECKING:
    from regime_assets.library.database import Database
    from regime_assets.library.home import Home

SHARING_LOCK = "sharing.lock"
OTHERS_SECONDS = 10.0
"""For which two that share at once wait for each other."""
_EMPTY = f"let {CATALOG_VARIABLE} and {STORAGE_VARIABLE} name an empty database and an empty folder"
_HASH_COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_catalog = current_database() AND column_name LIKE '%sha256'"
)


class SharingError(Exception):
    """A copy is refused or failed; the message says why and what to do."""


@dataclass(frozen=True)
class Copied:
    """What a copy consists of, each part the same on both sides.

    Attributes:
        tables: of each universe, and of the ledger, by the name of its database.
        files: models, bundles, reports, pages.
        versions: how many versions of registered models MLflow shows.
    """

    tables: Mapping[str, CopiedTables]
    files: CopiedFiles
    versions: int


def share(home: Home, shared: SharedStorage, said: Callable[[str], None]) -> Copied | None:
    """Copy the data folder into the shared tables and storage of a deployment that holds nothing yet.

    Args:
        home: the folder, which is this process's data folder. It stays as it is.
        shared: the deployment's, which is this process's too.
        said: takes a line a part that was copied.

    Returns:
        What was copied; None where this folder was copied before, and the deployment works with it since.

    Raises:
        SharingError: the folder is none, or another deployment's or folder's state is in the target.
        TableCopyError, FileCopyError: something does not arrive as it was sent.
        DatabaseError, SharedFilesError, RegistryError, PostgresError: a store cannot be used.
    """
    databases = _databases(home)
    with deployment_lock(home.locks / SHARING_LOCK, OTHERS_SECONDS):
        copy = filled(shared)
        if copy is None:
            _refuse_used(home, shared, databases)
        elif copy.folder != str(home.root):
            state = "was filled" if copy.is_whole else "is half filled"
            origin = f"{state} from {copy.folder}, begun {copy.began}"
            raise SharingError(f"{shared.shown_catalog}: {origin}: share that folder, or {_EMPTY}")
        elif copy.is_whole:
            return None
        begin_filling(shared, str(home.root))
        before = {path: _state(path) for path, _ in databases.values()}
        tables: dict[str, CopiedTables] = {}
        for name, (path, target) in databases.items():
            tables[name] = fill_lake(path, target)
            said(f"{name}: {_tables_said(tables[name])}")
        models = {name: _models(target) for name, (_, target) in _universes(databases).items()}
        files = fill_storage(home, {name for names in models.values() for name in names})
        said(f"files: {_files_said(files)}")
        versions = sum(_register(home, databases[name][1], model) for name in models for model in models[name])
        if before != {path: _state(path) for path in before}:
            raise SharingError(
                f"{home.root}: its tables changed while they were copied; end what runs on it (`regime-assets ui`, the "
                "daemon, runs), and share it again: what is copied already is not copied twice"
            )
        end_filling(shared)
    return Copied(tables, files, versions)


def bring_back(home: Home, shared: SharedStorage, said: Callable[[str], None]) -> Copied:
    """Copy a deployment's tables and files into the data folder, which must hold none.

    Args:
        home: the folder, which is this process's data folder.
        shared: the deployment's, which is this process's too. It stays as it is.
        said: takes a line a part that was copied.

    Raises:
        SharingError: the folder holds something that no such copy began, or the deployment holds no tables.
        UnfinishedDeploymentError: the deployment is half of a folder itself.
        TableCopyError, FileCopyError: as `share`.
        DatabaseError, SharedFilesError, PostgresError: a store cannot be used.
    """
    origin = f"{shared.shown_catalog} and {shared.storage}"
    refuse_unfinished(shared)
    names = _stored_names(shared)
    if not names:
        raise SharingError(f"{origin}: no tables to copy; {CATALOG_VARIABLE} names the database of a deployment")
    _refuse_filled(home, origin)
    write_file_atomically(home.root / UNFINISHED_FILE, json.dumps({"from": origin, "began": _now()}).encode())
    tables: dict[str, CopiedTables] = {}
    hashes: set[str] = set()
    for name in names:
        target = home.ledger if name == LEDGER else home.database(name)
        source = ledger_database(home) if name == LEDGER else universe_database(home, name)
        tables[name] = fill_file(source, target)
        hashes |= _hashes(DatabaseFile(target))
        said(f"{name}: {_tables_said(tables[name])}")
    files = fill_folder(home, hashes)
    said(f"files: {_files_said(files)}")
    write_file_atomically(home.root / FORMAT_FILE, json.dumps({"format": FORMAT}).encode())
    (home.root / UNFINISHED_FILE).unlink()
    return Copied(tables, files, 0)


def _databases(home: Home) -> dict[str, tuple[Path, Database]]:
    """The folder's files of tables, each with the shared ones that it becomes."""
    if (home.root / UNFINISHED_FILE).exists():
        raise SharingError(f"{home.root}: only half of a deployment was copied into it; end that copy first")
    paths = sorted(home.databases.glob("*.duckdb"))
    if not paths:
        raise SharingError(f"{home.root}: no data folder with tables; REGIME_ASSETS_HOME names the folder to share")
    found = stored_format(home)
    if found != FORMAT:
        raise SharingError(
            f"{home.root}: the data folder has format {found}, and this version shares format {FORMAT}: run "
            f"`regime-assets doctor` without {CATALOG_VARIABLE} and {STORAGE_VARIABLE}, which brings it forward"
        )
    databases: dict[str, tuple[Path, Database]] = {
        path.stem: (path, universe_database(home, path.stem)) for path in paths
    }
    if home.ledger.exists():
        databases[LEDGER] = (home.ledger, ledger_database(home))
    return databases


def _state(path: Path) -> bytes | None:
    DatabaseFile(path).tables()  # what a process that was killed left beside the file is in it afterwards
    return checkpoint_of(path)


def _universes(databases: Mapping[str, tuple[Path, Database]]) -> dict[str, tuple[Path, Database]]:
    return {name: each for name, each in databases.items() if name != LEDGER}


def _refuse_used(home: Home, shared: SharedStorage, databases: Mapping[str, tuple[Path, Database]]) -> None:
    """Refuse a deployment that holds rows, files or versions which no copy of this folder brought."""
    for name in _stored_names(shared):
        database = ledger_database(home) if name == LEDGER else universe_database(home, name)
        for table in database.tables():
            if table != VERSION_TABLE and database.rows(f'SELECT 1 FROM "{table}" LIMIT 1'):
                raise SharingError(f"{database.place}: holds rows in {table}, which would be lost: {_EMPTY}")
    for name in sorted(SHARED):
        if found := files_below(home.root / name):
            raise SharingError(f"{shown_place(found[0])}: there is a file already, which would be lost: {_EMPTY}")
    store = _mlflow(home, home.mlflow_uri)
    for name, (path, _) in _universes(databases).items():
        journal = PromotionJournal(DatabaseFile(path))
        for model in _models(DatabaseFile(path)):
            registered = {entry.version: entry.sha256 for entry in store.versions(model)}
            if store.knows(model) and registered != _versions(journal, model):
                raise SharingError(
                    f"{home.mlflow_uri}: MLflow has a model {model} of other versions than {path} has for {name}: let "
                    "MLFLOW_TRACKING_URI name a server without it, or delete it there"
                )


def _register(home: Home, database: Database, model: str) -> int:
    """Let MLflow show a model's versions as the folder's store did; return how many there are."""
    own = home.root / "mlflow.db"
    source = _mlflow(home, f"sqlite:///{own}") if own.exists() and home.mlflow_uri != f"sqlite:///{own}" else None
    target, journal = _mlflow(home, home.mlflow_uri), PromotionJournal(database)
    registry = Registry(home.mlflow_uri, home.mlflow_artifacts, home.locks, database)
    wanted = _versions(journal, model)
    if target.knows(model) and {entry.version: entry.sha256 for entry in target.versions(model)} != wanted:
        target.forget(model)  # of a copy that was cut short: its numbers could not be gone on with
    registry.reconcile(model)
    if source is not None:
        for version in wanted.keys() & {entry.version for entry in source.versions(model)}:
            if text := source.description(model, version):
                registry.describe(model, version, text)
        for alias, version in source.aliases(model).items():
            if alias not in (CHAMPION, PREVIOUS) and version in wanted:
                registry.set_challenger(model, version, alias)
    if left := registry.disagreements(model):
        raise SharingError(f"{left[0]}; share the folder again")
    return len(wanted)


def _mlflow(home: Home, uri: str) -> RegistryStore:
    return RegistryStore(uri, home.mlflow_artifacts, home.locks)


def _models(database: Database) -> list[str]:
    """The registered models of a universe; asked so that no table is made."""
    return PromotionJournal(database).model_names() if database.has_table(VERSIONS_TABLE) else []


def _versions(journal: PromotionJournal, model: str) -> dict[int, str]:
    return {entry.version: entry.sha256 for entry in journal.versions(model)}


def _refuse_filled(home: Home, origin: str) -> None:
    unfinished = home.root / UNFINISHED_FILE
    if unfinished.exists():
        began = json.loads(unfinished.read_bytes())["from"]
        if began != origin:
            raise SharingError(f"{home.root}: is half filled from {began}: end that copy, or name another folder")
        return
    kept = [
        name
        for name in (FORMAT_FILE, "databases", home.ledger.name, "mlflow.db", *sorted(SHARED))
        if (home.root / name).exists()
    ]
    if kept:
        raise SharingError(
            f"{home.root}: holds {', '.join(kept)} already, and is left as it is; let REGIME_ASSETS_HOME name a new "
            "folder"
        )


def _stored_names(shared: SharedStorage) -> list[str]:
    """Universes and the ledger that have shared tables."""
    from regime_assets.library.lake import stored_schemas

    schemas = stored_schemas(shared)
    names = [name.removeprefix(OF_A_UNIVERSE) for name in schemas if name.startswith(OF_A_UNIVERSE)]
    return [*names, *([LEDGER] if LEDGER in schemas else [])]


def _hashes(database: DatabaseFile) -> set[str]:
    """Every hash of a model that a table records."""
    found: set[str] = set()
    for table, column in database.rows(_HASH_COLUMNS):
        found |= {str(row[0]) for row in database.rows(f'SELECT DISTINCT "{column}" FROM "{table}"')}
    return found


def _tables_said(copied: CopiedTables) -> str:
    return f"{len(copied.contents)} tables, {copied.rows} rows, of which {len(copied.written)} tables were written"


def _files_said(copied: CopiedFiles) -> str:
    return f"{copied.count}, {copied.size / 1e6:.1f} MB, of which {copied.written} were written"


def _now() -> str:
    return clock.system_now().isoformat(timespec="seconds")
