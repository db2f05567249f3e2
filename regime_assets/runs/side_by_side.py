"""The horizons of a run side by side: a process for each, which the run's own asks for one step after another.

Between prices and signal a universe's horizons have nothing to do with each other, so that two cores halve the time.
Dagster's executor for many processes starts one for every step, which would read windows and models again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterator
from importlib import import_module
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.storage.tags import PRIORITY_TAG

from regime_assets.runs import warm_runs
from regime_assets.runs.side_process import END_SECONDS, LOOK_SECONDS, SideProcess, Work

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.plan.step import ExecutionStep
    from dagster._core.executor.base import Executor

SIDE_TAG = "regime_assets/side"
"""Of a step: its side. The steps of one side are executed one after another, in one process."""


def can_run_side_by_side(plan: ExecutionPlan) -> bool:
    """Whether a plan has two sides and this machine two cores; a fork is safe on Linux alone."""
    return len(_sides(plan)) > 1 and has_cores(2)


def has_cores(number: int) -> bool:
    """Whether this process may use that many cores of a Linux machine."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) >= number


def execute_side_by_side(
    executor: Executor, context: PlanOrchestrationContext, plan: ExecutionPlan
) -> Iterator[dg.DagsterEvent]:
    """Execute the steps of a plan in a process for each side; one without a side belongs to the first.

    Steps of a lower priority wait until none of a higher one is ready or under way on any side: the signal reads what
    promotions wrote, although no edge of the graph says so.

    Raises:
        DagsterExecutionInterruptedError: a signal ended the run.
    """
    with (
        InstanceConcurrencyContext(context.instance, context.dagster_run) as slots,
        _Steps(plan, executor, slots) as steps,
    ):
        import_module(warm_runs.PRELOADED)  # once, and not in each process
        processes = {side: SideProcess(Work(executor, context, plan, keys)) for side, keys in steps.by_side.items()}
        try:
            while not steps.is_complete:
                if steps.check_for_interrupts():
                    yield from steps.following(_interrupted(processes.values()))
                    raise DagsterExecutionInterruptedError("the run was interrupted")
                idle = {side for side, process in processes.items() if process.step is None}
                while (step := steps.take(idle)) is not None:
                    side = steps.side(step)
                    processes[side].ask(step, steps.get_known_state())
                    idle.remove(side)
                yield from steps.concurrency_event_iterator(context)
                _wait(processes.values())
                for process in processes.values():
                    yield from steps.following(_told(process, executor, context, steps))
                yield from steps.plan_events_iterator(context)
        finally:
            for process in processes.values():
                process.close()


def _told(
    process: SideProcess, executor: Executor, context: PlanOrchestrationContext, steps: _Steps
) -> Iterator[dg.DagsterEvent]:
    """What a process has told since; of a step during which it ended, that it failed."""
    yield from process.heard()
    if process.step is not None and not process.is_busy:
        step, process.step = process.step, None
        if steps.is_under_way(step):
            failed = context.for_step(step)
            yield executor.log_failure_or_retry_event_after_error(failed, process.why_ended(), steps.get_known_state())


def _interrupted(processes: Collection[SideProcess]) -> Iterator[dg.DagsterEvent]:
    """End the steps that are under way, and give what they told."""
    for process in processes:
        process.interrupt()
    until = time.monotonic() + END_SECONDS
    while (busy := [process for process in processes if process.is_busy]) and time.monotonic() < until:
        _wait(busy)
        for process in busy:
            yield from process.heard()


def _wait(processes: Collection[SideProcess]) -> None:
    """Wait a moment for one of them to tell something."""
    wait([process.connection for process in processes if process.connection is not None], LOOK_SECONDS)


class _Steps(ActiveExecution):
    """The state of a plan's steps, of which one at a time is taken for a side that is idle."""

    def __init__(self, plan: ExecutionPlan, executor: Executor, pools: InstanceConcurrencyContext) -> None:
        super().__init__(
            plan,
            retry_mode=executor.retries,
            instance_concurrency_context=pools,
            step_dependency_config=executor.step_dependency_config,
        )
        self.by_side: dict[str, list[str]] = {side: [] for side in sorted(_sides(plan))}
        for step in plan.get_steps_to_execute_in_topo_order():
            self.by_side[self.side(step)].append(step.key)

    def side(self, step: ExecutionStep) -> str:
        """Whose process executes a step."""
        return step.tags.get(SIDE_TAG) or next(iter(self.by_side))

    def is_under_way(self, step: ExecutionStep) -> bool:
        """Whether a step was begun and has not told its end."""
        return step.key in self._in_flight

    def following(self, events: Iterator[dg.DagsterEvent]) -> Iterator[dg.DagsterEvent]:
        """Events as they come, each of which may end a step and give back the slot of its pool."""
        for event in events:
            yield event
            if event.step_key is not None:
                self.handle_event(event)

    def take(self, idle: Collection[str]) -> ExecutionStep | None:
        """A step to begin now on one of the idle sides; None where there is none, or where its pool has no slot."""
        self._update()
        ready = sorted(map(self.get_step_by_key, self._executable), key=_priority, reverse=True)
        under_way = map(self.get_step_by_key, self._in_flight)
        least = max(map(_priority, (*ready, *under_way)), default=0)
        for step in ready:
            if _priority(step) == least and self.side(step) in idle and self._begins(step):
                return step
        return None

    def _begins(self, step: ExecutionStep) -> bool:
        """Take a slot of the step's pool, and count it as under way."""
        others = [key for key in self._executable if key != step.key]
        self._executable = [step.key]
        taken = self.get_steps_to_execute(limit=1)
        self._executable += others
        return bool(taken)


def _sides(plan: ExecutionPlan) -> set[str]:
    return {step.tags[SIDE_TAG] for step in plan.get_steps_to_execute_in_topo_order() if SIDE_TAG in step.tags}


def _priority(step: ExecutionStep) -> int:
    return int(step.tags.get(PRIORITY_TAG, 0))
