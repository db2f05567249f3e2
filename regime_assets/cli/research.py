"""Commands that ask how good a model is: walk-forward, proofs."""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from regime_assets.cli.arguments import session
from regime_assets.cli.printing import say, say_table
from regime_assets.cli.workspaces import open_workspace
from regime_assets.library.universe import HORIZONS

BOTH = "both"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """walk-forward, proofs."""
    walk = commands.add_parser("walk-forward", help="replay long history out of sample; run again, it goes on")
    walk.add_argument("universe")
    walk.add_argument("horizon", choices=(*HORIZONS, BOTH), help=f"one of them, or {BOTH} side by side")
    walk.add_argument("--first", type=session, help="first decided session; the earliest when left out")
    walk.add_argument("--last", type=session, help="last decided session; the newest when left out")
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


def _walk_forward(options: argparse.Namespace) -> int:
    if options.horizon == BOTH:
        return _side_by_side(options)
    from regime_assets.library.research.long_walk import HistorySettings, walk_history

    settings = HistorySettings(
        options.first,
        options.last,
        options.refit_every,
        options.policy_every,
        options.full_retrain_every,
        embargo=options.embargo,
    )

    def progress(number: int, total: int, as_of: date) -> None:
        if number in (1, total) or number % 20 == 0:
            say(f"refit {number} of {total}, as of {as_of}")

    result = walk_history(open_workspace(options.universe), options.horizon, settings, progress)
    first, last = result.track.index[0], result.track.index[-1]
    title = f"{options.universe}, {options.horizon}: out of sample, net of costs, {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    say_table(result.table, title)
    say(f"Report: {result.report}")
    return 0


def _side_by_side(options: argparse.Namespace) -> int:
    """A walk of each horizon in a process of its own. A horizon's refits start from each other and stay in order."""
    open_workspace(options.universe)  # a name that does not exist is told once
    flags = [
        f"--{name.replace('_', '-')}={value}"
        for name in ("first", "last", "refit_every", "policy_every", "full_retrain_every", "embargo")
        if (value := getattr(options, name)) is not None
    ]

    def walk(horizon: str) -> int:
        command = [sys.executable, "-m", "regime_assets.cli", "walk-forward", options.universe, horizon, *flags]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                say(f"{horizon:<6}{line.rstrip()}")
            return process.wait()

    with ThreadPoolExecutor(len(HORIZONS)) as threads:
        return max(threads.map(walk, HORIZONS))


def _proofs(options: argparse.Namespace) -> int:
    import tempfile
    from pathlib import Path

    from pandas import DataFrame

    from regime_assets.library.research.long_walk import newest_complete_session
    from regime_assets.library.research.proofs import Proof, run_proofs

    workspace, seen = open_workspace(options.universe), list[Proof]()
    with tempfile.TemporaryDirectory() as scratch:
        for proof in run_proofs(workspace, newest_complete_session(workspace), Path(scratch)):
            say(f"{'holds' if proof.holds else 'FAILED'}: {proof.name}")
            seen.append(proof)
    rows = DataFrame([(p.name, "holds" if p.holds else "FAILED", p.evidence) for p in seen])
    say_table(rows.set_axis(["proof", "outcome", "evidence"], axis=1), options.universe)
    return 0 if all(proof.holds for proof in seen) else 1
