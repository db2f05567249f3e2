"""The command `regime-assets`: what a user does outside the Dagster UI. One file a group of commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from regime_assets.cli import data, registry, research, running
from regime_assets.library.clock import clock, parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit code.

    What the package itself refuses is one message on stderr and code 1; anything else is a bug and keeps its traceback.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.now is not None:
            clock.set_to(parsed(options.now))
        return options.command(options)
    except Exception as error:
        if not type(error).__module__.startswith("regime_assets."):
            raise
        print(f"regime-assets: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="regime-assets", description="Regime models that refit themselves.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for group in (running, registry, data, research):
        group.add_commands(commands)
    for command in commands.choices.values():
        command.add_argument("--now", metavar="MOMENT", help="live at this moment, such as 2024-06-28T18:30-04:00")
    return parser
