"""The command `regime-assets`: what a user does outside the Dagster UI. One file a group of commands.

Exit codes: 0 done; 1 refused, or the answer is no (`replay` differs, a proof fails); 2 the command line is not one;
70 a fault of the program; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from regime_assets.cli import data, keeping, orders, project, registry, research, running, sharing, shown, tries
from regime_assets.cli.arguments import Parser
from regime_assets.library.clock import clock, parsed

REFUSED, FAULT, INTERRUPTED = 1, 70, 130
EPILOG = """\
exit codes: 0 done; 1 refused, or the answer is no; 2 not a command line; 70 a fault of the program (--debug
shows where); 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit code.

    What the package itself refuses is one message on stderr. Anything else is a fault, and keeps its traceback for
    `--debug`.
    """
    options = parser().parse_args(arguments)
    _read_environment_file(Path(".env"))
    try:
        if options.now is not None:
            clock.set_to(parsed(options.now))
        return options.command(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug:
            raise
        if type(error).__module__.startswith("regime_assets."):
            print(f"regime-assets: {error}", file=sys.stderr)
            return REFUSED
        told = str(error).strip().splitlines() or [""]
        print(
            f"regime-assets: {type(error).__name__}: {told[0]}\nThis should not happen. Run the same command with "
            "--debug to see where, and report it.",
            file=sys.stderr,
        )
        return FAULT


def _read_environment_file(path: Path) -> None:
    """Take from a file `.env` what the environment does not set, as Dagster does."""
    if path.is_file():
        from dotenv import load_dotenv

        load_dotenv(path)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from importlib.metadata import version

    root = Parser(prog="regime-assets", description="Regime models that refit themselves.", epilog=EPILOG)
    root.add_argument("--version", action="version", version=f"regime-assets {version('regime_assets')}")
    commands = root.add_subparsers(required=True, metavar="command", parser_class=Parser)
    for group in (running, project, shown, orders, registry, data, keeping, sharing, research, tries):
        group.add_commands(commands)
    completion = commands.add_parser("completion", help="print the shell's completion of this command")
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    completion.set_defaults(command=lambda options: _completion(root, options.shell))
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.add_argument("--now", metavar="MOMENT", help="live at this moment, such as 2024-06-28T18:30-04:00")
    return root


def _completion(root: argparse.ArgumentParser, shell: str) -> int:
    import shtab

    print(shtab.complete(root, shell=shell))
    return 0
