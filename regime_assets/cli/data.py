"""Commands on data: check, quarantine, reload."""

from __future__ import annotations

import argparse
from datetime import date

from regime_assets.cli.arguments import add_json, session, stated_reason
from regime_assets.cli.printing import say, say_json, say_table, say_wrapped
from regime_assets.cli.workspaces import open_workspace
from regime_assets.library.clock import clock


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """check, quarantine, reload."""
    checked = commands.add_parser(
        "check", help="ask the source about a universe's symbols, and propose lines for its file; code 1 on a problem"
    )
    checked.add_argument("universe")
    checked.add_argument("--fix", action="store_true", help="write the proposed lines into the file")
    checked.set_defaults(command=_check)
    held = commands.add_parser(
        "quarantine", help="print every refusal of data: what was held back, why, until when; or decide about one bar"
    )
    held.add_argument(
        "decision",
        nargs="?",
        choices=("accept", "correct", "retract"),
        help="accept a finding, correct a bar, or take a stored one back; prints the refusals when left out",
    )
    held.add_argument("universe")
    held.add_argument("--symbol", help="one instrument; all of them when left out")
    held.add_argument("--session", type=session, help="one session; all of them when left out")
    held.add_argument("--rule", help="accept: the rule that the bar breaks and that is right after all")
    for name in ("open", "high", "low", "close", "volume"):
        held.add_argument(f"--{name}", type=float, help=f"correct: the right {name}, as traded")
    held.add_argument("--reason", type=stated_reason, help="why; kept with the decision and shown with it")
    held.add_argument("--by", type=stated_reason, help="who decides")
    add_json(held)
    held.set_defaults(command=_quarantine)
    again = commands.add_parser(
        "reload", help="load a universe's whole history anew, as after a change of its source; earlier answers stay"
    )
    again.add_argument("universe")
    again.add_argument("--to", type=session, help="last session; the newest one that is over if left out")
    again.set_defaults(command=_reload)


def _check(options: argparse.Namespace) -> int:
    from regime_assets.definitions import universes_folder
    from regime_assets.library.steps.universe_check import check_universe
    from regime_assets.library.universe import load_universes
    from regime_assets.library.universe.file_edits import Edit, apply_edits, line_of

    workspace = open_workspace(options.universe)
    path = load_universes([universes_folder()]).paths[workspace.universe.name]
    checked = check_universe(workspace, say)
    say(f"{workspace.universe.name}: {checked.asked}")
    for note in checked.notes:
        say_wrapped(note, indent=2)
    for problem in checked.problems:
        where = f"{path}:{line_of(path, 'first_partition')}: " if problem.startswith("first_partition") else ""
        say_wrapped(f"PROBLEM {where}{problem}", indent=2)
    edits = [Edit(one.section, one.line, one.symbol) for one in checked.proposals]
    left = apply_edits(path, edits) if options.fix else edits
    for one, edit in zip(checked.proposals, edits, strict=True):
        done = "written" if edit not in left else "write"
        is_setting = one.section == "first_partition"
        setting = f"{one.section}: {one.line}" if is_setting else f"under {one.section}: - {one.line}"
        say(f"  {done} {setting}")
        say_wrapped(f"({one.why})", indent=4)
    if left and not options.fix:
        say(f"regime-assets check {workspace.universe.name} --fix writes these lines into {path}")
    return 1 if checked.problems or left else 0


def _quarantine(options: argparse.Namespace) -> int:
    from regime_assets.library.market.quarantine import as_text

    if options.decision is not None:
        return _decide(options)
    sessions = None if options.session is None else [options.session]
    workspace = open_workspace(options.universe)
    rows = as_text(workspace.quarantine.history(options.symbol, sessions))
    if options.json:
        say_json(rows.to_dict("records"))
    elif rows.empty:
        say_table(rows, f"{options.universe}: 0 rows held back")
    else:
        say_table(rows, f"{options.universe}: {len(rows)} rows held back, times in UTC")
    if not options.json:
        for entry in workspace.universe.accept:
            say(f"accepted in the file: {entry.told}")
        for one in workspace.decisions.standing():
            if options.symbol in (None, one.symbol) and options.session in (None, one.session):
                say(f"decided: {one.told}")
    return 0


def _decide(options: argparse.Namespace) -> int:
    from regime_assets.library.steps import bar_decisions

    needed = ["symbol", "session", "reason", "by", *(["rule"] if options.decision == "accept" else [])]
    lacking = [f"--{name}" for name in needed if getattr(options, name) is None]
    if lacking:
        raise bar_decisions.DecisionError(f"quarantine {options.decision} needs {', '.join(lacking)}")
    workspace, symbol, day = open_workspace(options.universe), options.symbol, options.session
    if options.decision == "accept":
        say(bar_decisions.accept(workspace, symbol, day, options.rule, options.reason, options.by))
    elif options.decision == "correct":
        stated = {name: getattr(options, name) for name in ("open", "high", "low", "close", "volume")}
        bar = {name: value for name, value in stated.items() if value is not None}
        say(bar_decisions.correct(workspace, symbol, day, bar, options.reason, options.by))
    else:
        say(bar_decisions.retract(workspace, symbol, day, options.reason, options.by))
    return 0


def _reload(options: argparse.Namespace) -> int:
    from regime_assets.library.steps.raw_prices import reload_history

    workspace = open_workspace(options.universe)
    calendar, universe = workspace.calendar, workspace.universe
    over = date.fromordinal(clock.today(calendar.timezone).toordinal() - 1)
    last = options.to or min(universe.last_partition or over, over)
    report = reload_history(workspace, calendar.sessions(universe.history_start, last)[-1], log=say)
    say(
        f"{universe.name}: {report.new_bars} new and {report.revised_bars} revised bars, {report.new_actions} new and "
        f"{report.revised_actions} revised actions. Sessions from now on see them; materialize the newest one next."
    )
    return 0
