"""Commands on a project of one's own: init, check-universes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from regime_assets.cli.printing import say, say_wrapped

CROSS_SECTION = 3
"""Watched symbols from which on features compare them with each other."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """init, check-universes."""
    new = commands.add_parser("init", help="start a project of your own: universe, Dagster files, container, CI")
    new.add_argument("folder", type=Path, help="a new folder; its name becomes the project's, such as my_desk")
    new.add_argument("--prices", type=Path, help="a folder of your own price files, one a symbol; else sample prices")
    new.add_argument("--calendar", default="XNYS", help="the exchange of those prices (default: XNYS)")
    new.set_defaults(command=_init)
    check = commands.add_parser("check-universes", help="load every universe file; say which lines are wrong")
    check.set_defaults(command=_check)


def _init(options: argparse.Namespace) -> int:
    from regime_assets.new_project import SAMPLE, create_project, universe_of_files

    folder: Path = options.folder
    universe = SAMPLE
    if options.prices:
        universe = universe_of_files(options.prices, options.calendar)
    written = create_project(folder, universe)
    say(f"{folder}: {len(written)} files. The universe is {folder}/universes/{folder.name}.yaml:")
    say(f"  {len(universe.symbols)} symbols, calendar {universe.calendar}, history from {universe.history_start},")
    say(f"  first session that can be materialized {universe.first_partition}")
    for line in _advice(universe.symbols):
        say_wrapped(f"Note: {line}")
    say(f"Next:\n  cd {folder}\n  regime-assets check {folder.name}\n  regime-assets first-run --sessions 1")
    return 0


def _advice(symbols: Sequence[str]) -> list[str]:
    """What a universe that works is missing."""
    if len(symbols) >= CROSS_SECTION:
        return []
    return [
        f"{len(symbols)} symbol{'s' * (len(symbols) > 1)}: a cross-section begins with {CROSS_SECTION}. Write more "
        f"instruments under `symbols:` to be watched, and {', '.join(symbols)} under `traded:`"
    ]


def _check(_: argparse.Namespace) -> int:
    from regime_assets.cli.workspaces import open_universes, warn_of_broken

    universes = open_universes()
    for universe in universes.loaded:
        say_wrapped(
            f"{universe.name}: {len(universe.symbols)} symbols from {universe.source.kind}, {universe.calendar}, "
            f"{universe.history_start} on; first session {universe.first_partition}"
        )
        for line in _advice(universe.symbols):
            say_wrapped(line, indent=2)
    return warn_of_broken(universes)
