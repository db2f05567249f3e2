"""Where many machines keep what one machine keeps in its data folder: a PostgreSQL server and a storage of objects.

Nothing is shared unless both environment variables are set; then every process of the deployment sets both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CATALOG_VARIABLE = "REGIME_ASSETS_CATALOG"
STORAGE_VARIABLE = "REGIME_ASSETS_STORAGE"


class SharedStorageError(Exception):
    """The variables do not describe a shared storage; the message says why and what to do."""


@dataclass(frozen=True)
class SharedStorage:
    """A deployment's two places.

    Attributes:
        catalog: `postgresql://user:password@host:port/database`, of the tables' catalog, the locks and the leases. It
            holds a password and is never printed.
        storage: the folder of all files as a URL without a slash at its end, `s3://bucket/prefix` or `file:///shared`.
    """

    catalog: str = field(repr=False)
    storage: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> SharedStorage | None:
        """What the two variables name; None where neither is set, on a machine of its own.

        Raises:
            SharedStorageError: only one of them is set, or one is not such a URL.
        """
        catalog = environment.get(CATALOG_VARIABLE, "").strip()
        storage = environment.get(STORAGE_VARIABLE, "").strip().rstrip("/")
        if not catalog and not storage:
            return None
        if not catalog or not storage:
            named, missing = (CATALOG_VARIABLE, STORAGE_VARIABLE) if catalog else (STORAGE_VARIABLE, CATALOG_VARIABLE)
            raise SharedStorageError(
                f"{named} is set and {missing} is not: tables and files are shared together; set both, or neither"
            )
        _check_catalog(catalog)
        _check_storage(storage)
        return cls(catalog, storage)

    @property
    def shown_catalog(self) -> str:
        """The catalog's URL without its password, for messages."""
        parts = urlsplit(self.catalog)
        at = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{at}{parts.hostname or ''}{port}{parts.path}"


def _check_catalog(catalog: str) -> None:
    parts = urlsplit(catalog)
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise SharedStorageError(
            f"{CATALOG_VARIABLE} does not name a PostgreSQL database; write it as "
            "postgresql://user:password@host:port/database"
        )
    try:
        _ = parts.port
    except ValueError:
        raise SharedStorageError(
            f"{CATALOG_VARIABLE} names a port that is no number; a password with : / @ # or % in it is written in "
            "percent-encoding"
        ) from None


def _check_storage(storage: str) -> None:
    parts = urlsplit(storage)
    if not parts.scheme or not (parts.netloc or parts.path.strip("/")):
        raise SharedStorageError(
            f"{STORAGE_VARIABLE}={storage} is no URL of a folder; write it as s3://bucket/prefix or file:///shared/folder"
        )
    if parts.password or parts.username:
        raise SharedStorageError(
            f"{STORAGE_VARIABLE} carries credentials; leave them out, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
