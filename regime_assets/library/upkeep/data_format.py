"""The format of a data folder: which one is there, an older one brought forward, a newer one refused."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.file_lock import LockTimeoutError, file_lock
from regime_assets.library.home import Home
from regime_assets.library.shared_storage import SharedStorage
from regime_assets.library.upkeep.filled_deployment import refuse_unfinished
from regime_assets.library.upkeep.migrations import LEGACY_DATABASE, MIGRATIONS

FORMAT_FILE = "format.json"
UNFINISHED_FILE = "unfinished.json"
"""In a folder into which a deployment is being copied."""
FORMAT = 5
MIGRATION_TIMEOUT_SECONDS = 600.0


class DataFolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


def open_data_folder(home: Home) -> Home:
    """Make the folder, or bring an older one forward; what is replaced is kept in `backups/`.

    Raises:
        DataFolderError: the folder cannot be made or written, or a newer version of this project wrote it.
        UnfinishedDeploymentError: a data folder is being copied into the deployment of this process.
        PostgresError: the deployment's server cannot be reached.
    """
    _opened(home.root)
    shared = SharedStorage.from_environment()
    if shared is not None:
        _opened_deployment(shared)
    return home


@lru_cache(maxsize=8)
def _opened_deployment(shared: SharedStorage) -> None:
    refuse_unfinished(shared)


@lru_cache(maxsize=8)
def _opened(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with file_lock(root / "locks" / "data-folder.lock", MIGRATION_TIMEOUT_SECONDS):
            _bring_forward(Home(root))
    except LockTimeoutError as error:
        raise DataFolderError(f"{root}: another process has been bringing it forward for too long: {error}") from error
    except OSError as error:
        raise DataFolderError(
            f"{root}: not usable as the data folder: {error.filename or root}: {error.strerror or error}. Let this "
            "user write there, or name another folder in REGIME_ASSETS_HOME"
        ) from error


def _bring_forward(home: Home) -> None:
    if (home.root / UNFINISHED_FILE).exists():
        raise DataFolderError(
            f"{home.root}: only half of a deployment was copied into it: run `regime-assets share --back` again"
        )
    found = stored_format(home)
    if found > FORMAT:
        raise DataFolderError(
            f"{home.root}: the data folder has format {found}, this version of regime_assets knows {FORMAT}: use the "
            "newer version that wrote it, or restore a backup from before (`regime-assets restore`)"
        )
    for number in range(found, FORMAT):
        MIGRATIONS[number](home)
    document = json.dumps({"format": FORMAT}).encode()
    if found < FORMAT or not (home.root / FORMAT_FILE).exists():
        write_file_atomically(home.root / FORMAT_FILE, document)


def stored_format(home: Home) -> int:
    """The format of a folder; a new one has the present format.

    Raises:
        DataFolderError: its `format.json` cannot be understood.
    """
    path = home.root / FORMAT_FILE
    try:
        return int(json.loads(path.read_bytes())["format"])
    except FileNotFoundError:
        return 1 if (home.root / LEGACY_DATABASE).exists() else FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise DataFolderError(
            f'{path}: damaged; it says {{"format": {FORMAT}}} in a folder of this version: write that, and run '
            "`regime-assets doctor`"
        ) from error
