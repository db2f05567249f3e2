"""The process that executes one side of a run, and how the run's own process asks it for steps.

It is a fork of the run's process, which has loaded the definitions, has computed nothing, and has no connection open
that a fork would use. It stays for all steps of its side: what one of them has read, the next need not read again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.compute_logs import create_compute_log_file_key
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan import execute_plan
from dagster._utils.interrupts import capture_interrupts
from dagster_shared.error import SerializableErrorInfo

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import NoReturn

    from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.plan.state import KnownExecutionState
    from dagster._core.execution.plan.step import ExecutionStep
    from dagster._core.executor.base import Executor

LOOK_SECONDS = 0.25
"""Between two looks of a side's process whether the run's own still lives."""
END_SECONDS = 30.0
"""For which a process may go on that was told to end."""


@dataclass(frozen=True)
class Work:
    """What a side's process needs of its run.

    Attributes:
        executor: the run's.
        context: of the run, without resources: each process has its own.
        plan: all steps of the run.
        steps: the keys of those of this side.
    """

    executor: Executor
    context: PlanOrchestrationContext
    plan: ExecutionPlan
    steps: Sequence[str]


class SideProcess:
    """A side's process as the run's own sees it; it starts with the first step that it is asked for.

    Attributes:
        step: what it executes at the moment.
        connection: to the process, while it runs.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._process: int | None = None
        self._error: SerializableErrorInfo | None = None
        self.connection: Connection | None = None
        self.step: ExecutionStep | None = None

    def ask(self, step: ExecutionStep, state: KnownExecutionState) -> None:
        """Let it begin a step."""
        if self.connection is None:
            self._start()
        assert self.connection is not None, "it was started"
        self.step = step
        with suppress(BrokenPipeError):  # which `heard` finds
            self.connection.send((step.key, state))

    @property
    def is_busy(self) -> bool:
        """Whether it runs and executes a step."""
        return self.step is not None and self.connection is not None

    def _start(self) -> None:
        self.close()
        self.connection, theirs = multiprocessing.Pipe()
        parent = os.getpid()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or both processes would write what waits
        # Not a `multiprocessing.Process`, which a worker of Celery may not start: its children might outlive it.
        self._process = os.fork()
        if self._process == 0:
            self.connection.close()
            _work_and_exit(self._work, theirs, parent)
        theirs.close()

    def heard(self) -> Iterator[dg.DagsterEvent]:
        """The events that have arrived since."""
        try:
            while self.connection is not None and self.connection.poll():
                event: dg.DagsterEvent | None = self.connection.recv()
                if event is None:
                    self.step = None
                    continue
                if event.is_resource_init_failure:
                    self._error = event.engine_event_data.error
                yield event
        except (EOFError, ConnectionResetError):
            self._drop_connection()

    def _drop_connection(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def why_ended(self) -> SerializableErrorInfo:
        """Why it ended while it executed a step."""
        code = self._exit_code()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return self._error or SerializableErrorInfo(f"the process that executed the step {how}", [], None)

    def interrupt(self) -> None:
        """Let its step end as one that was interrupted."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGTERM)

    def close(self) -> None:
        """End it after its step; it is killed if that takes too long."""
        if self.connection is not None:
            with suppress(BrokenPipeError):
                self.connection.send(None)  # said, because the other side's process has this end open as well
            self._drop_connection()
        if self._process is not None:
            self._exit_code()

    def _exit_code(self) -> int:
        """How it ended, negative by which signal. It is killed where it does not end by itself."""
        assert self._process is not None, "it was started"
        until = time.monotonic() + END_SECONDS
        while True:
            ended, status = os.waitpid(self._process, os.WNOHANG)
            if ended:
                self._process = None
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                os.kill(self._process, signal.SIGKILL)
            time.sleep(0.01)


def _work_and_exit(work: Work, connection: Connection, parent: int) -> NoReturn:
    """All that the process does. What the run's own process does when it ends is not done here."""
    code = 1
    try:
        _serve(work, connection, parent)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _serve(work: Work, connection: Connection, parent: int) -> None:
    """Execute the steps that are asked for, and tell their events, until it is told to end."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    manager = PlanExecutionContextManager(
        job=work.context.job,
        retry_mode=work.executor.retries.for_inner_plan(),
        execution_plan=work.plan,
        run_config=work.context.run_config,
        dagster_run=work.context.dagster_run,
        instance=work.context.instance,
        raise_on_error=False,
        step_dependency_config=work.executor.step_dependency_config,
    )
    iterator = partial(_asked_for, connection, work.steps)
    with capture_interrupts(), suppress(DagsterExecutionInterruptedError, BrokenPipeError):
        for event in ExecuteRunWithPlanIterable(work.plan, iterator, manager):
            connection.send(event)


def _end_with(parent: int) -> None:
    """End at once when the run's own process is gone, as if both had been killed."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)


def _asked_for(
    connection: Connection, steps: Sequence[str], job_context: PlanExecutionContext, execution_plan: ExecutionPlan
) -> Iterator[dg.DagsterEvent]:
    """The events of each step that is asked for; None goes through the connection after those of each."""
    logs = job_context.instance.compute_log_manager
    log_key = logs.build_log_key_for_run(job_context.run_id, create_compute_log_file_key())
    with logs.capture_logs(log_key) as captured:
        yield dg.DagsterEvent.capture_logs(job_context, list(steps), log_key, captured)
        while True:
            asked = connection.recv()
            if asked is None:
                return
            key, state = asked
            step_context = job_context.for_step(execution_plan.get_step_by_key(key), state)
            told: list[dg.DagsterEvent] = []
            for event in execute_plan.dagster_event_sequence_for_step(step_context):
                told.append(event)
                yield event
            yield from execute_plan._trigger_hook(step_context, told)
            connection.send(None)
