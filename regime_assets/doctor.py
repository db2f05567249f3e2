"""The doctor's round: machine, stores, what serves, and Dagster, in the order in which one rests on the other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import dagster as dg

from regime_assets.dagster_health import dagster_findings
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.home import Home
from regime_assets.library.open_database import universe_database
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
    yield from sqlite_findings(home, repair)
    for universe in readable:
        workspace = Workspace(universe, home)
        if workspace.database.exists():
            yield from serving_findings(workspace, repair)
    with dg.DagsterInstance.get() as instance:
        yield from dagster_findings(instance, home, repair)


def _tables(home: Home, universe: Universe) -> str:
    return table_subject(home, universe_database(home, universe.name))
