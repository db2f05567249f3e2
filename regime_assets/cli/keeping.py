"""Commands that keep the data folder: heartbeat, doctor, backup, restore, retention."""

from __future__ import annotations

import argparse
from pathlib import Path

from regime_assets.library.home import Home


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """heartbeat, doctor, backup, restore, retention."""
    beat = commands.add_parser("heartbeat", help="code 1 when a universe has no signal of its newest session; for cron")
    beat.add_argument("universe", nargs="?", help="one universe; all of them when left out")
    beat.add_argument("--patience", type=float, default=6.0, metavar="HOURS", help="after schedule.at (default: 6)")
    beat.set_defaults(command=_heartbeat)

    doctor = commands.add_parser(
        "doctor", help="look at environment, stores, models, runs and daemons; code 1 when something is wrong"
    )
    doctor.add_argument("--repair", action="store_true", help="put right what can be rebuilt from another store")
    doctor.add_argument("--all", action="store_true", help="print also what is in order")
    doctor.set_defaults(command=_doctor)

    backup = commands.add_parser("backup", help="copy the data folder, while everything runs")
    backup.add_argument("target", type=Path, help="a folder outside the data folder; further backups share its files")
    backup.set_defaults(command=_backup)

    restore = commands.add_parser("restore", help="make a backup into the data folder $REGIME_ASSETS_HOME, or ./data")
    restore.add_argument("target", type=Path, help="the folder that backups were taken to")
    restore.add_argument("--backup", metavar="NAME", help="which one; the newest when left out")
    restore.add_argument("--list", action="store_true", help="only print the backups there are")
    restore.set_defaults(command=_restore)

    old = commands.add_parser("retention", help="delete what is no longer needed, as the weekly job does")
    old.add_argument("universe", help="the universe")
    old.add_argument("--dry-run", action="store_true", help="only print what would be deleted")
    old.set_defaults(command=_retention)


def _heartbeat(options: argparse.Namespace) -> int:
    from datetime import timedelta

    from regime_assets.definitions import universes_folder
    from regime_assets.library.clock import clock
    from regime_assets.library.universe import load_universes
    from regime_assets.library.upkeep.heartbeat import heartbeat

    files = load_universes([universes_folder()])
    chosen = [files.named(options.universe)] if options.universe else list(files.loaded)
    home, patience = Home.from_environment(), timedelta(hours=options.patience)
    beats = [heartbeat(home, universe, clock.now(), patience) for universe in chosen]
    print("\n".join(map(str, beats)))
    return 0 if all(beat.beats for beat in beats) else 1


def _retention(options: argparse.Namespace) -> int:
    import os

    import dagster as dg

    from regime_assets.cli.workspaces import open_workspace
    from regime_assets.instance import prepare_dagster_home
    from regime_assets.library.upkeep.retention import Keep, retain
    from regime_assets.runs.old_runs import remove_old_runs

    workspace = open_workspace(options.universe)
    os.environ.update(prepare_dagster_home(workspace.home))
    removed = retain(workspace, Keep(), options.dry_run)
    with dg.DagsterInstance.get() as instance:
        removed += remove_old_runs(instance, workspace.home, Keep().run_days, options.dry_run)
    print("would be deleted:" if options.dry_run else "deleted:")
    for each in removed:
        print(f"  {each}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from regime_assets.definitions import universes_folder
    from regime_assets.doctor import examine
    from regime_assets.library.universe import load_universes

    counts = {"ok": 0, "repaired": 0, "warning": 0, "fault": 0}
    files = load_universes([universes_folder()])
    for broken in files.broken:
        counts["fault"] += 1
        print(f"{'fault':<9}universe {broken.name}: {broken.message}")
    for finding in examine(Home.from_environment(), files.loaded, options.repair):
        counts[finding.level] += 1
        if options.all or finding.level != "ok":
            print(f"{finding.level:<9}{finding.subject}: {finding.what}")
            if finding.remedy:
                print(f"{'':<9}→ {finding.remedy}")
    others = ", ".join(f"{counts[level]} {level}" for level in ("repaired", "warning", "fault"))
    print(f"{counts['ok']} in order, {others}")
    return 1 if counts["fault"] else 0


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
