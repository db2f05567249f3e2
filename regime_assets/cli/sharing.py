"""The command that moves between a data folder and the tables and storage that machines share."""

from __future__ import annotations

import argparse

from regime_assets.library.home import Home


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """share."""
    sharing = commands.add_parser(
        "share", help="copy the data folder $REGIME_ASSETS_HOME, or ./data, into shared tables and storage"
    )
    way = sharing.add_mutually_exclusive_group()
    way.add_argument(
        "--prepare", action="store_true", help="write that folder's tables so that a deployment's DuckDB reads them"
    )
    way.add_argument("--back", action="store_true", help="copy shared tables and storage into that folder, a new one")
    sharing.set_defaults(command=_share)


def _share(options: argparse.Namespace) -> int:
    import logging

    from regime_assets.library.shared_storage import SharedStorage
    from regime_assets.library.upkeep.sharing import SharingError, bring_back, share

    home, shared = Home.from_environment(), SharedStorage.from_environment()
    if options.prepare:
        return _prepare(home)
    if shared is None:
        raise SharingError(
            "nothing is shared here: REGIME_ASSETS_CATALOG and REGIME_ASSETS_STORAGE name the database and the storage "
            "of a deployment, see docs/scaling.md"
        )
    logging.getLogger("regime_assets.library.production.mirrors").setLevel(
        logging.ERROR
    )  # all that it does is asked for
    copied = bring_back(home, shared, print) if options.back else share(home, shared, print)
    if copied is None:
        print(f"{home.root}: was copied before, and the deployment works with it since; nothing was copied")
        return 0
    rows = sum(each.rows for each in copied.tables.values())
    where = str(home.root) if options.back else f"{shared.shown_catalog} and {shared.storage}"
    shown = f", {copied.versions} versions in MLflow" if copied.versions else ""
    print(f"{where}: {rows} rows and {copied.files.count} files{shown}, each held against its count or hash")
    return 0


def _prepare(home: Home) -> int:
    from regime_assets.library.upkeep.data_format import open_data_folder
    from regime_assets.library.upkeep.readable_tables import make_readable

    for place, is_new in make_readable(open_data_folder(home)).items():
        print(f"{place}: {'written again, every table compared' if is_new else 'in order already'}")
    return 0
