"""What the assets of macro series and of company facts have in common: fetch, store, show what was known."""

import dagster as dg

from regime_assets.assets.lane import Lane, sessions_of
from regime_assets.assets.raw_prices import SOURCE_RETRIES
from regime_assets.library import tables
from regime_assets.library.universe import FundamentalsChoice, MacroChoice
from regime_assets.metadata import column_schema, figures, table
from regime_assets.resources import DataHome

COLUMNS = column_schema(tables.FACTS.shown)


def facts_asset(lane: Lane, name: str, choice: MacroChoice | FundamentalsChoice, about: str) -> dg.AssetsDefinition:
    """The asset `name`, which keeps the facts of `choice`."""

    @dg.asset(
        **lane.declare(
            name, kinds={"python", "duckdb"}, deps=[lane.after_itself(name)], description=about, metadata=COLUMNS
        ),
        retry_policy=SOURCE_RETRIES,
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome) -> None:
        from regime_assets.library.steps.facts import FactsError, known_facts, refresh_facts

        workspace, sessions = data.workspace(lane.universe), list(sessions_of(context))
        try:
            written = refresh_facts(workspace, choice, sessions, log=context.log.info)
        except FactsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        for session in sessions:
            known = known_facts(workspace, choice, session)
            metadata = figures(known.figures | written._asdict()) | {"latest": table(known.latest)}
            context.add_asset_metadata(metadata, partition_key=session.isoformat())

    return asset
