"""Splits and dividends that go ex within the short window, as they were known as of the session.

They were stored with the bars that they came with. Prices of a window are adjusted by the actions known as of its
session: one that becomes known later, or goes ex later, changes nothing here. A universe whose source gives adjusted
closes has none.
"""

import dagster as dg

from regime_assets.assets.lane import Lane, sessions_of
from regime_assets.library import tables
from regime_assets.metadata import column_schema, figures, table
from regime_assets.resources import DataHome

COLUMNS = column_schema(tables.ACTIONS.shown)


def corporate_actions(lane: Lane) -> dg.AssetsDefinition:
    """The asset that shows the actions known as of a session."""

    @dg.asset(
        **lane.declare(
            "corporate_actions", kinds={"duckdb"}, deps=[lane.key("raw_prices")], description=__doc__, metadata=COLUMNS
        )
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome) -> None:
        from regime_assets.library.steps.raw_prices import known_actions

        workspace = data.workspace(lane.universe)
        for session in sessions_of(context):
            actions = known_actions(workspace, session)
            counts = actions["kind"].value_counts()
            metadata = figures(
                {
                    "dagster/row_count": len(actions),
                    "splits": int(counts.get("split", 0)),
                    "dividends": int(counts.get("dividend", 0)),
                    "going_ex_on_the_session": int((actions["ex_session"] == session.isoformat()).sum()),
                }
            )
            metadata["actions"] = table(actions.iloc[::-1])
            context.add_asset_metadata(metadata, partition_key=session.isoformat())

    return asset
