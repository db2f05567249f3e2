"""Commands that ask how good a model is: walk-forward, proofs."""

from __future__ import annotations

import argparse
from datetime import date

from regime_assets.cli.arguments import session
from regime_assets.cli.printing import say, say_table
from regime_assets.cli.workspaces import open_workspace
from regime_assets.library.universe import HORIZONS


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """walk-forward, proofs."""
    walk = commands.add_parser("walk-forward", help="replay long history out of sample; run again, it goes on")
    walk.add_argument("universe")
    walk.add_argument("horizon", choices=HORIZONS)
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
