"""What the assets of macro series and of company facts have in common: fetch, store, show what was known."""

import dagster as dg

from regime_assets.assets.lane import Lane, sessions_of
from regime_assets.assets.raw_prices import SOURCE_RETRIES
from regime_assets.library.universe import FundamentalsChoice, MacroChoice
from regime_assets.metadata import column_schema, figures, table
from regime_assets.resources import DataHome

COLUMNS = column_schema(
    {
        "universe": ("VARCHAR", "name of the universe"),
        "source": ("VARCHAR", "who delivered it"),
        "subject": ("VARCHAR", "series or company"),
        "fact": ("VARCHAR", "what is stated: the level of a series; concept and unit of a report"),
        "period": ("VARCHAR", "what it is stated about: a day, or first/last of a flow"),
        "value": ("DOUBLE", "as published then"),
        "published_at": ("TIMESTAMP", "UTC, the end of its day of publication in New York"),
        "known_at": ("TIMESTAMP", "UTC, from when on it counts"),
        "known_basis": ("VARCHAR", "archive, or observed where answers had been given without it"),
    }
)


def facts_asset(lane: Lane, name: str, choice: MacroChoice | FundamentalsChoice, about: str) -> dg.AssetsDefinition:
    """The asset `name`, which keeps the facts of `choice`."""

    @dg.asset(
        **lane.declare(name, kinds={"python", "duckdb"}, deps=[], description=about, metadata=COLUMNS),
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
