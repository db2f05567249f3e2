"""The same universe file as a Dagster component, which `dg scaffold defs` makes.

    dg scaffold defs regime_assets.universe_component.UniverseComponent crypto

It writes a folder with `defs.yaml` and `universe.yaml`; the second is a universe file like any other. The commands of
`regime-assets` read it when `REGIME_ASSETS_UNIVERSES` names that folder.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component

from regime_assets.definitions import shared_definitions
from regime_assets.library.home import Home
from regime_assets.library.universe import load_universe
from regime_assets.universe_definitions import universe_chain, universe_sensors

START = Template("""\
# A universe of instruments; docs/data.md of regime_assets describes every field.
name: $name
source: {kind: yahoo}
calendar: XNYS
history_start: 2010-01-04
first_partition: 2015-01-02
symbols: [AAPL, MSFT, JPM, XOM, KO]
""")


class UniverseScaffolder(dg.Scaffolder):
    """Writes the component and the universe file that it reads."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """Write `defs.yaml` and `universe.yaml`."""
        scaffold_component(request, {"file": "universe.yaml"})
        folder = Path(request.target_path)
        (folder / "universe.yaml").write_text(START.substitute(name=folder.name))


@dg.scaffold_with(UniverseScaffolder)
class UniverseComponent(dg.Component, dg.Model, dg.Resolvable):
    """One universe: assets, checks, jobs, schedules and sensors of one universe file."""

    file: str = "universe.yaml"

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of the universe whose file lies beside `defs.yaml`.

        Raises:
            UniverseError: the file is not valid; every mistake is named with its line.
        """
        home = Home.from_environment()
        universe = load_universe(Path(context.path) / self.file)
        chain = universe_chain(universe, home)
        # Components do not know of each other: each has sensors of its own.
        sensors = dg.Definitions(sensors=universe_sensors([chain.watched], f"{universe.name}_"))
        return dg.Definitions.merge(chain.definitions, sensors, shared_definitions(home))
