"""Materialize a first session and the next ones in this process, saying what happens, and print what came out."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from logging import INFO
from textwrap import shorten

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from regime_assets.definitions import build_definitions, universes_folder
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.market.universe_calendar import universe_calendar
from regime_assets.library.universe import Universe, load_universes

POLL_SECONDS = 0.5


class FirstRunError(Exception):
    """A session could not be materialized; the message says which step failed and why."""


def first_run(home: Home, universe_name: str, sessions: int, first: date | None) -> None:
    """Materialize `sessions` consecutive sessions of a universe and print a table of them.

    Raises:
        FirstRunError: a session's run failed.
        UniverseError: the universe is unknown, or its file does not load.
    """
    console = Console()
    os.environ.update(prepare_dagster_home(home))
    universe = load_universes([universes_folder()]).named(universe_name)
    chosen = _sessions(universe, home, sessions, first)
    definitions = build_definitions(home, universes_folder())
    job = definitions.resolve_job_def(f"{universe.name}_daily")
    with dg.DagsterInstance.get() as instance:
        for session in chosen:
            console.print(f"\n[bold]{universe.name}, session {session}[/bold]")
            run_id = str(uuid.uuid4())
            with _progress(instance, run_id, console):
                result = job.execute_in_process(
                    partition_key=session.isoformat(),
                    instance=instance,
                    run_id=run_id,
                    raise_on_error=False,
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
            if not result.success:
                raise FirstRunError(f"{universe.name}, {session}: {_failures(result)}")
    print_status(home, universe, console)


def print_status(home: Home, universe: Universe, console: Console) -> None:
    """The newest sessions' regimes, weights and out-of-sample figures, and where the reports lie."""
    from regime_assets.library.steps.status import status_rows
    from regime_assets.library.workspace import Workspace

    rows = status_rows(Workspace(universe, home))
    if rows.empty:
        console.print(f"{universe.name}: nothing was materialized yet")
        return
    title = f"{universe.name}: out of sample, net of costs, beside buy & hold (b&h)"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    figures = rows.drop(columns="report")
    for name in figures.columns:
        table.add_column(str(name), no_wrap=name not in ("weights", "gate"), overflow="fold")
    for row in figures.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    console.print(table)
    console.print("Newest reports (open in any browser):")
    for report in rows["report"].tail(2):
        console.print(f"  {home.root / report}", soft_wrap=True)


def _sessions(universe: Universe, home: Home, count: int, first: date | None) -> tuple[date, ...]:
    calendar = universe_calendar(universe, home.calendars)
    last = universe.last_partition or date.fromordinal(clock.today(calendar.timezone).toordinal() - 1)
    available = calendar.sessions(first or universe.first_partition, last)
    chosen = available[:count] if first else available[-count:]
    if len(chosen) < count:
        raise FirstRunError(
            f"{universe.name} has {len(chosen)} sessions from {first} to {last}, {count} were asked for"
        )
    return chosen


@contextmanager
def _progress(instance: dg.DagsterInstance, run_id: str, console: Console) -> Iterator[None]:
    """Print from the event log each step of a run as it ends, and what it says of its progress before."""
    started, done = time.monotonic(), threading.Event()

    def watch() -> None:
        cursor: str | None = None
        while True:
            finished = done.wait(POLL_SECONDS)
            seen = instance.get_records_for_run(run_id, cursor)
            cursor = seen.cursor
            for record in seen.records:
                line = _line(record.event_log_entry)
                if line:
                    console.print(f"  {time.monotonic() - started:6.1f} s  {line}")
            if finished and not seen.has_more:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _line(entry: dg.EventLogEntry) -> str | None:
    step = (entry.step_key or "").replace("__", "/")
    if entry.dagster_event is None:
        said = entry.user_message.splitlines()
        return f"[dim]      {step}: {escape(shorten(said[0], 160))}[/dim]" if said and entry.level == INFO else None
    if entry.dagster_event_type == dg.DagsterEventType.STEP_SUCCESS:
        return f"[green]done[/green]  {step}"
    if entry.dagster_event_type == dg.DagsterEventType.STEP_FAILURE:
        return f"[red]FAILED[/red]  {step}"
    return None


def _failures(result: dg.ExecuteInProcessResult) -> str:
    lines: list[str] = []
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error:
            error = event.step_failure_data.error
            cause = error.cause or error
            lines.append(f"{event.step_key}: {cause.message.strip()}")
    return "\n".join(lines)
