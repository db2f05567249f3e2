"""Which data folder a deployment's shared tables and files were copied from, and whether that copy is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from regime_assets.library.postgres import session, unreachable

if TYPE_CHECKING:
    from regime_assets.library.shared_storage import SharedStorage

_CREATE = (
    "CREATE TABLE IF NOT EXISTS regime_assets_filled (folder text NOT NULL, began timestamptz NOT NULL DEFAULT now(), "
    "ended timestamptz)"
)


class UnfinishedDeploymentError(Exception):
    """A deployment is being filled; the message says from where and what to do."""


@dataclass(frozen=True)
class Filled:
    """A copy into a deployment.

    Attributes:
        folder: the data folder that it is of, as the machine that began it names it.
        began: when, for a message.
        is_whole: whether it ended.
    """

    folder: str
    began: str
    is_whole: bool


def filled(shared: SharedStorage) -> Filled | None:
    """The copy that filled a deployment, or has begun to; None for one that began with tables of its own.

    Raises:
        PostgresError: the server cannot be reached.
    """
    import psycopg

    sql = "SELECT folder, to_char(began, 'YYYY-MM-DD HH24:MI'), ended IS NOT NULL FROM regime_assets_filled"
    try:
        found = session(shared).execute(sql).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.Error as error:
        raise unreachable(shared, error) from error
    return None if found is None else Filled(str(found[0]), str(found[1]), bool(found[2]))


def begin_filling(shared: SharedStorage, folder: str) -> None:
    """Remember that a folder is being copied into the deployment; one that was begun already stays as it is."""
    sql = "INSERT INTO regime_assets_filled (folder) SELECT %s WHERE NOT EXISTS (SELECT FROM regime_assets_filled)"
    _write(shared, sql, [folder])


def end_filling(shared: SharedStorage) -> None:
    """Remember that the copy is whole: from here on the deployment is for everybody."""
    _write(shared, "UPDATE regime_assets_filled SET ended = now()", [])


def refuse_unfinished(shared: SharedStorage) -> None:
    """Refuse to work with half a copy.

    Raises:
        UnfinishedDeploymentError: a folder is being copied into the deployment.
        PostgresError: the server cannot be reached.
    """
    copy = filled(shared)
    if copy is not None and not copy.is_whole:
        raise UnfinishedDeploymentError(
            f"{shared.shown_catalog}: half filled from {copy.folder}, begun {copy.began}: run `regime-assets share` "
            "with that folder as REGIME_ASSETS_HOME, which goes on where it stopped"
        )


def _write(shared: SharedStorage, sql: LiteralString, values: list[str]) -> None:
    import psycopg

    try:
        session(shared).execute(_CREATE)
        session(shared).execute(sql, values)
    except psycopg.Error as error:
        raise unreachable(shared, error) from error
