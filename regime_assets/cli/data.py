"""Commands on data: quarantine, reload."""

from __future__ import annotations

import argparse
from datetime import date

from regime_assets.cli.workspaces import open_workspace, print_table
from regime_assets.library.clock import clock


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """quarantine, reload."""
    held = commands.add_parser("quarantine", help="print every refusal of data: what was held back, why, until when")
    held.add_argument("universe")
    held.add_argument("--symbol", help="one instrument; all of them when left out")
    held.add_argument("--session", type=date.fromisoformat, help="one session; all of them when left out")
    held.set_defaults(command=_quarantine)
    again = commands.add_parser(
        "reload", help="load a universe's whole history anew, as after a change of its source; earlier answers stay"
    )
    again.add_argument("universe")
    again.add_argument("--to", type=date.fromisoformat, help="last session; the newest one that is over if left out")
    again.set_defaults(command=_reload)


def _quarantine(options: argparse.Namespace) -> int:
    from rich.console import Console

    from regime_assets.library.market.quarantine import as_text

    sessions = None if options.session is None else [options.session]
    rows = open_workspace(options.universe).quarantine.history(options.symbol, sessions)
    print_table(as_text(rows), f"{options.universe}: {len(rows)} rows held back, times in UTC", Console())
    return 0


def _reload(options: argparse.Namespace) -> int:
    from regime_assets.library.steps.raw_prices import reload_history

    workspace = open_workspace(options.universe)
    calendar, universe = workspace.calendar, workspace.universe
    over = date.fromordinal(clock.today(calendar.timezone).toordinal() - 1)
    last = options.to or min(universe.last_partition or over, over)
    report = reload_history(workspace, calendar.sessions(universe.history_start, last)[-1], log=print)
    print(
        f"{universe.name}: {report.new_bars} new and {report.revised_bars} revised bars, {report.new_actions} new and "
        f"{report.revised_actions} revised actions. Sessions from now on see them; materialize the newest one next."
    )
    return 0
