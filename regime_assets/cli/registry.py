"""Commands on versions and answers: roll-back, promote, served, replay."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from regime_assets.cli.arguments import add_json, session, stated_reason
from regime_assets.cli.printing import say, say_json, say_wrapped
from regime_assets.cli.workspaces import open_workspace
from regime_assets.library.universe import HORIZONS

if TYPE_CHECKING:
    from regime_assets.library.production.deployments import Deployment


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """roll-back, promote, served, replay."""
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
        move.add_argument("--reason", type=stated_reason, required=True, help="kept in the promotion journal")
        move.set_defaults(command=command)

    told = commands.add_parser("served", help="print what served a session, and with which answer")
    told.add_argument("universe")
    told.add_argument("session", type=session)
    add_json(told)
    told.set_defaults(command=_served)

    again = commands.add_parser(
        "replay", help="give a session's answer again from the stored inputs; code 1 if it differs"
    )
    again.add_argument("universe")
    again.add_argument("horizon", choices=HORIZONS)
    again.add_argument("session", type=session)
    again.set_defaults(command=_replay)


def _roll_back(options: argparse.Namespace) -> int:
    from regime_assets.library.steps.promotion import roll_back

    say(roll_back(open_workspace(options.universe), options.horizon, options.reason, to=options.to))
    return 0


def _promote(options: argparse.Namespace) -> int:
    from regime_assets.library.steps.promotion import promote_by_hand

    say(promote_by_hand(open_workspace(options.universe), options.horizon, options.version, options.reason))
    return 0


def _served(options: argparse.Namespace) -> int:
    from regime_assets.library.steps.answer_replay import served

    by_horizon = served(open_workspace(options.universe), options.session)
    if options.json:
        say_json({horizon: [asdict(answer) for answer in answers] for horizon, answers in by_horizon.items()})
        return 0
    for horizon, answers in by_horizon.items():
        say(f"{options.universe}/{horizon}, {options.session}:" + ("" if answers else " nothing"))
        for answer in answers:
            say_wrapped(_told(answer), indent=2)
    return 0


def _replay(options: argparse.Namespace) -> int:
    from regime_assets.library.steps.answer_replay import replay

    done = replay(open_workspace(options.universe), options.horizon, options.session)
    say_wrapped(f"recorded: {_told(done.deployment)}")
    if done.equal:
        say("equal: the bundle gives the same answer to the stored inputs, to the bit")
        return 0
    say("\n  ".join(["different:", *done.differences]))
    say(
        "\n  ".join(["not as it was:", *(done.causes or ["neither data nor code nor machine: it was not recorded so"])])
    )
    return 1


def _told(answer: Deployment) -> str:
    """One recorded answer in one line."""
    weights = ", ".join(f"{symbol} {weight:.2%}" for symbol, weight in answer.signal.weights.items())
    return (
        f"version {answer.model_version} (bundle {answer.bundle_sha256[:12]}, inputs {answer.inputs_hash[:12]}) "
        f"answered {answer.signal.regime}, exposure {answer.signal.exposure:.2%}, weights {weights}; "
        f"decided {answer.decided_at:%Y-%m-%d %H:%M:%S} UTC, {answer.reason}"
    )
