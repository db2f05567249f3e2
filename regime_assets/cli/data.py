"""Commands on data: quarantine."""

from __future__ import annotations

import argparse
from datetime import date

from regime_assets.cli.workspaces import open_workspace, print_table


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """quarantine."""
    held = commands.add_parser("quarantine", help="print every refusal of data: what was held back, why, until when")
    held.add_argument("universe")
    held.add_argument("--symbol", help="one instrument; all of them when left out")
    held.add_argument("--session", type=date.fromisoformat, help="one session; all of them when left out")
    held.set_defaults(command=_quarantine)


def _quarantine(options: argparse.Namespace) -> int:
    from rich.console import Console

    from regime_assets.library.market.quarantine import as_text

    sessions = None if options.session is None else [options.session]
    rows = open_workspace(options.universe).quarantine.history(options.symbol, sessions)
    print_table(as_text(rows), f"{options.universe}: {len(rows)} rows held back, times in UTC", Console())
    return 0
