"""What the champion earned since it went live, beside what its own out-of-sample record led us to expect.

Two sequential tests with a budget of false alarms sum the shortfall: against that record, and against a predecessor
that runs in the champion's shadow. Turnover and slippage against plan stand beside it; predictive bands are drawn and
do not decide. With the drift monitor's state it leads to one of four answers: nothing, watch, full retrain, roll back
and alert.
"""

from typing import Any

import dagster as dg

from regime_assets.assets.lane import Lane, reported, sessions_of
from regime_assets.library import tables
from regime_assets.metadata import column_schema, figures, picture, report_link
from regime_assets.resources import DataHome

ACTION_METADATA = "action"
OCCASION_METADATA = "occasion"
REASON_METADATA = "reason"
ALERT_METADATA = "alert"
ROLL_BACK_METADATA = "roll_back_to"

COLUMNS = column_schema(tables.LIVE_PERFORMANCE.shown)


def live_performance(lane: Lane, signal: dg.AssetKey) -> dg.AssetsDefinition:
    """The asset that judges what was served."""

    @dg.asset(
        **lane.declare(
            "live_performance",
            kinds={"numpy", "duckdb"},
            deps=[signal, lane.key("drift_report")],
            description=__doc__,
            metadata=COLUMNS,
        )
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome) -> None:
        from regime_assets.library.report.figures import equity_and_drawdown
        from regime_assets.library.report.figures_live import FEWEST_DRAWN, live_bands
        from regime_assets.library.shared_files import file_exists
        from regime_assets.library.steps.live_performance import watch
        from regime_assets.library.steps.morning import publish_morning

        workspace = data.workspace(lane.universe)
        drawn = reported(lane, context)
        for session in sessions_of(context):
            seen = watch(workspace, lane.horizon, session)
            metadata: dict[str, Any] = {
                **figures(seen.figures),
                ACTION_METADATA: dg.MetadataValue.text(seen.decision.action),
                OCCASION_METADATA: dg.MetadataValue.text(seen.decision.key or ""),
                REASON_METADATA: dg.MetadataValue.text(seen.decision.reason),
                ALERT_METADATA: dg.MetadataValue.bool(seen.decision.alert),
            }
            if seen.decision.roll_back_to is not None:
                metadata[ROLL_BACK_METADATA] = dg.MetadataValue.int(seen.decision.roll_back_to)
            for name, why in (("waiting", seen.waiting), ("waiting_for_shadow", seen.waiting_for_shadow)):
                if why:
                    metadata[name] = dg.MetadataValue.text(why)
            if session in drawn and len(seen.net) >= FEWEST_DRAWN:
                metadata["live"] = picture(equity_and_drawdown({"served": seen.net}), "equity and drawdown, live")
            if session in drawn and seen.bands is not None and len(seen.bands) >= FEWEST_DRAWN:
                metadata["bands"] = picture(live_bands(seen.bands), "return, turnover and slippage in their bands")
            for kind in ("drift", "backtest"):
                report = workspace.home.report(lane.universe.name, lane.horizon, kind, session)
                if file_exists(report):
                    metadata[f"{kind}_report"] = report_link(report)
            context.add_asset_metadata(metadata, partition_key=session.isoformat())
        publish_morning(workspace)

    return asset
