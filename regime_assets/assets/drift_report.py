"""Whether the market has left what the champion was trained on, by distances under calibrated thresholds.

The thresholds come from a block-bootstrapped null of the universe's own history, so that a stationary market raises
the alarm no more often than the alarm budget says. An alarm opens an episode; the drift sensor asks for one full
refresh an episode. Evidently's tables under the same thresholds lie beside the report of a session that is not calm.
"""

from typing import Any

import dagster as dg

from regime_assets.assets.lane import Lane, reported, sessions_of
from regime_assets.library import tables
from regime_assets.metadata import column_schema, figures, picture, report_link, table
from regime_assets.resources import DataHome

EPISODE_METADATA = "episode"
REFRESH_METADATA = "refresh_requested"

COLUMNS = column_schema(tables.DRIFT_REPORT.shown)


def drift_report(lane: Lane) -> dg.AssetsDefinition:
    """The asset that measures drift."""

    @dg.asset(
        **lane.declare(
            "drift_report",
            kinds={"evidently", "duckdb"},
            deps=[lane.key("validated_window"), lane.key("champion")],
            description=__doc__,
            metadata=COLUMNS,
        )
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome) -> None:
        from regime_assets.library.report.figures import drift_bars
        from regime_assets.library.steps.drift_report import report_drift
        from regime_assets.library.steps.episode_history import episode_history

        workspace = data.workspace(lane.universe)
        shown = reported(lane, context)
        for session in sessions_of(context):
            drift = report_drift(workspace, lane.horizon, session, page=session in shown)
            metadata: dict[str, Any] = {
                **figures(drift.figures),
                EPISODE_METADATA: dg.MetadataValue.text(drift.episode_id or ""),
                REFRESH_METADATA: dg.MetadataValue.bool(drift.refresh_requested),
                "status": dg.MetadataValue.text(drift.status),
                "scores": table(drift.scores),
                "episodes": table(episode_history(workspace, lane.horizon, session)),
            }
            if drift.report is not None:
                metadata["drift"] = picture(drift_bars(drift.ratios, 1.0), "statistics against thresholds")
                metadata["report"] = report_link(drift.report)
            context.add_asset_metadata(metadata, partition_key=session.isoformat())

    return asset
