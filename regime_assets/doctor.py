"""The doctor's round: machine, stores, what serves, and Dagster, in the order in which one rests on the other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import dagster as dg

from regime_assets.dagster_health import dagster_findings
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import RESTORE, Home
from regime_assets.library.open_database import universe_database
from regime_assets.library.steps.stores_in_step import newest_answer
from regime_assets.library.universe import Universe
from regime_assets.library.upkeep.findings import Finding
from regime_assets.library.upkeep.machine_health import clock_finding, machine_findings
from regime_assets.library.upkeep.store_health import (
    SHARED_TABLES,
    serving_findings,
    sqlite_findings,
    table_findings,
    table_subject,
)
from regime_assets.library.workspace import Workspace


def examine(home: Home, universes: Sequence[Universe], repair: bool) -> Iterator[Finding]:
    """Look at everything of a data folder; with `repair`, put right what another store still knows.

    Raises:
        DataFolderError: there is no data folder that could be looked at.
    """
    os.environ.update(prepare_dagster_home(home))
    tables = list(table_findings(home))
    broken = {finding.subject for finding in tables if finding.level == "fault"}
    readable = [universe for universe in universes if not broken & {SHARED_TABLES, _tables(home, universe)}]
    yield from machine_findings(home, universes)
    yield clock_finding(home, readable)
    yield from tables
    records = list(sqlite_findings(home, repair))
    yield from records
    for universe in readable:
        workspace = Workspace(universe, home)
        yield from serving_findings(workspace, repair)
    if any(finding.level == "fault" and finding.subject.startswith(home.dagster.name) for finding in records):
        return
    with dg.DagsterInstance.get() as instance:
        yield from dagster_findings(instance, home, repair)
        for universe in readable:
            yield from _records(instance, Workspace(universe, home))


def _records(instance: dg.DagsterInstance, workspace: Workspace) -> Iterator[Finding]:
    """Whether Dagster recorded the newest answer that the tables have; its sensors go by what it recorded."""
    name = workspace.universe.name
    answered = newest_answer(workspace)
    recorded = max(instance.get_materialized_partitions(dg.AssetKey([name, "daily_signal"])), default=None)
    if answered is not None and (recorded is None or recorded < answered.isoformat()):
        newest = f"the newest one that it has is of {recorded}" if recorded else "it has none"
        remedy = (
            f"{RESTORE}; without one the sensors ask for the sessions after that again, which ends in the same bits"
        )
        what = f"has no record of {name}'s answer of {answered}, {newest}: it is older, or was lost"
        yield Finding("warning", f"{workspace.home.dagster.name}/history/runs/index.db", what, remedy)


def _tables(home: Home, universe: Universe) -> str:
    return table_subject(home, universe_database(home, universe.name))
