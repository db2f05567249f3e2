"""What commands are given: a universe by name, a reason; and how they print a table."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from regime_assets.library.home import Home

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from regime_assets.library.universe import Universes
    from regime_assets.library.workspace import Workspace


def open_workspace(universe_name: str) -> Workspace:
    """The stores of the universe of that name."""
    from regime_assets.definitions import universes_folder
    from regime_assets.library.universe import load_universes
    from regime_assets.library.upkeep.data_format import open_data_folder
    from regime_assets.library.workspace import Workspace

    universes = load_universes([universes_folder()])
    workspace = Workspace(universes.named(universe_name), open_data_folder(Home.from_environment()))
    warn_of_broken(universes)
    return workspace


def warn_of_broken(universes: Universes) -> int:
    """Say on stderr which universe files do not load; 1 when there are some, else 0."""
    for warning in universes.warnings:
        print(f"regime-assets: {warning}", file=sys.stderr)
    return 1 if universes.broken else 0


def stated_reason(reason: str) -> str:
    """A reason that is not blank."""
    if not reason.strip():
        raise argparse.ArgumentTypeError("say why: it is kept in the promotion journal")
    return reason.strip()


def print_table(rows: DataFrame, title: str, console: Console) -> None:
    """Print rows under their columns' names."""
    from rich.table import Table

    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    for name in rows.columns:
        table.add_column(str(name), no_wrap=name in ("strategy", "95 %"), overflow="fold")
    for row in rows.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    console.print(table)
