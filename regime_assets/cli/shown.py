"""Commands that show where things stand: status, history."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from regime_assets.cli.arguments import add_json
from regime_assets.cli.printing import say, say_json, say_wrapped
from regime_assets.cli.workspaces import open_universes, open_workspace, warn_of_broken
from regime_assets.library.home import Home
from regime_assets.library.universe import HORIZONS, OWN_DESIGN

if TYPE_CHECKING:
    from regime_assets.library.report.morning import Horizon, Morning


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """status, history."""
    status = commands.add_parser("status", help="print what a morning asks: answer, champion, drift, what failed")
    status.add_argument("--universe", help="one universe; all of them when left out")
    add_json(status)
    status.set_defaults(command=_status)

    history = commands.add_parser("history", help="print who was champion when, and when the regime changed")
    history.add_argument("universe", nargs="?", help="its name; the only one when left out")
    history.add_argument("--horizon", choices=HORIZONS, help="one horizon; both when left out")
    add_json(history)
    history.set_defaults(command=_history)


def _status(options: argparse.Namespace) -> int:
    from regime_assets.library.steps.morning import morning
    from regime_assets.library.upkeep.data_format import open_data_folder
    from regime_assets.library.workspace import Workspace

    home, universes = open_data_folder(Home.from_environment()), open_universes()
    chosen = [universes.named(options.universe)] if options.universe else universes.loaded
    found = [morning(Workspace(universe, home)) for universe in chosen]
    if options.json:
        say_json([each.to_document() for each in found])
        return warn_of_broken(universes)
    for number, each in enumerate(found):
        if number:
            say()
        say_morning(each)
    return warn_of_broken(universes)


def say_morning(found: Morning) -> None:
    """Print one universe at a glance."""
    if found.session is None:
        if found.failures:
            say(f"{found.universe}: no answer yet, because no model may serve")
        else:
            say(f"{found.universe}: no session was materialized yet")
            say(f"  regime-assets first-run --universe {found.universe} materializes three.")
        _say_trouble(found)
        return
    from regime_assets.library.report.plain_words import VERDICTS, weights_in_words

    exposure = _share(found.exposure)
    before = "" if found.exposure_before in (None, found.exposure) else f" (it was {_share(found.exposure_before)})"
    say(f"{found.universe}, {found.session}: {found.regime}, hold {exposure} invested{before}")
    say_wrapped(f"weights: {weights_in_words(found.weights, _share)}", indent=2)
    for horizon in found.horizons:
        _say_horizon(horizon)
    _say_trouble(found)
    say("  last sessions:")
    for answer in found.recent:
        said = [f"{name}: {VERDICTS.get(verdict, verdict)}" for name, verdict in answer.verdicts.items()]
        verdicts = ", ".join(said) or "no new model"
        say_wrapped(f"{answer.session}  {answer.regime:<10} {_share(answer.exposure):>5}  {verdicts}", indent=4)


def _say_horizon(horizon: Horizon) -> None:
    from regime_assets.library.report.plain_words import ACTIONS, HORIZONS, VERDICTS, gate_reason

    since = f"since {horizon.since}" if horizon.since else "for over a year"
    regime = f"{horizon.regime}, {_share(horizon.probability)} probable, {since}; exposure {_share(horizon.exposure)}"
    say(f"  {horizon.name}: {HORIZONS[horizon.name]}")
    say_wrapped(regime, indent=4)
    age = "fitted on this session" if horizon.age == 0 else f"fitted {horizon.age} sessions ago"
    whose = "" if horizon.design == OWN_DESIGN else f" of {horizon.design}"
    say_wrapped(f"champion: version {horizon.version}{whose}, {age}, serves since {horizon.serving_since}", indent=4)
    if horizon.left_behind:
        say_wrapped(f"NOT REFITTED: {horizon.left_behind}", indent=4)
    if gate := horizon.gate:
        done = "serves" if gate.promoted else VERDICTS.get(gate.outcome, gate.outcome)
        say_wrapped(f"new model of {gate.session}: {done}: {gate_reason(gate.reason)}", indent=4)
    for other in horizon.challengers:
        judged = f", {other.session}: {VERDICTS.get(other.outcome, other.outcome)}" if other.session else ""
        say_wrapped(f"challenger {other.name}{judged}: {gate_reason(other.reason)}", indent=4)
    if drift := horizon.drift:
        say_wrapped(f"drift: {drift.status}, {_share(drift.ratio)} of its bound ({drift.feature})", indent=4)
    if live := horizon.live:
        earned = f"{live.path[-1][1]:+.1%} in {live.sessions} session(s)" if live.path else live.waiting
        say_wrapped(f"live record: {earned}", indent=4)
        say_wrapped(f"what follows: {ACTIONS.get(live.action, live.action)}: {live.reason}", indent=4)


def _say_trouble(found: Morning) -> None:
    if found.behind:
        say_wrapped(f"BEHIND: {found.behind} sessions without an answer, up to {found.due}", indent=2)
        say_wrapped("The daily schedule does them, or you in Dagster: open an asset, Materialize.", indent=4)
    for failure in found.failures:
        say_wrapped(f"FAILED: {failure.session}, {failure.what}: {failure.why}", indent=2)
        say_wrapped(failure.todo, indent=4)
    for day, symbol, why in found.held_back:
        say_wrapped(f"HELD BACK: {day} {symbol}: {why}", indent=2)
    if found.session and not (found.behind or found.failures or found.held_back):
        say("  nothing failed, nothing is held back, no session is missing")


def _history(options: argparse.Namespace) -> int:
    from regime_assets.library.steps.morning import champion_moves, lane_names, regime_switches

    workspace = open_workspace(options.universe)
    chosen = [options.horizon] if options.horizon else list(HORIZONS)
    found: dict[str, Any] = {}
    for horizon in chosen:
        designs = lane_names(workspace, horizon)
        champions = [
            {
                "session": move.session,
                "kind": move.kind.replace("_", "-"),
                "version": move.after.champion,
                "design": designs.get(move.after.champion, ""),
                "before": move.before.champion,
                "reason": move.reason,
                "by": move.author,
                "at": move.made_at,
            }
            for move in champion_moves(workspace, horizon)
        ]
        switches = [{"session": day, "from": was, "to": now} for day, was, now in regime_switches(workspace, horizon)]
        found[horizon] = {"champions": champions, "switches": switches}
    if options.json:
        say_json({"universe": workspace.universe.name, "horizons": found})
        return 0
    for horizon, told in found.items():
        say(f"{workspace.universe.name}/{horizon}, champions:" + ("" if told["champions"] else " none yet"))
        for move in told["champions"]:
            whose = "" if move["design"] in ("", OWN_DESIGN) else f" of {move['design']}"
            line = f"{move['session']}  {move['kind']}  version {move['version']}{whose}: {move['reason']}"
            say_wrapped(f"{line} ({move['by']}, {move['at']:%Y-%m-%d %H:%M} UTC)", indent=2)
        say(f"{workspace.universe.name}/{horizon}, changes of regime:" + ("" if told["switches"] else " none yet"))
        for switch in told["switches"]:
            say(f"  {switch['session']}  {switch['from']} to {switch['to']}")
    return 0


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"
