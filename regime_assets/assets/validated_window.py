"""The training window of one horizon as of one session: features, returns and recency weights, point in time.

`short` is a rolling window, `long` expands and weights recent sessions more. Prices are adjusted inside the window by
the corporate actions known as of its session, so a later split changes nothing here. Features at a session use that
session and earlier ones only; macro series and company facts that the universe names as features stand at the value
that was known then.
"""

import dagster as dg

from regime_assets.assets.lane import Lane, reported, sessions_of
from regime_assets.library import tables
from regime_assets.metadata import column_schema, figures, picture, table
from regime_assets.resources import DataHome

COLUMNS = column_schema(tables.VALIDATED_WINDOW.shown)


def validated_window(lane: Lane, deps: list[dg.AssetKey]) -> dg.AssetsDefinition:
    """The asset that reads, checks and stores the window."""

    @dg.asset(
        **lane.declare("validated_window", kinds={"duckdb", "numpy"}, deps=deps, description=__doc__, metadata=COLUMNS)
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome) -> None:
        from regime_assets.library.features.market_risk import cross_section
        from regime_assets.library.market.fact_features import FactFeatureError
        from regime_assets.library.market.window import WindowError
        from regime_assets.library.report.figures import feature_heatmap
        from regime_assets.library.steps.validated_window import validate_window

        workspace = data.workspace(lane.universe)
        drawn = reported(lane, context)
        for session in sessions_of(context):
            try:
                validated = validate_window(workspace, lane.horizon, session)
            except (WindowError, FactFeatureError) as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            window, training = validated.window, validated.training
            seasoned = cross_section(window.prices, workspace.design.memory_sessions)[-1]
            metadata = figures(
                {
                    "dagster/row_count": len(training.sessions),
                    "cross_section": int(seasoned.sum()),
                    "newest_sample_weight": float(training.sample_weight[-1]),
                    "market_volatility": float(
                        training.market_returns.tail(20).std() * lane.universe.sessions_per_year**0.5
                    ),
                }
            )
            members = lane.universe.instruments_on(session)
            waiting = [symbol for symbol in members if symbol not in set(window.prices.columns[seasoned])]
            metadata["too_young_for_features"] = dg.MetadataValue.text(", ".join(waiting) or "none")
            metadata["accepted_exceptions"] = dg.MetadataValue.md(
                "\n".join(f"- {line}" for line in window.accepted) or "none"
            )
            metadata["data_hash"] = dg.MetadataValue.text(training.data_hash)
            if session in drawn:
                metadata["features"] = picture(feature_heatmap(training.features), "features over the window")
            metadata["newest_rows"] = table(training.features.tail(5).reset_index())
            context.add_asset_metadata(metadata, partition_key=session.isoformat())

    return asset
