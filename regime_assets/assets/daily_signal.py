"""What to hold after this session: the champions of both horizons, scored and combined.

The champion as of the session answers, whether or not the session's own bundle was promoted. What served, on which
inputs and with which answer goes into the deployment log. A session that nothing served is skipped, with the reason.
"""

from datetime import timedelta

import dagster as dg

from regime_assets.assets.lane import Lane, sessions_of
from regime_assets.library import tables
from regime_assets.metadata import column_schema, figures, table
from regime_assets.resources import DataHome

SKIPPED = "skipped"

COLUMNS = column_schema(tables.DAILY_SIGNAL.shown)


def daily_signal(lane: Lane, deps: list[dg.AssetKey], longest_break: timedelta) -> dg.AssetsDefinition:
    """The asset that scores the champions.

    A signal that is older than the calendar's longest break and a day is stale in the UI, and alerts can hear of it.

    Args:
        lane: of the universe.
        deps: what it reads.
        longest_break: between two sessions of the calendar.
    """
    live = lane.universe.last_partition is None
    fresh = dg.FreshnessPolicy.time_window(fail_window=longest_break + timedelta(days=1)) if live else None

    @dg.asset(
        **lane.declare("daily_signal", kinds={"numpy", "duckdb"}, deps=deps, description=__doc__, metadata=COLUMNS),
        freshness_policy=fresh,
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome) -> None:
        from regime_assets.library.steps.daily_signal import NoChampionError, serve
        from regime_assets.library.steps.morning import publish_morning

        workspace = data.workspace(lane.universe)
        for session in sessions_of(context):
            try:
                served = serve(workspace, session)
            except NoChampionError as nothing:
                context.log.warning(str(nothing))
                metadata = {SKIPPED: dg.MetadataValue.text(str(nothing))}
                context.add_asset_metadata(metadata, partition_key=session.isoformat())
                continue
            metadata = figures(served.figures) | {
                "regime": dg.MetadataValue.text(served.regime),
                "weights": table(served.weights),
                "horizons": table(served.horizons),
                "why_this_regime": table(served.why),
                "warnings": dg.MetadataValue.text("; ".join(served.warnings) or "none"),
            }
            context.add_asset_metadata(metadata, partition_key=session.isoformat())
        publish_morning(workspace)

    return asset
