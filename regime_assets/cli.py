"""The command `regime-assets`: what a user does outside the Dagster UI."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from regime_assets.library.home import Home
from regime_assets.library.universe import HORIZONS

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from regime_assets.library.chain import Chain
    from regime_assets.library.production.deployments import Deployment

DEFAULT_UNIVERSE = "us_large_cap"
REPLAY_HELP = "give a session's answer again from the stored inputs; exit code 1 if it differs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit code.

    What the package itself refuses is one message on stderr and code 1; anything else is a bug and keeps its traceback.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except Exception as error:
        if not type(error).__module__.startswith("regime_assets."):
            raise
        print(f"regime-assets: {error}", file=sys.stderr)
        return 1


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

    chosen = [_chain(options.universe).universe] if options.universe else load_universes([universes_folder()])
    for universe in chosen:
        print_status(Home.from_environment(), universe, Console())
    return 0


def _ui(options: argparse.Namespace) -> int:
    from regime_assets.instance import prepare_dagster_home

    environment = prepare_dagster_home(Home.from_environment())
    command = [sys.executable, "-m", "dagster", "dev", "-m", "regime_assets.definitions"]
    os.execve(sys.executable, [*command, "--host", options.host, "--port", str(options.port)], environment)


def _mlflow(options: argparse.Namespace) -> int:
    from regime_assets.library.production.mlflow_client import RegistryError

    home = Home.from_environment()
    if home.mlflow_uri.startswith("http"):
        raise RegistryError(f"MLFLOW_TRACKING_URI names a server, which has a UI of its own: {home.mlflow_uri}")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", home.mlflow_uri]
    command += ["--default-artifact-root", home.mlflow_artifacts.as_uri()]  # MLflow's own default: the working folder
    command += ["--workers", "1"]  # MLflow starts four, at 0.3 GB and seconds of imports each
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command += ["--host", options.host, "--port", str(options.port)]
    os.execve(sys.executable, command, {**os.environ, **environment})


def _roll_back(options: argparse.Namespace) -> int:
    from regime_assets.library.pipeline.promotion import roll_back

    print(roll_back(_chain(options.universe), options.horizon, options.reason, to=options.to))
    return 0


def _promote(options: argparse.Namespace) -> int:
    from regime_assets.library.pipeline.promotion import promote_by_hand

    print(promote_by_hand(_chain(options.universe), options.horizon, options.version, options.reason))
    return 0


def _quarantine(options: argparse.Namespace) -> int:
    from rich.console import Console

    from regime_assets.library.market.quarantine import as_text

    sessions = None if options.session is None else [options.session]
    rows = _chain(options.universe).quarantine.history(options.symbol, sessions)
    _print_table(as_text(rows), f"{options.universe}: {len(rows)} rows held back, times in UTC", Console())
    return 0


def _served(options: argparse.Namespace) -> int:
    from regime_assets.library.pipeline.replay import served

    for horizon, answers in served(_chain(options.universe), options.session).items():
        print(f"{options.universe}/{horizon}, {options.session}:" + ("" if answers else " nothing"))
        for answer in answers:
            print(f"  {_told(answer)}")
    return 0


def _replay(options: argparse.Namespace) -> int:
    from regime_assets.library.pipeline.replay import replay

    done = replay(_chain(options.universe), options.horizon, options.session)
    print(f"recorded: {_told(done.deployment)}")
    if done.equal:
        print("equal: the bundle gives the same answer to the stored inputs, to the bit")
        return 0
    print("different:", *done.differences, sep="\n  ")
    return 1


def _walk_forward(options: argparse.Namespace) -> int:
    from rich.console import Console

    from regime_assets.library.pipeline.history import HistorySettings, walk_history

    console = Console()
    settings = HistorySettings(
        options.first,
        options.last,
        options.refit_every,
        options.policy_every,
        options.full_retrain_every,
        embargo=options.embargo,
    )

    def progress(number: int, total: int, session: date) -> None:
        if number in (1, total) or number % 20 == 0:
            console.print(f"refit {number} of {total}, as of {session}")

    result = walk_history(_chain(options.universe), options.horizon, settings, progress)
    first, last = result.track.index[0], result.track.index[-1]
    title = f"{options.universe}, {options.horizon}: out of sample, net of costs, {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    _print_table(result.table, title, console)
    print(f"Report: {result.report}")
    return 0


def _proofs(options: argparse.Namespace) -> int:
    import tempfile
    from pathlib import Path

    from pandas import DataFrame
    from rich.console import Console

    from regime_assets.library.evaluation.proofs import Proof, run_proofs
    from regime_assets.library.pipeline.history import newest_complete_session

    console, chain, seen = Console(), _chain(options.universe), list[Proof]()
    with tempfile.TemporaryDirectory() as scratch:
        for proof in run_proofs(chain, newest_complete_session(chain), Path(scratch)):
            console.print(f"{'holds' if proof.holds else 'FAILED'}: {proof.name}")
            seen.append(proof)
    rows = DataFrame([(p.name, "holds" if p.holds else "FAILED", p.evidence) for p in seen])
    _print_table(rows.set_axis(["proof", "outcome", "evidence"], axis=1), options.universe, console)
    return 0 if all(proof.holds for proof in seen) else 1


def _print_table(rows: DataFrame, title: str, console: Console) -> None:
    from rich.table import Table

    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    for name in rows.columns:
        table.add_column(str(name), no_wrap=name in ("strategy", "95 %"), overflow="fold")
    for row in rows.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    console.print(table)


def _told(answer: Deployment) -> str:
    """One recorded answer in one line."""
    weights = ", ".join(f"{symbol} {weight:.2%}" for symbol, weight in answer.signal.weights.items())
    return (
        f"version {answer.model_version} (bundle {answer.bundle_sha256[:12]}, inputs {answer.inputs_hash[:12]}) "
        f"answered {answer.signal.regime}, exposure {answer.signal.exposure:.2%}, weights {weights}; "
        f"decided {answer.decided_at:%Y-%m-%d %H:%M:%S} UTC, {answer.reason}"
    )


def _chain(universe_name: str) -> Chain:
    from regime_assets.definitions import universes_folder
    from regime_assets.library.chain import Chain
    from regime_assets.library.universe import UniverseError, load_universes

    universes = {universe.name: universe for universe in load_universes([universes_folder()])}
    if universe_name not in universes:
        raise UniverseError(f"there is no universe {universe_name}; there are {', '.join(sorted(universes))}")
    return Chain(universes[universe_name], Home.from_environment())


def _said(reason: str) -> str:
    if not reason.strip():
        raise argparse.ArgumentTypeError("say why: it is kept in the promotion journal")
    return reason.strip()


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
        move.add_argument("horizon", choices=HORIZONS)
        if name == "promote":
            move.add_argument("version", type=int)
        else:
            move.add_argument("--to", type=int, help="an older version that served; the previous champion if left out")
        move.add_argument("--reason", type=_said, required=True, help="kept in the promotion journal")
        move.set_defaults(command=command)

    held = commands.add_parser("quarantine", help="print every refusal of data: what was held back, why, until when")
    held.add_argument("universe")
    held.add_argument("--symbol", help="one instrument; all of them when left out")
    held.add_argument("--session", type=date.fromisoformat, help="one session; all of them when left out")
    held.set_defaults(command=_quarantine)

    told = commands.add_parser("served", help="print what served a session, and with which answer")
    told.add_argument("universe")
    told.add_argument("session", type=date.fromisoformat)
    told.set_defaults(command=_served)

    again = commands.add_parser(
        "replay", help="give a session's answer again from the stored inputs; code 1 if it differs"
    )
    again.add_argument("universe")
    again.add_argument("horizon", choices=HORIZONS)
    again.add_argument("session", type=date.fromisoformat)
    again.set_defaults(command=_replay)

    walk = commands.add_parser("walk-forward", help="replay long history out of sample; run again, it goes on")
    walk.add_argument("universe")
    walk.add_argument("horizon", choices=HORIZONS)
    walk.add_argument("--first", type=date.fromisoformat, help="first decided session; the earliest when left out")
    walk.add_argument("--last", type=date.fromisoformat, help="last decided session; the newest when left out")
    for name, default, what in (
        ("refit", 5, "refits of VAE and regimes (default: 5)"),
        ("policy", 21, "refits of the policy (default: 21)"),
        ("full-retrain", 252, "retrains of everything from scratch, 0 for the first only (default: 252)"),
    ):
        walk.add_argument(f"--{name}-every", type=int, default=default, metavar="N", help=f"sessions between {what}")
    walk.add_argument(
        "--embargo", type=int, default=0, metavar="N", help="sessions before a refit that it does not train on"
    )
    walk.set_defaults(command=_walk_forward)

    shown = commands.add_parser("proofs", help="show what must hold on a universe's own prices; code 1 if one fails")
    shown.add_argument("universe")
    shown.set_defaults(command=_proofs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
