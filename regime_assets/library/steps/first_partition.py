"""From which session on windows hold, told before a price is loaded."""

from __future__ import annotations

from datetime import date, timedelta

from regime_assets.library.market.findings import QualitySettings
from regime_assets.library.workspace import Workspace


class TooEarlyError(Exception):
    """A session that no window reaches back from; the message names the file's line and the first possible one."""


def first_possible_partition(workspace: Workspace, last: date) -> date | None:
    """The first session up to `last` whose windows, and the features' memory before them, lie in the history."""
    universe, calendar = workspace.universe, workspace.calendar
    history = calendar.sessions(universe.history_start, last)
    memory, fewest = workspace.design.memory_sessions, QualitySettings().window_sessions
    short = timedelta(days=universe.windows.short_calendar_days)
    for position in range(memory + fewest - 1, len(history)):
        session = history[position]
        in_short = len(calendar.sessions(session - short + timedelta(days=1), session))
        if position + 1 - in_short >= memory:
            return session
    return None


def early_first_partition(workspace: Workspace) -> str | None:
    """What is wrong with the file's `first_partition`, with its line; None when it can be fitted."""
    universe = workspace.universe
    possible = first_possible_partition(workspace, workspace.calendar.all_sessions[-1])
    if possible is not None and universe.first_partition >= possible:
        return None
    begins = (
        f"the first possible one is {possible}"
        if possible
        else "its history is too short to fit anything yet: begin it earlier (history_start)"
    )
    return (
        f"{universe.located('first_partition')}: {universe.first_partition} is too early to be fitted, {begins}; "
        f"{workspace.design.memory_sessions} sessions of memory and a whole window lie between history_start "
        f"{universe.history_start} and it. `regime-assets check {universe.name} --fix` writes it into the file"
    )


def require_possible(workspace: Workspace, session: date) -> None:
    """Raise a TooEarlyError for a session before the first one that can be fitted."""
    told = early_first_partition(workspace)
    possible = first_possible_partition(workspace, session) if told else session
    if told and possible is None:
        raise TooEarlyError(f"{session}: no window reaches back from this session. {told}")
