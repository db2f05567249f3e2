"""Materialize a first session and the next ones in this process, saying what happens."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta

import dagster as dg

from regime_assets.definitions import build_definitions, universes_folder
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.clock import clock
from regime_assets.library.file_lock import LockTimeoutError, file_lock
from regime_assets.library.home import Home
from regime_assets.library.lease import is_held
from regime_assets.library.market.universe_calendar import universe_calendar
from regime_assets.library.universe import Universe
from regime_assets.runs.dead_runs import ALIVE_STATUSES, end_dead_runs
from regime_assets.runs.plain_errors import plain_text
from regime_assets.runs.progress import told
from regime_assets.ui.processes import LOCATION

LINE_COLUMNS = 80
LONGEST_RUN_SECONDS = 14_400.0
"""As long as `dagster.yaml` lets a run last."""

LEFT_BY_A_FINISHED_UNIVERSE = 5
"""Sessions behind the chosen ones where the data have ended: one that is materialized next by hand needs a champion."""
# The UI lists a run under its job by the repository that this tag names; a run made in this process has no other.
SHOWN_IN_THE_UI = {".dagster/repository": f"__repository__@{LOCATION}"}


class FirstRunError(Exception):
    """A session could not be materialized; the message says which step failed and why."""


def first_run(home: Home, universe: Universe, sessions: int, first: date | None, say: Callable[[str], None]) -> None:
    """Materialize `sessions` consecutive sessions of a universe.

    Raises:
        FirstRunError: the universe does not have these sessions, or a session's run failed.
    """
    os.environ.update(prepare_dagster_home(home))
    chosen = chosen_sessions(universe, home, sessions, first)
    definitions = build_definitions(home, universes_folder())
    job = definitions.resolve_job_def(f"{universe.name}_daily")
    steps = [node.name for node in job.nodes]
    with dg.DagsterInstance.get() as instance:
        for ended in end_dead_runs(instance, home):
            say(f"ended: {ended}")
        for session in chosen:
            say(f"\n{universe.name}, session {session}")
            run_id = str(uuid.uuid4())
            with alone(home, universe, instance, say), told(instance, run_id, steps, say, LINE_COLUMNS):
                result = job.execute_in_process(
                    partition_key=session.isoformat(),
                    instance=instance,
                    run_id=run_id,
                    raise_on_error=False,
                    tags=SHOWN_IN_THE_UI,
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
            if not result.success:
                if not _is_a_challengers(universe, result):
                    raise FirstRunError(f"{universe.name}, {session}: {_failures(result)}")
                say(f"A challenger failed; the champion answers all the same. {_failures(result)}")


@contextmanager
def alone(home: Home, universe: Universe, instance: dg.DagsterInstance, say: Callable[[str], None]) -> Generator[None]:
    """Wait for other runs of the universe's sessions, and let other processes that do so wait for this block.

    Two at once would take each other's pool slots between their steps, and one would answer with the champion of before
    while the other one is about to promote. The daemon's queue counts this process's run as it counts its own.
    """
    lock = home.locks / f"{universe.name}.session-run.lock"
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(lock, 0.0))
        except LockTimeoutError:
            say(f"waits: another process runs a session of {universe.name}")
            held.enter_context(file_lock(lock, LONGEST_RUN_SECONDS))
        waited = False
        while others := _under_way(home, universe, instance):
            if not waited:
                say(f"waits: run {others[0]} of {universe.name} is under way")
            waited = True
            time.sleep(1.0)
        yield


def _under_way(home: Home, universe: Universe, instance: dg.DagsterInstance) -> list[str]:
    """The runs of the universe's sessions whose process lives; those that only walk history forward hinder nobody."""
    jobs = (f"{universe.name}_daily", f"{universe.name}_signal")
    return [
        run.run_id
        for run in instance.get_runs(dg.RunsFilter(statuses=ALIVE_STATUSES))
        if run.job_name in jobs
        and not (run.asset_selection and all(key.path[-1] == "walk_forward" for key in run.asset_selection))
        and is_held(home.run_lease(run.run_id)) is True
    ]


def chosen_sessions(universe: Universe, home: Home, count: int, first: date | None) -> tuple[date, ...]:
    """The sessions asked for: from `first` on, or the newest ones; a finished universe keeps some for later."""
    calendar = universe_calendar(universe, home.calendars)
    ended = clock.today(calendar.timezone) - timedelta(days=1)
    last = min(universe.last_partition or ended, ended)
    begin = universe.first_partition
    if first is not None and not begin <= first <= last:
        raise FirstRunError(
            f"{first} is no session that {universe.name} can materialize: it has those from {begin} to {last}. "
            "Give --first one of them, or change first_partition in its file."
        )
    available = calendar.sessions(first or begin, last)
    if len(available) < count:
        since = f"from {first} on" if first else f"from {begin} to {last}"
        raise FirstRunError(
            f"{universe.name} has {len(available)} sessions {since}, {count} were asked for. Ask for fewer."
        )
    spare = min(LEFT_BY_A_FINISHED_UNIVERSE, len(available) - count) if universe.last_partition == last else 0
    chosen = available[:count] if first else available[len(available) - count - spare : len(available) - spare]
    _refuse_early(universe, home, chosen[0])
    return chosen


def _refuse_early(universe: Universe, home: Home, session: date) -> None:
    """A session that no window reaches back from is a mistake in the file, told before any price is loaded."""
    from regime_assets.library.steps.first_partition import TooEarlyError, require_possible
    from regime_assets.library.workspace import Workspace

    try:
        require_possible(Workspace(universe, home), session)
    except TooEarlyError as error:
        raise FirstRunError(str(error)) from error


def _is_a_challengers(universe: Universe, result: dg.ExecuteInProcessResult) -> bool:
    """Whether nothing failed but the lane of a challenger, on which nothing else rests."""
    failed = [str(event.step_key).split("__") for event in result.all_events if event.is_step_failure]
    return bool(failed) and all(len(path) > 3 and path[2] in universe.challengers for path in failed)


def _failures(result: dg.ExecuteInProcessResult) -> str:
    lines: list[str] = []
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error:
            error = event.step_failure_data.error
            cause = error.cause or error
            lines.append(f"{(event.step_key or '').replace('__', '/')}: {plain_text(cause.message)}")
    return "\n".join(lines) or _failure_outside_steps(result)


def _failure_outside_steps(result: dg.ExecuteInProcessResult) -> str:
    """What a run says that failed before or between its steps: a resource that could not be had, for instance."""
    for event in reversed(result.all_events):
        if event.event_type == dg.DagsterEventType.RUN_FAILURE:
            error = event.job_failure_data.error
            while error is not None and error.cause is not None and not error.message.startswith("regime_assets."):
                error = error.cause
            return plain_text(error.message) if error is not None else str(event.message)
    return "the run ended without a word"
