"""The same sessions on one machine, and what is stored of a session wherever it ran, as hashes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cluster_universes import days, names


def run_alone(home: Path, count: int, sessions: int) -> None:
    """The same sessions in the data folder of one machine, one after the other in this process."""
    import dagster as dg

    from regime_assets.definitions import build_definitions
    from regime_assets.instance import prepare_dagster_home
    from regime_assets.library.home import Home

    place = Home(home)
    os.environ.update(prepare_dagster_home(place))
    definitions = build_definitions(place, Path(os.environ["REGIME_ASSETS_UNIVERSES"]))
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.get() as instance:
        for day in days(sessions):
            for name in names(count):
                job = definitions.resolve_job_def(f"{name}_daily")
                ran = job.execute_in_process(partition_key=day, instance=instance, run_config=quiet)
                assert ran.success, (name, day)


def answers(home: Path, count: int) -> dict[str, list[str]]:
    """What is stored of every universe and session, by a name: hashes, of answers in the order in which they came.

    A session is answered again when a run that failed is tried again and another champion serves by then: the newest
    answer counts, and none is there twice.
    """
    from regime_assets.library.home import Home
    from regime_assets.library.production.bundle import verify_bundle
    from regime_assets.library.production.names import model_name
    from regime_assets.library.universe import HORIZONS, load_universe
    from regime_assets.library.workspace import Workspace

    found: dict[str, list[str]] = {}
    for name in names(count):
        universe = load_universe(Path(os.environ["REGIME_ASSETS_UNIVERSES"]) / f"{name}.yaml")
        workspace = Workspace(universe, Home(home))
        for row in workspace.database.query("SELECT horizon, session, kind, sha256 FROM models").to_dict("records"):
            place = f"model {name} {row['horizon']} {row['session']:%Y-%m-%d} {row['kind']}"
            found.setdefault(place, []).append(str(row["sha256"]))
        said = "bundle_sha256, inputs_hash, exposure, weights, posteriors"
        sql = f"SELECT horizon, session, {said} FROM deployments ORDER BY number"
        for row in workspace.database.query(sql).to_dict("records"):
            place = f"answer {name} {row['horizon']} {row['session']:%Y-%m-%d}"
            told = "|".join(str(row[key]) for key in said.split(", "))
            found.setdefault(place, []).append(hashlib.sha256(told.encode()).hexdigest())
        signals = workspace.database.query("SELECT as_of, symbol, weight FROM daily_signal ORDER BY as_of, symbol")
        for (day, symbol), rows in signals.groupby(["as_of", "symbol"]):
            found[f"signal {name} {day:%Y-%m-%d} {symbol}"] = [float(weight).hex() for weight in rows["weight"]]
        for horizon in HORIZONS:
            model = model_name(name, horizon)
            for stored in workspace.registry.versions(model):
                verify_bundle(stored.path, stored.sha256)  # on a machine that never saw it
                found.setdefault(f"version {model} {stored.session}", []).append(stored.sha256)
            champion = workspace.registry.champion(model)
            found[f"champion {model}"] = [champion.sha256 if champion else "none"]
    return found
