"""What the run of a session imports, for the process that runs are forked from (`warm_runs`).

Belongs here: modules, nothing that reads a file, opens a connection or starts a thread. A module that is missing is
imported by the run itself, later.
"""

import importlib
import os
import pkgutil
import warnings

import dagster as dg

import regime_assets

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # whose client would start a thread

DAGSTER = (
    "dagster",
    "dagster._cli.api",
    "dagster._core.execution.api",
    "dagster._grpc.impl",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster_mlflow.resources",
)
LIBRARIES = (
    "IPython",  # where it is installed, MLflow asks it whether this is a notebook
    "alembic",
    "arch.bootstrap",
    "duckdb",
    "exchange_calendars",
    "git",  # MLflow's, of a run's source
    "jinja2",
    "mlflow",
    "mlflow.tracing.processor.base_mlflow",
    "mlflow.tracing.provider",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "opentelemetry.sdk.metrics",
    "pandas",
    "pyarrow",
    "safetensors.numpy",
    "safetensors.torch",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.mixture",
    "torch",
    "torch._dynamo",  # which the first step of an optimizer imports, with sympy, whether or not anything is compiled
    "yaml",
)
ROOMS = (
    "assets",
    "library.encoders",
    "library.evaluation",
    "library.features",
    "library.market",
    "library.monitoring",
    "library.policies",
    "library.production",
    "library.regimes",
    "library.report",
    "library.steps",
    "library.upkeep",
    "runs",
)
"""Packages of this project of which a run uses most modules."""


def own_modules() -> list[str]:
    """The modules of `ROOMS`, but for this one."""
    names: list[str] = []
    for room in ROOMS:
        package = importlib.import_module(f"{regime_assets.__name__}.{room}")
        names += [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    return [name for name in names if name != __name__]


code_server = os.getppid()
for label in (dg.BetaWarning, dg.PreviewWarning):  # as the definitions do, which are not imported here
    warnings.filterwarnings("ignore", category=label)
for module in (*DAGSTER, *LIBRARIES, *own_modules()):
    if os.getppid() != code_server:  # it has ended; a fork server looks for that only after its imports
        os._exit(0)
    try:
        importlib.import_module(module)
    except ImportError:
        continue
