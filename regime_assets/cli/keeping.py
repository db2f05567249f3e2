"""Commands that keep the data folder: backup, restore."""

from __future__ import annotations

import argparse
from pathlib import Path

from regime_assets.library.home import Home


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """backup, restore."""
    backup = commands.add_parser("backup", help="copy the data folder, while everything runs")
    backup.add_argument("target", type=Path, help="a folder outside the data folder; further backups share its files")
    backup.set_defaults(command=_backup)

    restore = commands.add_parser("restore", help="make a backup into the data folder $REGIME_ASSETS_HOME, or ./data")
    restore.add_argument("target", type=Path, help="the folder that backups were taken to")
    restore.add_argument("--backup", metavar="NAME", help="which one; the newest when left out")
    restore.add_argument("--list", action="store_true", help="only print the backups there are")
    restore.set_defaults(command=_restore)


def _backup(options: argparse.Namespace) -> int:
    from regime_assets.library.upkeep.backup import take_backup

    home = Home.from_environment()
    taken = take_backup(home, options.target)
    print(
        f"{home.root}: {len(taken.files)} files, {taken.size / 1e6:.1f} MB, of which {taken.written / 1e6:.1f} MB were "
        f"new in {options.target}; backup {taken.name}"
    )
    return 0


def _restore(options: argparse.Namespace) -> int:
    from regime_assets.library.upkeep.backup import backups, restore

    if options.list:
        print("\n".join(backups(options.target)) or "no backup")
        return 0
    home = Home.from_environment()
    made = restore(options.target, home, options.backup)
    print(f"{home.root}: {len(made.files)} files, {made.size / 1e6:.1f} MB, each verified; from backup {made.name}")
    return 0
