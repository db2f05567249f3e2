"""What to do about a finding: what to write into the universe's file, or which command to give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from regime_assets.library.market.calendar_rules import FEWEST_SYMBOLS
from regime_assets.library.market.findings import Finding, findings_frame
from regime_assets.library.universe.exceptions import ACCEPTABLE, CALENDAR_RULES, CLOSED, OPEN

if TYPE_CHECKING:
    from regime_assets.library.universe import Universe

SIGNED = "reason: ..., by: ..."

TOLD_IN_THE_FINDING = ("expected", "readable", "kept")
"""Rules on what arrives in a stream, whose findings say what to do."""


def way_out(finding: Finding, universe: Universe) -> str:
    """A sentence or two with the lines to write and the command that does the same."""
    session = "" if finding.session is None else finding.session.isoformat()
    if finding.rule in TOLD_IN_THE_FINDING:
        return ""
    if finding.rule in (*CALENDAR_RULES, "stale_session"):
        return _of_the_calendar(finding.rule, session, universe)
    if finding.rule == "held_back":
        return (
            "look at the symbols (`regime-assets quarantine`, `regime-assets check`): one that has ended gets `to:`, "
            "one that is halted an entry under suspended:; quality.held_back_share allows more"
        )
    if finding.rule == "known_symbol":
        spelled = (
            f"spell {finding.symbol} as this source does, or take it out: `regime-assets check {universe.name}` asks"
        )
        mended = f"mend or add the file of {finding.symbol}, or take the symbol out of the universe's file"
        return mended if universe.source.kind == "files" else spelled
    if finding.rule == "one_listing":
        return (
            f"if it is another company under the same ticker, name its first session: "
            f"`- {{symbol: {finding.symbol}, from: {session}}}`; if trading was halted, add under suspended: "
            f"`- {{symbol: {finding.symbol}, from: ..., to: ...}}`"
        )
    return " or ".join(_of_one_symbol(finding, universe, session))


def _of_the_calendar(rule: str, session: str, universe: Universe) -> str:
    def line(accepted: str) -> str:
        return f"`- {{session: {session}, rule: {accepted}, {SIGNED}}}`"

    reload = "reload the code location afterwards"
    if rule == CLOSED:
        few = universe.instruments if len(universe.instruments) < FEWEST_SYMBOLS else ()
        command = f"regime-assets quarantine correct {universe.name} --symbol {{}} --session {session} --close ..."
        halted = "".join(f"; if {one} was halted, state its price: `{command.format(one)}`" for one in few)
        return (
            f"run again later if the source is late; if the exchange was closed, add to the universe's file under "
            f"accept: {line(CLOSED)} (`regime-assets check {universe.name} --fix` writes such lines for a whole "
            f"history); {reload}{halted}"
        )
    if rule == OPEN:
        return (
            f"if the exchange was open, add to the universe's file under accept: {line(OPEN)}; if it was closed and "
            f"the source has bars all the same, {line(CLOSED)} leaves them out; {reload}"
        )
    return (
        f"if the exchange was closed and the source repeats the day before, add under accept: {line(CLOSED)}; if the "
        f"market stood still: {line(rule)}; {reload}"
    )


def _of_one_symbol(finding: Finding, universe: Universe, session: str) -> Iterable[str]:
    symbol, name = finding.symbol, universe.name
    command = f"regime-assets quarantine {{}} {name} --symbol {symbol} --session {session}"
    if finding.rule in ACCEPTABLE:
        line = f"- {{symbol: {symbol}, session: {session}, rule: {finding.rule}, {SIGNED}}}"
        accept = f"{command.format('accept')} --rule {finding.rule} --reason ... --by ..."
        yield (
            f"if it is right, add to the universe's file under accept: `{line}`, or `{accept}`, or start the job "
            f"{name}_quarantine in the UI"
        )
    if finding.rule == "complete" and symbol in universe.held:
        yield "run again later if the source is late"
    elif finding.rule == "complete":
        yield (
            f"if it has ended, write `{{symbol: {symbol}, to: <its last session>}}`; if it begins later, `from:`; if "
            f"it is halted, add under suspended: `- {{symbol: {symbol}, from: {session}}}`; if its ticker is another, "
            f"name that and add under renamed: `- {{symbol: <new>, formerly: {symbol}, until: <last day>}}`"
        )
    if finding.rule == "unique" and universe.source.kind == "files":
        yield f"keep one of the rows of {session} in the file of {symbol}"
    if finding.rule == "finite" and universe.source.kind == "files":
        yield f"write the price of {session} into the file of {symbol}, or leave the row out"
    if finding.rule == "positive" and finding.field == "close":
        yield (
            "a close of zero or less has no return: begin behind it (`from:` or history_start), or watch another "
            "symbol, such as a fund or a back-adjusted series"
        )
    if session and finding.field not in ("split", "dividend"):
        yield f"state the right bar: `{command.format('correct')} --close ... --reason ... --by ...`"


def with_ways_out(findings: Iterable[Finding], universe: Universe) -> str:
    """The findings' messages with what to do about each. The UI's job takes the same decisions as the command."""
    return "\n".join(with_way_out(finding, universe) for finding in findings)


def with_way_out(finding: Finding, universe: Universe) -> str:
    """One finding's message with what to do about it."""
    way = way_out(finding, universe)
    return f"{finding.message}. Way out: {way}." if way else f"{finding.message}."


def ways_out_frame(findings: Sequence[Finding], universe: Universe) -> pd.DataFrame:
    """One row for each finding as `findings_frame` has it, and what to do about it in the column way_out."""
    frames = [findings_frame([finding]).assign(way_out=way_out(finding, universe)) for finding in findings]
    return pd.concat(frames, ignore_index=True)
