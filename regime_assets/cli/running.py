"""Commands that run the graph and its servers: first-run, ui, mlflow."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from regime_assets.cli.arguments import at_least_one, session
from regime_assets.cli.printing import say
from regime_assets.cli.workspaces import open_universe
from regime_assets.library.home import HOME_VARIABLE, Home


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """first-run, ui, mlflow."""
    first = commands.add_parser("first-run", help="materialize a few sessions and print what came out")
    first.add_argument("--universe", help="its name; the only one when left out")
    first.add_argument("--sessions", type=at_least_one, default=3, help="how many consecutive sessions (default: 3)")
    first.add_argument("--first", type=session, help="the first of them; the newest ones when left out")
    first.set_defaults(command=_first_run)

    ui = commands.add_parser("ui", help="open the Dagster UI and its daemon on the data folder")
    levels = ("critical", "error", "warning", "info", "debug")
    ui.add_argument("--log-level", choices=levels, default="error", help="of what is printed (default: error)")
    mlflow = commands.add_parser("mlflow", help="open the MLflow UI on the data folder")
    for server, port, command in ((ui, 3000, _ui), (mlflow, 5000, _mlflow)):
        server.add_argument("--host", default="127.0.0.1", help="address to bind to (default: 127.0.0.1)")
        server.add_argument("--port", type=at_least_one, default=port, help=f"default: {port}")
        server.set_defaults(command=command)


def _first_run(options: argparse.Namespace) -> int:
    say("Loading (up to half a minute the first time) ...")  # what follows imports a second of Dagster and more
    from regime_assets.cli.shown import say_morning
    from regime_assets.first_run import first_run
    from regime_assets.library.steps.morning import morning
    from regime_assets.library.workspace import Workspace

    home, universe = Home.from_environment(), open_universe(options.universe)
    first_run(home, universe, options.sessions, options.first, say)
    say()
    say_morning(morning(Workspace(universe, home)))
    own = _called_as()
    say(
        f"\nEverything is stored in {home.root}.\nNext:\n"
        f"  {own} ui       the graph, the checks, the plots and the reports\n"
        f"  {own} status   what you have just read, any time\n"
        f"  {own} --help   the rest"
    )
    return 0


def _called_as() -> str:
    """How the user called the command, so that what is printed can be typed."""
    called = Path(sys.argv[0])
    if called.name != "regime-assets":
        return "python -m regime_assets.cli"
    here = Path.cwd()
    return str(called.relative_to(here)) if called.is_relative_to(here) else called.name


def _ui(options: argparse.Namespace) -> int:
    from regime_assets.ui.processes import run_dagster

    # Both end the processes that were started. A script that starts this in the background has them inherit that
    # Ctrl-C is ignored, and Dagster's code server then ignores SIGTERM too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run_dagster(Home.from_environment(), options.host, options.port, options.log_level, say)
    except KeyboardInterrupt:
        say("\nEnded.")
    return 0


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
