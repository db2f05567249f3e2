"""MLflow's artifacts by their place in the data folder, wherever that is: `data-folder:///<run>/artifacts`.

MLflow stores the absolute path of every run's artifacts. A folder that was moved, or opened by another user, would go
on writing to the old place. MLflow finds this class by the entry point `mlflow.artifact_repository` in pyproject.toml.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from regime_assets.library.home import Home
from regime_assets.library.production.mlflow_client import RegistryError, sqlite_file


class DataFolderArtifacts(LocalArtifactRepository):
    """The artifacts below one `data-folder:` URI.

    The data folder is where the SQLite store that names the artifacts lies; MLflow's server does not say where that is,
    and takes the folder of its environment.
    """

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        place = PurePosixPath(unquote(urlsplit(artifact_uri).path).lstrip("/"))
        if ".." in place.parts:
            raise RegistryError(f"{artifact_uri}: leads out of the data folder")
        store = sqlite_file(tracking_uri or "")
        home = Home(store.parent) if store is not None else Home.from_environment()
        super().__init__((home.mlflow_artifacts / place).as_uri(), tracking_uri, registry_uri)
