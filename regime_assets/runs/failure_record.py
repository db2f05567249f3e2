"""Every failure goes into a small file, and out of it when the same succeeds: the pages show what is in it.

Assets and jobs are heard of by hooks, sensors and schedules by a decorator, and a run whose process died by whoever
finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import date
from functools import wraps
from typing import TYPE_CHECKING, TypeVar

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    PARTITION_NAME_TAG,
)

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.runs.plain_errors import plain_message

if TYPE_CHECKING:
    from regime_assets.library.universe import Universe
    from regime_assets.resources import DataHome


ContextT = TypeVar("ContextT")
AnswerT = TypeVar("AnswerT")

_without_failure: set[tuple[Home, str, str]] = set()
"""Ticks of this process, the only one that evaluates them, of which no failure is kept."""

UNIVERSE_TAG = "regime_assets/universe"


def failure_hooks(universe: Universe) -> set[dg.HookDefinition]:
    """The hooks of a universe's assets and jobs."""

    @dg.failure_hook(name=f"{universe.name}_failed", required_resource_keys={"data"})
    def failed(context: dg.HookContext) -> None:
        from regime_assets.library.report.failures import record_failure
        from regime_assets.library.steps.morning import publish_morning

        data: DataHome = context.resources.data
        why = plain_message(context.op_exception) if context.op_exception else "the step ended without an error"
        record_failure(data.home(), universe.name, _step(context, universe), _session(context), why)
        publish_morning(data.workspace(universe))

    @dg.success_hook(name=f"{universe.name}_succeeded", required_resource_keys={"data"})
    def succeeded(context: dg.HookContext) -> None:
        from regime_assets.library.report.failures import RUN, forget_failures, recorded_failures

        data: DataHome = context.resources.data
        if recorded_failures(data.home(), universe.name):  # hardly ever: which session it is need not be looked up
            forget_failures(data.home(), universe.name, (_step(context, universe), RUN), _session(context))

    return {failed, succeeded}


@contextmanager
def tick_of(universe: str, name: str) -> Generator[None]:
    """Keep what a sensor or schedule raises of a universe, until a tick of it succeeds."""
    from regime_assets.library.report.failures import TICK, forget_failures, record_failure

    home, today = Home.from_environment(), clock.today()
    subject = (home, universe, name)
    try:
        yield
    except Exception as error:
        _without_failure.discard(subject)
        record_failure(home, universe, f"{TICK} {name}", today, plain_message(error))
        raise
    if subject not in _without_failure:  # asked once, and not at every tick: the file may be a network away
        forget_failures(home, universe, (f"{TICK} {name}",), today)
        _without_failure.add(subject)


def recorded_tick(universe: str, name: str) -> Callable[[Callable[[ContextT], AnswerT]], Callable[[ContextT], AnswerT]]:
    """`tick_of` around the whole of a sensor or schedule that is one universe's own."""

    def recorded(evaluate: Callable[[ContextT], AnswerT]) -> Callable[[ContextT], AnswerT]:
        @wraps(evaluate)
        def tick(context: ContextT) -> AnswerT:
            with tick_of(universe, name):
                return evaluate(context)

        return tick

    return recorded


def record_dead_run(home: Home, run: dg.DagsterRun, why: str) -> None:
    """Keep that a run's process is gone: no hook of it runs any more."""
    from regime_assets.library.report.failures import RUN, record_failure

    if universe := run.tags.get(UNIVERSE_TAG):
        record_failure(home, universe, RUN, _session_of(run), why)


def _step(context: dg.HookContext, universe: Universe) -> str:
    from regime_assets.library.report.failures import JOB

    is_asset = context.step_key.startswith(f"{universe.name}__")
    return context.step_key.replace("__", "/") if is_asset else f"{JOB} {context.job_name}"


def _session(context: dg.HookContext) -> date:
    """The newest session of the run; the day of one that has none."""
    run = context.instance.get_run_by_id(context.run_id)
    return clock.today() if run is None else _session_of(run)


def _session_of(run: dg.DagsterRun) -> date:
    named = run.tags.get(PARTITION_NAME_TAG) or run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    return date.fromisoformat(named) if named else clock.today()
