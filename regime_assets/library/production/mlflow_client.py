"""MLflow's client as this project uses it: imported late, quiet, without telemetry, never unpickling."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

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
    for name, value in _BOUNDED_WAIT.items():
        os.environ.setdefault(name, value)
    for logger in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    if tracking_uri.startswith("sqlite:///"):
        Path(urlsplit(tracking_uri).path[1:]).parent.mkdir(parents=True, exist_ok=True)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    with registry_errors(tracking_uri):
        client.search_registered_models(max_results=1)
    return client


@contextmanager
def registry_errors(subject: str) -> Generator[None]:
    """Turn MLflow's exceptions into a `RegistryError` that names `subject`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise RegistryError(f"{subject}: {error}") from error
