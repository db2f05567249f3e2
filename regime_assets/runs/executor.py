"""The executor of all jobs: both horizons side by side where a run has both, else all steps in the run's process.

A run that waits for a pool slot can be ended. Dagster's own in-process executor notes an interrupt and acts on it in a
step; while it waits for a slot it never looks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import dagster as dg
from dagster._core.errors import raise_execution_interrupts
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.executor.in_process import InProcessExecutor, inprocess_execution_iterator

from regime_assets.library.home import Home
from regime_assets.runs.dead_runs import hold_run
from regime_assets.runs.side_by_side import can_run_side_by_side, execute_side_by_side


class RunExecutor(InProcessExecutor):
    """Executes steps as Dagster's in-process executor does, or in a process for each horizon."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute the plan; this process is from now on the one that the run lives in."""
        hold_run(Home.from_environment(), plan_context.run_id)
        if can_run_side_by_side(execution_plan):
            yield dg.DagsterEvent.engine_event(
                plan_context,
                f"Executing the steps of both horizons side by side (pid: {os.getpid()})",
                event_specific_data=EngineEventData.multiprocess(os.getpid(), execution_plan.step_keys_to_execute),
            )
            yield from execute_side_by_side(self, plan_context, execution_plan)
            return
        yield dg.DagsterEvent.engine_event(
            plan_context,
            f"Executing steps in process (pid: {os.getpid()})",
            event_specific_data=EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute),
        )
        yield from ExecuteRunWithPlanIterable(
            execution_plan=plan_context.execution_plan,
            iterator=_interruptible,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=plan_context.execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=self.step_dependency_config,
            ),
        )


def _interruptible(job_context: PlanExecutionContext, execution_plan: ExecutionPlan) -> Iterator[dg.DagsterEvent]:
    with raise_execution_interrupts():
        yield from inprocess_execution_iterator(job_context, execution_plan)


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema)
def run_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """A process for each horizon, or one for all steps; a signal ends the run also while it waits."""
    configured = dg.in_process_executor.executor_creation_fn(context)
    return RunExecutor(configured.retries, configured.step_dependency_config, configured.marker_to_close)
