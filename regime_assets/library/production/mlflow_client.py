"""MLflow's client as this project uses it: imported late, quiet, without telemetry, never unpickling."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ARTIFACTS = "data-folder:///"
"""Where a local store keeps artifacts, see `data_folder_artifacts`."""

# A registry that is down is reported within a minute; MLflow's own defaults wait for a quarter of an hour.
_BOUNDED_WAIT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}


class RegistryError(Exception):
    """The registry cannot do what was asked; the message says why."""


def open_client(tracking_uri: str) -> MlflowClient:
    """A client of the store at `tracking_uri`, for runs and for registered models.

    It sets MLflow's environment variables for this process. A new SQLite store runs its migrations here, which takes
    seconds, so callers hold a lock: two first calls at once would migrate one file twice.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # of a server, for each run
    for name, value in _BOUNDED_WAIT.items():
        os.environ.setdefault(name, value)
    for logger in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    store = sqlite_file(tracking_uri)
    if store is not None:
        store.parent.mkdir(parents=True, exist_ok=True)
    from mlflow.tracking import MlflowClient

    with registry_errors(tracking_uri):
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        client.search_registered_models(max_results=1)
        if store is not None:
            make_relocatable(store)
    return client


def sqlite_file(tracking_uri: str) -> Path | None:
    """The file of a local store; None for a server's."""
    return Path(urlsplit(tracking_uri).path[1:]) if tracking_uri.startswith("sqlite:///") else None


def make_relocatable(store: Path) -> None:
    """Name artifacts by their place in the data folder, where MLflow has put the folder's absolute path."""
    absolute = "LIKE 'file:%' OR {0} LIKE '/%'"
    with closing(sqlite3.connect(store, timeout=60)) as connection, connection:
        for table, column, place in (
            ("experiments", "artifact_location", f"'{ARTIFACTS}'"),
            ("runs", "artifact_uri", f"'{ARTIFACTS}' || run_uuid || '/artifacts'"),
        ):
            condition = f"{column} {absolute.format(column)}"
            connection.execute(f"UPDATE {table} SET {column} = {place} WHERE {condition}")


@contextmanager
def registry_errors(subject: str) -> Generator[None]:
    """Turn exceptions of MLflow and of its store into a `RegistryError` that names `subject`."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DatabaseError

    try:
        yield
    except (MlflowException, DatabaseError, sqlite3.DatabaseError) as error:
        said = str(error)
        if "file is not a database" in said or "malformed" in said:
            raise RegistryError(
                f"{subject}: the store is damaged; `regime-assets doctor --repair` puts it aside and registers all "
                f"again: {said.splitlines()[0]}"
            ) from error
        if "readonly database" in said or "unable to open database file" in said:
            raise RegistryError(
                f"{subject}: MLflow's store and its folder cannot be written: let this user write there: "
                f"{said.splitlines()[0]}"
            ) from error
        raise RegistryError(f"{subject}: {said}") from error
