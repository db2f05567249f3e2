"""Commands that move between a data folder and what machines share, and between versions of shared tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from regime_assets.library.home import Home

if TYPE_CHECKING:
    from regime_assets.library.shared_storage import SharedStorage

PATIENCE_SECONDS = 10.0


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """share, shared-tables."""
    sharing = commands.add_parser(
        "share", help="copy the data folder $REGIME_ASSETS_HOME, or ./data, into shared tables and storage"
    )
    way = sharing.add_mutually_exclusive_group()
    way.add_argument(
        "--prepare", action="store_true", help="write that folder's tables so that a deployment's DuckDB reads them"
    )
    way.add_argument("--back", action="store_true", help="copy shared tables and storage into that folder, a new one")
    sharing.set_defaults(command=_share)

    tables = commands.add_parser("shared-tables", help="the versions that shared tables have and had")
    tables.add_argument(
        "--return-to", type=int, metavar="VERSION", help="let them be what they were before they were brought forward"
    )
    tables.set_defaults(command=_shared_tables)


def _share(options: argparse.Namespace) -> int:
    import logging

    from regime_assets.library.upkeep.sharing import bring_back, share

    home = Home.from_environment()
    if options.prepare:
        return _prepare(home)
    shared = _deployment()
    # All that it does is asked for here.
    logging.getLogger("regime_assets.library.production.mirrors").setLevel(logging.ERROR)
    copied = bring_back(home, shared, print) if options.back else share(home, shared, print)
    if copied is None:
        print(f"{home.root}: was copied before, and the deployment works with it since; nothing was copied")
    else:
        rows = sum(each.rows for each in copied.tables.values())
        where = str(home.root) if options.back else f"{shared.shown_catalog} and {shared.storage}"
        shown = f", {copied.versions} versions in MLflow" if copied.versions else ""
        print(f"{where}: {rows} rows and {copied.files.count} files{shown}, each held against its count or hash")
    if not options.back:
        print(_carried(home))
    return 0


def _carried(home: Home) -> str:
    """Let the deployment's Dagster know which sessions are done; what was done, in words."""
    import os

    own = os.environ.get("DAGSTER_HOME", "")
    if not own:
        return "Dagster: DAGSTER_HOME is not set, and no Dagster was told which sessions are done: set it, share again"
    if Path(own).resolve() == home.dagster.resolve():
        return "Dagster: DAGSTER_HOME is the folder's own; let it name the deployment's, and share again"
    import dagster as dg

    from regime_assets.carried_history import carry_history

    with dg.DagsterInstance.get() as instance:
        carried = carry_history(home, instance, print)
    return f"Dagster: {carried} partitions of assets are known to be done, besides those that were"


def _prepare(home: Home) -> int:
    from regime_assets.library.upkeep.data_format import open_data_folder
    from regime_assets.library.upkeep.readable_tables import make_readable

    for place, is_new in make_readable(open_data_folder(home)).items():
        print(f"{place}: {'written again, every table compared' if is_new else 'in order already'}")
    return 0


def _shared_tables(options: argparse.Namespace) -> int:
    from regime_assets.library.lake import Lake
    from regime_assets.library.open_database import stored_databases
    from regime_assets.library.upkeep.data_format import open_data_folder
    from regime_assets.library.upkeep.table_copies import return_to

    home = open_data_folder(Home.from_environment())
    _deployment()
    for lake in stored_databases(home, timeout=PATIENCE_SECONDS):
        assert isinstance(lake, Lake), "a deployment is configured"
        if options.return_to is not None:
            returned = return_to(lake, options.return_to)
            held = f"{len(returned.contents)} tables, {returned.rows} rows"
            print(f"{lake.schema}: version {options.return_to} again, {held}")
            continue
        had = ", ".join(f"{version} until snapshot {snapshot}" for version, snapshot in lake.history().items())
        print(f"{lake.schema}: version {lake.version()}" + (f"; had {had}" if had else ""))
    return 0


def _deployment() -> SharedStorage:
    """The deployment of this process.

    Raises:
        SharingError: there is none.
    """
    from regime_assets.library.shared_storage import SharedStorage
    from regime_assets.library.upkeep.sharing import SharingError

    shared = SharedStorage.from_environment()
    if shared is None:
        raise SharingError(
            "nothing is shared here: REGIME_ASSETS_CATALOG and REGIME_ASSETS_STORAGE name the database and the storage "
            "of a deployment, see docs/scaling.md"
        )
    return shared
