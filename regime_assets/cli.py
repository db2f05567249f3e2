"""The command `regime-assets`: what a user does outside the Dagster UI."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import date

from regime_assets.library.home import Home

DEFAULT_UNIVERSE = "us_large_cap"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit code."""
    options = _parser().parse_args(arguments)
    return options.command(options)


def _first_run(options: argparse.Namespace) -> int:
    from regime_assets.first_run import FirstRunError, first_run

    home = Home.from_environment()
    try:
        first_run(home, options.universe, options.sessions, options.first)
    except FirstRunError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\nEverything is stored in {home.root}.\nOpen the Dagster UI on it with: bin/ui")
    return 0


def _status(options: argparse.Namespace) -> int:
    from rich.console import Console

    from regime_assets.definitions import universes_folder
    from regime_assets.first_run import print_status
    from regime_assets.library.universe import load_universes

    for universe in load_universes([universes_folder()]):
        if options.universe in (None, universe.name):
            print_status(Home.from_environment(), universe, Console())
    return 0


def _ui(options: argparse.Namespace) -> int:
    from regime_assets.instance import prepare_dagster_home

    environment = prepare_dagster_home(Home.from_environment())
    command = [sys.executable, "-m", "dagster", "dev", "-m", "regime_assets.definitions"]
    os.execve(sys.executable, [*command, "--host", options.host, "--port", str(options.port)], environment)


def _mlflow(options: argparse.Namespace) -> int:
    home = Home.from_environment()
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", home.mlflow_uri]
    os.execv(sys.executable, [*command, "--host", options.host, "--port", str(options.port)])


def _roll_back(options: argparse.Namespace) -> int:
    from regime_assets.library.pipeline.promotion import roll_back

    print(roll_back(_chain(options.universe), options.horizon, options.reason))
    return 0


def _promote(options: argparse.Namespace) -> int:
    from regime_assets.library.pipeline.promotion import promote_by_hand

    print(promote_by_hand(_chain(options.universe), options.horizon, options.version, options.reason))
    return 0


def _chain(universe_name: str):
    from regime_assets.definitions import universes_folder
    from regime_assets.library.chain import Chain
    from regime_assets.library.universe import load_universes

    universes = {universe.name: universe for universe in load_universes([universes_folder()])}
    return Chain(universes[universe_name], Home.from_environment())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="regime-assets", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    first = commands.add_parser("first-run", help="materialize a few sessions and print what came out")
    first.add_argument("--universe", default=DEFAULT_UNIVERSE)
    first.add_argument("--sessions", type=int, default=3, help="how many consecutive sessions (default: 3)")
    first.add_argument("--first", type=date.fromisoformat, help="the first of them; the newest ones when left out")
    first.set_defaults(command=_first_run)

    status = commands.add_parser("status", help="print the newest sessions' regimes, weights and figures")
    status.add_argument("--universe", help="one universe; all of them when left out")
    status.set_defaults(command=_status)

    for name, port, command, text in (
        ("ui", 3000, _ui, "open the Dagster UI and its daemon on the data folder"),
        ("mlflow", 5000, _mlflow, "open the MLflow UI on the data folder"),
    ):
        server = commands.add_parser(name, help=text)
        server.add_argument("--host", default="127.0.0.1")
        server.add_argument("--port", type=int, default=port)
        server.set_defaults(command=command)

    for name, command, text in (
        ("roll-back", _roll_back, "let the previous champion serve again"),
        ("promote", _promote, "let a registered version serve, whatever the gate said"),
    ):
        move = commands.add_parser(name, help=text)
        move.add_argument("universe")
        move.add_argument("horizon", choices=["short", "long"])
        if name == "promote":
            move.add_argument("version", type=int)
        move.add_argument("--reason", required=True, help="kept in the promotion journal")
        move.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
