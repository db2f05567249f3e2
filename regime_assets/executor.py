"""The in-process executor, whose runs can be ended while they wait for a pool slot.

Dagster's own notes an interrupt and acts on it in a step; while it waits for a slot it never looks.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
from dagster._core.errors import raise_execution_interrupts
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig

from regime_assets.dead_runs import hold_run
from regime_assets.library.home import Home


class _Interruptible(dg.Executor):
    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> RetryMode:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self._inner.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        hold_run(Home.from_environment(), plan_context.run_id)
        with raise_execution_interrupts():
            yield from self._inner.execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema)
def interruptible_in_process_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """All steps in one process; a signal ends the run also while it waits."""
    return _Interruptible(dg.in_process_executor.executor_creation_fn(context))
