"""Resources create plain domain objects and own no logic: the data folder, and the MLflow run of a Dagster run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
from pydantic import PrivateAttr

from regime_assets.library.home import Home
from regime_assets.library.universe import OWN_DESIGN
from regime_assets.runs.dead_runs import hold_run

if TYPE_CHECKING:
    from regime_assets.library.universe import Universe
    from regime_assets.library.workspace import Workspace

MLFLOW_EXPERIMENT = "regime_assets"
STORE_TIMEOUT_SECONDS = 120.0


class DataHome(dg.ConfigurableResource):
    """The data folder. Left empty, it is `$REGIME_ASSETS_HOME` or `./data` of the process that runs."""

    root: str = ""
    _opened: dict[str, "Workspace"] = PrivateAttr(default_factory=dict)

    def home(self) -> Home:
        """The folder's layout."""
        from regime_assets.library.upkeep.data_format import open_data_folder

        return open_data_folder(Home(Path(self.root)) if self.root else Home.from_environment())

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Tell the living run from a dead one, as long as this process lives."""
        if context.run_id:
            hold_run(self.home(), context.run_id)

    def workspace(self, universe: "Universe", lane: str = OWN_DESIGN) -> "Workspace":
        """The stores of one universe, opened once a run: what one of its assets has read, the next need not.

        Args:
            universe: whose.
            lane: the design that is fitted, a challenger's by its name.
        """
        from regime_assets.library.determinism import stay_single_threaded
        from regime_assets.library.window_reads import WindowReads
        from regime_assets.library.workspace import Workspace

        stay_single_threaded()
        if universe.name not in self._opened:
            self._opened[universe.name] = Workspace(universe, self.home(), WindowReads())
        if lane == OWN_DESIGN:
            return self._opened[universe.name]
        name = f"{universe.name}/{lane}"
        if name not in self._opened:
            self._opened[name] = self._opened[universe.name].of_lane(lane)
        return self._opened[name]


@dg.resource(
    description="One MLflow run for a Dagster run, by dagster-mlflow, closed with the outcome of the Dagster run.",
    required_resource_keys={"data"},
)
def mlflow_run(context: dg.InitResourceContext) -> Iterator[Any]:
    """dagster-mlflow's tracking resource, imported when a run needs it, and closed with the run's true outcome.

    dagster-mlflow itself closes a run by a hook, which does not exist for assets that are materialized from the UI;
    there a failed run would stay open. The event log knows whether a step failed, wherever the run came from.
    """
    import os

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import mlflow
    from dagster_mlflow.resources import MlFlow

    from regime_assets.library.production.code_version import code_version

    home: Home = context.resources.data.home()
    prepare_mlflow(home)
    tracker = MlFlow(_TrackingContext(context, home.mlflow_uri))
    if context.run is not None:
        mlflow.log_params({"sessions": _sessions(context.run), "job": context.run.job_name, "code": code_version()})
    try:
        yield tracker
    finally:
        mlflow.end_run(status="FAILED" if _has_failed_step(context) else "FINISHED")


def prepare_mlflow(home: Home) -> None:
    """Make the experiment with its artifacts inside the data folder, where a local store is used."""
    import logging

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    from regime_assets.library.deployment_lock import deployment_lock
    from regime_assets.library.lease import is_held
    from regime_assets.library.production.mlflow_client import ARTIFACTS, open_client, registry_errors, sqlite_file
    from regime_assets.library.production.tracked_fit import close_abandoned_runs
    from regime_assets.library.shared_storage import SharedStorage

    with deployment_lock(home.locks / "store.lock", STORE_TIMEOUT_SECONDS), registry_errors(home.mlflow_uri):
        client = open_client(home.mlflow_uri)
        if client.get_experiment_by_name(MLFLOW_EXPERIMENT) is None:
            client.create_experiment(MLFLOW_EXPERIMENT, ARTIFACTS if sqlite_file(home.mlflow_uri) else None)
    if sqlite_file(home.mlflow_uri):
        close_abandoned_runs(client, lambda run_id: is_held(home.run_lease(run_id)) is True)
    elif SharedStorage.from_environment() is not None:  # leases of all machines are known; elsewhere a server's are not
        close_abandoned_runs(client, lambda run_id: is_held(home.run_lease(run_id)) is not False)


class _TrackingContext:
    """What dagster-mlflow reads of a resource context, with the configuration that this project gives it."""

    def __init__(self, context: dg.InitResourceContext, tracking_uri: str) -> None:
        self.log = context.log
        self.dagster_run = _NamedRun(_run_name(context))
        self.run_id = context.run.run_id if context.run else None
        self.resource_config = {
            "experiment_name": MLFLOW_EXPERIMENT,
            "mlflow_tracking_uri": tracking_uri,
            "extra_tags": {},
        }


class _NamedRun(NamedTuple):
    """What dagster-mlflow names a run by."""

    job_name: str


def _run_name(context: dg.InitResourceContext) -> str:
    """A run by its universe and session, "us_large_cap 2022-12-28"; a range by both ends."""
    run = context.run
    if run is None:
        return "without a run"
    keys = sorted(run.asset_selection or ())
    universe = keys[0].path[0] if keys else run.job_name.removesuffix("_daily").removesuffix("_signal")
    return f"{universe} {_sessions(run)}".strip()


def _sessions(run: dg.DagsterRun) -> str:
    first, last = (run.tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end"))
    return run.tags.get("dagster/partition") or (f"{first} to {last}" if first else "")


def _has_failed_step(context: dg.InitResourceContext) -> bool:
    if context.run is None or context.instance is None:
        return False
    failures = context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return bool(failures)
