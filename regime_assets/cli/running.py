"""Commands that run the graph, and that show it: first-run, status, ui, mlflow."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date

from regime_assets.cli.workspaces import warn_of_broken
from regime_assets.library.home import HOME_VARIABLE, Home

DEFAULT_UNIVERSE = "us_large_cap"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """first-run, status, ui, mlflow."""
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


def _first_run(options: argparse.Namespace) -> int:
    from regime_assets.first_run import first_run

    home = Home.from_environment()
    first_run(home, options.universe, options.sessions, options.first)
    print(f"\nEverything is stored in {home.root}.\nOpen the Dagster UI on it with: bin/ui")
    return 0


def _status(options: argparse.Namespace) -> int:
    from rich.console import Console

    from regime_assets.definitions import universes_folder
    from regime_assets.first_run import print_status
    from regime_assets.library.universe import load_universes

    universes = load_universes([universes_folder()])
    for universe in [universes.named(options.universe)] if options.universe else universes.loaded:
        print_status(Home.from_environment(), universe, Console())
    return warn_of_broken(universes)


def _ui(options: argparse.Namespace) -> int:
    from regime_assets.instance import prepare_dagster_home

    environment = prepare_dagster_home(Home.from_environment())
    command = [sys.executable, "-m", "dagster", "dev", "-m", "regime_assets.definitions"]
    os.execve(sys.executable, [*command, "--host", options.host, "--port", str(options.port)], environment)


def _mlflow(options: argparse.Namespace) -> int:
    from regime_assets.library.production.mlflow_client import ARTIFACTS, RegistryError

    home = Home.from_environment()
    if home.mlflow_uri.startswith("http"):
        raise RegistryError(f"MLFLOW_TRACKING_URI names a server, which has a UI of its own: {home.mlflow_uri}")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", home.mlflow_uri]
    command += ["--default-artifact-root", ARTIFACTS]  # MLflow's own default: the working folder
    command += ["--workers", "1"]  # MLflow starts four, at 0.3 GB and seconds of imports each
    environment = {
        HOME_VARIABLE: str(home.root),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    command += ["--host", options.host, "--port", str(options.port)]
    os.execve(sys.executable, command, {**os.environ, **environment})
