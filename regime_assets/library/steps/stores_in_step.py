"""Whether the tables are those that the other stores were written with, or an older or another file in their place.

What is published and what is fitted last says how far the tables had come. A session that is fitted on tables which
have lost the one before would end in other bits, and nobody would know why.
"""

from __future__ import annotations

from datetime import date, datetime

from regime_assets.library.home import RESTORE
from regime_assets.library.production.deployments import DEPLOYMENTS_TABLE
from regime_assets.library.production.lineage import stored_designs
from regime_assets.library.serving.published_signal import PublishedSignalError, read_published_signal
from regime_assets.library.universe import HORIZONS, Horizon
from regime_assets.library.workspace import Workspace


class StoresDifferError(Exception):
    """The tables have lost what another store knows of; the message names the file and what to do."""


def require_in_step(workspace: Workspace, session: date) -> None:
    """Refuse a session that would stand on tables which have lost sessions before it.

    Raises:
        StoresDifferError: they have, or the ledger knows nothing of what was tried here.
    """
    lost = lost_sessions(workspace)
    if lost is not None and session > lost[0]:
        raise StoresDifferError(f"{lost_sentence(workspace, lost)}. {lost_remedy(lost)}")
    unknown = untried_designs(workspace)
    if unknown:
        raise StoresDifferError(f"{ledger_sentence(workspace, unknown)}. {ledger_remedy()}")


def lost_sessions(workspace: Workspace) -> tuple[date, date] | None:
    """The first and the last session that was answered and published, and that the tables do not know."""
    try:
        published = read_published_signal(workspace.home.mlflow_artifacts, workspace.universe.name)
    except PublishedSignalError:
        return None  # it says nothing; the session's own answer replaces it
    if published is None:
        return None
    last, newest = published.signal.session, newest_answer(workspace)
    if newest is None:
        return last, last
    return None if newest >= last else (workspace.calendar.next(newest), last)


def lost_sentence(workspace: Workspace, lost: tuple[date, date]) -> str:
    """What is wrong with the tables."""
    signal = f"{workspace.home.mlflow_artifacts.name}/{workspace.universe.name}.signal.json"
    return (
        f"{workspace.database.place}: does not know the answer of {lost[1]}, which {signal} has: the file is older, is "
        "another one, or was lost"
    )


def lost_remedy(lost: tuple[date, date]) -> str:
    """What to do about it."""
    first, last = lost
    which = f"{first}" if first == last else f"{first} to {last}, oldest first,"
    return (
        f"{RESTORE.capitalize()}; without one, materialize {which} again before any later session. To begin "
        "anew on purpose, delete the published signal as well"
    )


def untried_designs(workspace: Workspace) -> list[tuple[Horizon, str]]:
    """The designs of which models are stored, and that the ledger of trials does not know."""
    name, found = workspace.universe.name, list[tuple[Horizon, str]]()
    for horizon in HORIZONS:
        stored = stored_designs(workspace.database, name, horizon) if workspace.database.exists() else ()
        if stored:
            known = workspace.ledger.designs(name, horizon)
            found.extend((horizon, design) for design in stored if design not in known)
    return found


def ledger_sentence(workspace: Workspace, unknown: list[tuple[Horizon, str]]) -> str:
    """What is wrong with the ledger."""
    named = ", ".join(f"{horizon} {design[:8]}" for horizon, design in unknown[:4])
    return (
        f"{workspace.ledger.place}: does not know designs whose models are stored ({named}): it is older, or was lost"
    )


def ledger_remedy() -> str:
    """What to do about it."""
    return (
        f"{RESTORE.capitalize()}; without one, `regime-assets doctor --repair` writes them down again as declared "
        "today, and other tries stay forgotten"
    )


def declare_again(workspace: Workspace, unknown: list[tuple[Horizon, str]], now: datetime) -> None:
    """Write designs down as declared now: what came before is replay for them, which promises less and not more."""
    for horizon, design in unknown:
        workspace.ledger.start(workspace.universe.name, horizon, design, workspace.universe.held, "daily", now)


def newest_answer(workspace: Workspace) -> date | None:
    """The newest session that the tables have an answer of."""
    if not workspace.database.exists() or not workspace.database.has_table(DEPLOYMENTS_TABLE):
        return None
    sql = f"SELECT max(session) FROM {DEPLOYMENTS_TABLE} WHERE universe = ?"
    ((newest,),) = workspace.database.rows(sql, [workspace.universe.name])
    return newest.date() if isinstance(newest, datetime) else newest
