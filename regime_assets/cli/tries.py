"""Commands that ask whether another design is better: try, search, compare, backtest."""

from __future__ import annotations

import argparse
import os
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_assets.cli.arguments import session
from regime_assets.cli.printing import say, say_table, say_wrapped
from regime_assets.cli.workspaces import open_workspace
from regime_assets.library.universe import HORIZONS

if TYPE_CHECKING:
    from regime_assets.library.research.long_walk import HistorySettings
    from regime_assets.library.research.tries import Pair
    from regime_assets.library.workspace import Workspace


REPORT = re.compile(r"\d{4}-\d\d-\d\d(:[a-z0-9_]+)?")
"""A session's report, and a challenger's of that session."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """try, search, compare, backtest."""
    one = commands.add_parser(
        "try", help="walk another design forward beside the universe's own; run again, it goes on"
    )
    one.add_argument("universe")
    one.add_argument("horizon", choices=HORIZONS)
    one.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE", dest="assignments",
        help="what differs, such as encoder.n_latents=4; may be repeated",
    )  # fmt: skip
    one.add_argument("--design", type=Path, metavar="FILE", help="what differs as YAML, written as a challenger is")
    _add_range(one)
    _add_cadence(one)
    one.set_defaults(command=_try)

    many = commands.add_parser("search", help="let Optuna propose designs from a space; every one is counted")
    many.add_argument("universe")
    many.add_argument("horizon", choices=HORIZONS)
    many.add_argument("space", type=Path, help="YAML: setting → {int: [2, 6]}, {float: [.3, 3]} or {choice: [..]}")
    many.add_argument("--trials", type=int, default=40, help="designs in all (default: 40)")
    many.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="walks at a time (default: all cores)")
    many.add_argument("--name", default="search", help="a search of the same name goes on (default: search)")
    _add_range(many)
    _add_cadence(many, refit=63, policy=126)
    many.set_defaults(command=_search)

    two = commands.add_parser("compare", help="two sessions, registered versions or designs side by side")
    two.add_argument("universe")
    two.add_argument("horizon", choices=HORIZONS)
    two.add_argument(
        "a",
        help="a session (2024-06-28, or 2024-06-28:CHALLENGER), a version's number, `design`, or a challenger",
    )
    two.add_argument("b", help="the same")
    two.add_argument("--html", action="store_true", help="write a page, too; the reports' index lists it")
    _add_range(two)
    _add_cadence(two)
    two.set_defaults(command=_compare)

    frozen = commands.add_parser("backtest", help="score a registered version as it is, never refitted")
    frozen.add_argument("universe")
    frozen.add_argument("horizon", choices=HORIZONS)
    frozen.add_argument("--version", type=int, required=True)
    _add_range(frozen)
    frozen.set_defaults(command=_backtest)


def _add_range(command: argparse.ArgumentParser) -> None:
    command.add_argument("--first", type=session, help="first session; the earliest that can be when left out")
    command.add_argument("--last", type=session, help="last session; the newest when left out")


def _add_cadence(command: argparse.ArgumentParser, refit: int = 5, policy: int = 21) -> None:
    for name, default, what in (
        ("refit", refit, "refits of encoder and regimes"),
        ("policy", policy, "refits of the policy"),
        ("full-retrain", 252, "retrains from scratch"),
    ):
        text = f"sessions between {what} (default: {default})"
        command.add_argument(f"--{name}-every", type=int, default=default, metavar="N", help=text)


def _settings(options: argparse.Namespace) -> HistorySettings:
    from regime_assets.library.research.long_walk import HistorySettings

    return HistorySettings(
        options.first, options.last, options.refit_every, options.policy_every, options.full_retrain_every
    )


def _progress(whose: str, number: int, total: int, as_of: date) -> None:
    if number in (1, total) or number % 20 == 0:
        say(f"{whose}: refit {number} of {total}, as of {as_of}")


def _try(options: argparse.Namespace) -> int:
    import yaml

    from regime_assets.library.research.tries import TryError, assigned, patched_design, try_design
    from regime_assets.library.research.try_report import write_pair

    workspace = open_workspace(options.universe)
    patch: dict[str, Any] = {}
    if options.design:
        if not options.design.is_file():
            raise TryError(f"there is no file {options.design}")
        patch = yaml.safe_load(options.design.read_text()) or {}
    if options.design and options.assignments:
        raise TryError("say what differs by --set or by --design, not by both")
    patch = patch or assigned(options.assignments)
    design = patched_design(workspace.universe, patch)
    pair = try_design(workspace, options.horizon, design, _settings(options), _progress)
    _show(options, pair)
    say(f"Report: {write_pair(workspace, options.horizon, pair, design.hash_for(options.horizon)[:12])}")
    return 0


def _search(options: argparse.Namespace) -> int:
    import yaml

    from regime_assets.library.research.search import Proposal, as_assignments, judged_by, read_space, search
    from regime_assets.library.research.tries import assigned

    def told(one: Proposal) -> None:
        outcome = one.refusal if one.gain is None else f"Sharpe of its {decider} {one.gain:+.2f} over the design's"
        say(f"trial {one.number + 1}: {', '.join(as_assignments(one.values))}: {outcome}")

    workspace, space = open_workspace(options.universe), read_space(options.space)
    decider = judged_by(space)
    found, best = search(
        workspace, options.horizon, space, _settings(options), options.trials, options.processes, options.name, told
    )
    refused = sum(one.gain is None for one in found)
    say(f"{len(found)} designs, {refused} of them without a figure")
    if best is None:
        say("No design could be held against the universe's own.")
        return 0
    measured = [one for one in found if one.gain is not None]
    chosen = max(measured, key=lambda one: one.gain or 0.0)
    _show(options, best)
    patch = yaml.safe_dump(assigned(as_assignments(chosen.values)), default_flow_style=True).strip()
    say(f"To gather evidence that no search has seen, declare it in the universe file:\nchallengers:\n  found: {patch}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    workspace = open_workspace(options.universe)
    if REPORT.fullmatch(options.a) and REPORT.fullmatch(options.b):
        return _compare_reports(options, workspace, options.a.replace(":", " "), options.b.replace(":", " "))
    from regime_assets.library.research.compared_pair import compared_pair, write_compared
    from regime_assets.library.research.side_by_side import compare_sides

    found = compare_sides(workspace, options.horizon, (options.a, options.b), _settings(options), _progress)
    _show(options, found.pair)
    for note in found.notes:
        say_wrapped(note)
    if options.html:
        page = compared_pair(workspace, options.horizon, found.pair, found.notes, found.made)
        say(f"Page: {write_compared(workspace, options.horizon, page, found.pair.sessions[-1].date())}")
    return 0


def _compare_reports(options: argparse.Namespace, workspace: Workspace, first: str, second: str) -> int:
    import pandas as pd

    from regime_assets.library.report.compared_reports import compared_reports
    from regime_assets.library.research.compared_pair import write_compared

    found = compared_reports(workspace.home.reports / workspace.universe.name / options.horizon, first, second)
    for section in found.sections:
        differing = [{"": row.label, found.names[0]: row.first, found.names[1]: row.second} for row in section.shown]
        if differing and not section.only_differing:
            say_table(pd.DataFrame(differing), section.title)
            say()
    for sentence in found.said:
        say_wrapped(sentence)
    if options.html:
        say(f"Page: {write_compared(workspace, options.horizon, found, date.fromisoformat(max(first, second)[:10]))}")
    return 0


def _backtest(options: argparse.Namespace) -> int:
    from regime_assets.library.research.side_by_side import backtest_version

    done = backtest_version(
        open_workspace(options.universe), options.horizon, options.version, options.first, options.last
    )
    first, last = done.sessions[0], done.sessions[-1]
    say_table(done.table, f"{options.universe}, {options.horizon}: version {options.version}, {first} to {last}")
    for note in done.notes:
        say_wrapped(note)
    return 0


def _show(options: argparse.Namespace, pair: Pair) -> None:
    first, last = pair.sessions[0], pair.sessions[-1]
    say_table(pair.table, f"{options.universe}, {options.horizon}: net of costs, {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    for sentence in pair.verdict():
        say_wrapped(sentence)
