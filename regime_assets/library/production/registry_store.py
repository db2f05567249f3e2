"""Versions, aliases and tags of registered models in MLflow's store, as values of this package."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.library.deployment_lock import deployment_lock
from regime_assets.library.file_lock import LockTimeoutError
from regime_assets.library.production.mlflow_client import ARTIFACTS, RegistryError, open_client, registry_errors
from regime_assets.library.production.names import checked_name
from regime_assets.library.production.promotion_journal import JournalledVersion
from regime_assets.library.shared_files import shown_place

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient
    from mlflow.tracking._model_registry.client import ModelRegistryClient

LOCK_TIMEOUT_SECONDS = 120.0
CHAMPION, PREVIOUS, CHALLENGER, SHADOW = "champion", "previous", "challenger", "shadow"
SHA256_TAG, SESSION_TAG = "sha256", "session"
PROMOTION_TAG, ROLLED_BACK_TAG = "promotion", "rolled_back"
UNKNOWN_MODEL = "RESOURCE_DOES_NOT_EXIST"
"""What MLflow's errors call it."""

DESIGN_TAG = "design"
"""Of a version: the name in the universe's file of the lane that fitted it."""


@dataclass(frozen=True)
class RegisteredBundle:
    """One version of a registered model.

    Attributes:
        model_name: the registered model, "{universe}.{horizon}".
        version: its number.
        sha256: the bundle's hash.
        path: the folder of its files.
        session: the partition that it was fitted for.
        tags: everything recorded of it.
    """

    model_name: str
    version: int
    sha256: str
    path: Path
    session: date
    tags: Mapping[str, str]


class RegistryStore:
    """MLflow's model registry, opened at the first call. It decides nothing: it shows what the journal says."""

    def __init__(self, tracking_uri: str, artifact_root: Path, lock_folder: Path) -> None:
        self._tracking_uri = tracking_uri
        self._artifact_root = artifact_root
        self._lock_folder = lock_folder
        self._client: MlflowClient | None = None

    def folder(self, model_name: str, sha256: str) -> Path:
        """Where the files of a bundle are."""
        return self._artifact_root / model_name / checked_name(sha256, "sha256")

    @contextmanager
    def lock(self, model_name: str) -> Generator[None]:
        """Hold the model's lock against every other process and thread."""
        path = self._lock_folder / f"{checked_name(model_name, 'model name')}.lock"
        try:
            with deployment_lock(path, LOCK_TIMEOUT_SECONDS):
                yield
        except LockTimeoutError as error:
            raise RegistryError(f"{model_name}: {error}") from error

    def create_version(self, model_name: str, sha256: str, run_id: str | None, tags: Mapping[str, str]) -> int:
        """Add a version, and the registered model itself when it is new; return its number."""
        from mlflow.exceptions import MlflowException

        # Not a file URI: a tracking server refuses local paths, and the data folder may move.
        place = shown_place(self.folder(model_name, sha256))
        on_storage = "://" in place and not place.startswith("file:")
        source = place if on_storage else f"{ARTIFACTS}{model_name}/{sha256}"
        with self._speaking(model_name) as client:

            def create() -> int:
                created = client.create_model_version(
                    model_name,
                    source,
                    run_id=run_id,
                    tags=dict(tags),
                    await_creation_for=0,  # nothing is uploaded: the version is ready at once
                )
                return int(created.version)

            try:
                return create()
            except MlflowException as error:
                if error.error_code != UNKNOWN_MODEL:
                    raise
            client.create_registered_model(model_name)
            return create()

    def knows(self, model_name: str) -> bool:
        """Whether there is a model of that name, with versions or without."""
        with self._speaking(model_name) as client:
            return bool(client.search_registered_models(f"name = '{model_name}'"))

    def delete_version(self, model_name: str, version: int) -> None:
        """Remove a version's record."""
        with self._speaking(model_name) as client:
            client.delete_model_version(model_name, str(version))

    def forget(self, model_name: str) -> None:
        """Remove a model's record with all its versions."""
        with self._speaking(model_name) as client:
            client.delete_registered_model(model_name)

    def versions(self, model_name: str) -> tuple[JournalledVersion, ...]:
        """All versions of this package, oldest first; none when the model is unknown."""
        found: list[ModelVersion] = []
        with self._speaking(model_name) as client:
            token: str | None = None
            while token != "":
                page = client.search_model_versions(f"name = '{model_name}'", max_results=1000, page_token=token)
                found.extend(page)
                token = page.token or ""
        known = [version for version in map(_journalled, found) if version is not None]
        return tuple(sorted(known, key=lambda version: version.version))

    def aliases(self, model_name: str) -> dict[str, int]:
        """Which version each alias names; empty when the model is unknown."""
        checked_name(model_name, "model name")
        with self._speaking(model_name) as client:
            models = client.search_registered_models(f"name = '{model_name}'")
            return {alias: int(version) for model in models for alias, version in model.aliases.items()}

    def set_alias(self, model_name: str, alias: str, version: int | None) -> None:
        """Let an alias name `version`; None removes it."""
        with self._marking(f"{model_name} {alias}") as registry:
            if version is None:
                registry.delete_registered_model_alias(model_name, alias)
            else:
                registry.set_registered_model_alias(model_name, alias, str(version))

    def set_description(self, model_name: str, version: int, text: str) -> None:
        """Set what MLflow shows above a version's tags."""
        with self._marking(f"{model_name} {version}") as registry:
            registry.update_model_version(model_name, str(version), text)

    def description(self, model_name: str, version: int) -> str:
        """What `set_description` set; empty where nothing was."""
        with self._speaking(f"{model_name} {version}") as client:
            return client.get_model_version(model_name, str(version)).description or ""

    def set_tag(self, model_name: str, version: int, tag: str, value: str | None) -> None:
        """Set a tag of a version; None removes it."""
        with self._marking(f"{model_name} {version}") as registry:
            if value is None:
                registry.delete_model_version_tag(model_name, str(version), tag)
            else:
                registry.set_model_version_tag(model_name, str(version), tag, value)

    @contextmanager
    def _marking(self, subject: str) -> Generator[ModelRegistryClient]:
        """The client below MLflow's, whose own calls read the model with all its versions before each change.

        They want to know whether it is a prompt; here are none.
        """
        with self._speaking(subject) as client:
            yield client._get_registry_client()  # pyright: ignore[reportPrivateUsage]

    @contextmanager
    def _speaking(self, subject: str) -> Generator[MlflowClient]:
        if self._client is None:
            # A new SQLite store is migrated by its first client; two at once would migrate one file twice.
            try:
                with deployment_lock(self._lock_folder / "store.lock", LOCK_TIMEOUT_SECONDS):
                    self._client = open_client(self._tracking_uri)
            except LockTimeoutError as error:
                raise RegistryError(f"{subject}: {error}") from error
        with registry_errors(subject):
            yield self._client


def _journalled(found: ModelVersion) -> JournalledVersion | None:
    """A version's origin; None when this package did not register it."""
    tags = dict(found.tags)
    try:
        session = date.fromisoformat(tags[SESSION_TAG])
        return JournalledVersion(int(found.version), tags[SHA256_TAG], session, found.run_id or None, tags)
    except (KeyError, ValueError):
        return None
