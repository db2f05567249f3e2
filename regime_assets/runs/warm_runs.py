"""Runs as forks of one process that has everything imported already.

Dagster's code server starts every run in a fresh interpreter, which spends some twenty CPU seconds on imports before
the first step. Python's own fork server does that once: it imports, forks for each run, and runs nothing itself.
Everything else stays Dagster's: the code server notices a run's process that died, ends a run that is cancelled, and is
replaced, together with its fork server, when the code location reloads. A fork server that is gone is started again for
the next run. Universes' files are read anew by each run, as before; changed Python code is seen from the next reload.
"""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing import forkserver
from typing import Any

COLD_VARIABLE = "REGIME_ASSETS_COLD_RUNS"
"""Set to 1, each run starts in an interpreter of its own, which needs less memory while nothing runs."""

CONTEXT = "_mp_ctx"
"""The attribute in which Dagster's code server keeps the way it starts processes. It offers no setting for that."""

_log = logging.getLogger("regime_assets")

PRELOADED = "regime_assets.runs.warm_imports"


def fork_runs_in_code_server() -> bool:
    """In a process that serves this code location to Dagster, let runs be forks; anywhere else do nothing.

    Returns:
        Whether they will be.
    """
    if not is_code_server() or os.environ.get(COLD_VARIABLE) == "1":
        return False
    from dagster._grpc.server import DagsterApiServer

    if not starts_runs_by(DagsterApiServer.StartRun):
        _log.warning(
            "runs are not forks of a process that has imported what they need: this Dagster starts them in another way "
            "than the one that regime_assets knows. Each spends some twenty CPU seconds on imports"
        )
        return False
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    # A property of the class goes before the attribute that the server gives itself.
    setattr(DagsterApiServer, CONTEXT, property(lambda _: context, lambda *_: None))
    forkserver.ensure_running()  # imports while nobody waits
    return True


def starts_runs_by(start_run: Callable[..., Any]) -> bool:
    """Whether the function that starts a run does so by the attribute `CONTEXT`."""
    code = getattr(inspect.unwrap(start_run), "__code__", None)
    return code is not None and CONTEXT in code.co_names


def is_code_server() -> bool:
    """Whether this process serves this code location to Dagster."""
    serves = sys.argv[1:3] == ["api", "grpc"] and "dagster._grpc.server" in sys.modules
    return serves and multiprocessing.parent_process() is None  # a forked run has the code server's arguments
