"""The session's bundle: judged against the champion, registered as a version, and promoted where the gate says so.

Every bundle becomes a version; the aliases `champion`, `previous` and `challenger` say which one serves. Moving the
champion alias is the last step, so a crash anywhere leaves the old champion in place. A session of which a model was
refused has no bundle, and the champion goes on; an older session than the champion's takes no alias.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.lane import Lane, sessions_of
from regime_assets.assets.live_performance import (
    ACTION_METADATA,
    ALERT_METADATA,
    OCCASION_METADATA,
    REASON_METADATA,
)
from regime_assets.metadata import figures, rules
from regime_assets.resources import DataHome

if TYPE_CHECKING:
    from datetime import date

    from regime_assets.library.steps.promotion import Serving


def promotion(lane: Lane) -> dg.AssetsDefinition:
    """The asset that registers and promotes."""

    @dg.asset(
        **lane.declare(
            "promotion",
            kinds={"mlflow"},
            deps=[lane.key("backtest_report")],
            description=__doc__,
        )
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome, mlflow: dg.ResourceParam[Any]) -> None:
        from regime_assets.library.steps.promotion import register_and_promote

        workspace = data.workspace(lane.universe, lane.design)
        for session in sessions_of(context):
            done = register_and_promote(workspace, lane.horizon, session, mlflow.active_run().info.run_id)
            context.log.info(done.summary)
            metadata: dict[str, Any] = {
                **figures(done.figures),
                "outcome": dg.MetadataValue.text(done.summary),
                "champion": dg.MetadataValue.text(done.champion),
                "sha256": dg.MetadataValue.text(done.sha256 or "no bundle"),
                "serves": dg.MetadataValue.text(done.judgement.serves),
                "verdict": dg.MetadataValue.text(f"{done.judgement.lane}: {done.judgement.outcome}"),
                "rules": rules(done.judgement.rules),
            }
            if done.refused:
                context.log.warning(done.summary)
                metadata |= {
                    ACTION_METADATA: dg.MetadataValue.text("model refused"),
                    OCCASION_METADATA: dg.MetadataValue.text(f"refused-{session}"),
                    REASON_METADATA: dg.MetadataValue.text(done.summary),
                    ALERT_METADATA: dg.MetadataValue.bool(True),
                }
            context.add_asset_metadata(metadata, partition_key=session.isoformat())
            if done.serving is not None:
                context.log_event(_serving(lane, session, done.serving))

    return asset


def _serving(lane: Lane, session: "date", serving: "Serving") -> dg.AssetMaterialization:
    """Who serves after a promotion, as the asset of the champion shows it."""
    return dg.AssetMaterialization(
        lane.shared.key("champion"),
        partition=session.isoformat(),
        metadata={
            "version": dg.MetadataValue.int(serving.version),
            "design": dg.MetadataValue.text(serving.design),
            "fitted_on": dg.MetadataValue.text(serving.session.isoformat()),
        },
    )
